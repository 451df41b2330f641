use time::macros::datetime;

use super::*;
use crate::BodyError;

const RECEIVED_AT: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

fn describe_text(event: &str, body: &str) -> Result<Description, InvalidBody> {
    describe(&Token::parse(event).unwrap(), body.as_bytes(), RECEIVED_AT)
}

fn sample(name: &str) -> Description {
    let sample = crate::samples::find(name).unwrap();
    describe_text(sample.event, sample.body).unwrap()
}

/// `type`, `source`, `subject`, `time` and stored subject, in short.
fn summary(event: &str, body: &str) -> String {
    let described = describe_text(event, body).unwrap_or_else(|error| panic!("{event}: {error}"));
    let time = if described.occurred_at == RECEIVED_AT { "received".to_owned() } else { iso(&described) };
    let about = described.about.unwrap_or_else(|| "-".to_owned());
    format!("{} {} {about} {time} {}", described.event_type, described.origin, described.subject.stored())
}

fn iso(described: &Description) -> String {
    described.occurred_at.format(&Rfc3339).unwrap()
}

#[test]
fn an_opened_issue_has_all_its_attributes() {
    let described = sample("issues.opened");
    assert_eq!(described.event_type.as_str(), "com.github.issues.opened");
    assert_eq!(described.subject.ingest(), "ingest.github.issues.opened");
    assert_eq!(described.origin, "https://api.github.com/repos/harbour-lights/tidebook");
    assert_eq!(described.about.as_deref(), Some("214"));
    assert_eq!(described.occurred_at, datetime!(2026-11-23 09:30:02 UTC));
    let attributes: Vec<_> = described.attributes.iter().collect();
    assert_eq!(
        attributes,
        [("issue", "214"), ("repository", "harbour-lights/tidebook"), ("sender", "mira-holt")]
    );
}

#[test]
fn a_comment_comes_from_its_issue_and_is_about_itself() {
    let described = sample("issue_comment.created");
    assert_eq!(described.origin, "https://api.github.com/repos/harbour-lights/tidebook/issues/214");
    assert_eq!(described.about.as_deref(), Some("2490117803"));
    assert_eq!(described.attributes.number(attribute::ISSUE), Some(214));
    assert_eq!(described.attributes.text(attribute::SENDER), Some("jonas-veer"));
}

#[test]
fn a_push_has_no_action_and_the_time_of_receipt() {
    let described = sample("push");
    assert_eq!(described.event_type.as_str(), "com.github.push");
    assert_eq!(described.subject.stored(), "webhooks.github.push.none");
    assert_eq!(described.about.as_deref(), Some("refs/heads/main"));
    assert_eq!(described.occurred_at, RECEIVED_AT);
}

#[test]
fn attributes_are_where_the_adapter_says() {
    let cases = [
        (
            "commit_comment",
            r#"{"action":"created","comment":{"id":7,"url":"https://x/c/7","commit_id":"abc","updated_at":"2026-01-02T03:04:05+02:00"}}"#,
            "com.github.commit_comment.created https://x/c/7/abc 7 2026-01-02T01:04:05Z webhooks.github.commit_comment.created",
        ),
        (
            "create",
            r#"{"ref":"v1","ref_type":"tag","master_branch":"main","repository":{"url":"https://x/r"}}"#,
            "com.github.create.tag https://x/r v1 received webhooks.github.create.none",
        ),
        (
            "check_run",
            r#"{"action":"created","check_run":{"id":4,"completed_at":null,"started_at":"2026-01-02T03:04:05Z"},"repository":{"url":"https://x/r"}}"#,
            "com.github.check_run.created https://x/r 4 2026-01-02T03:04:05Z webhooks.github.check_run.created",
        ),
        (
            "deployment_status",
            r#"{"action":"created","deployment":{"url":"https://x/d"},"deployment_status":{"state":"success","url":"https://x/s"}}"#,
            "com.github.deployment_status.success https://x/d https://x/s received webhooks.github.deployment_status.created",
        ),
        (
            "installation",
            r#"{"action":"created","installation":{"id":2,"updated_at":1557933591,"account":{"url":"https://x/u"}}}"#,
            "com.github.installation.created https://x/u 2 2019-05-15T15:19:51Z webhooks.github.installation.created",
        ),
        (
            "marketplace_purchase",
            r#"{"action":"changed","effective_date":"2017-10-25T00:00:00+00:00","sender":{"url":"https://x/users/u"},"marketplace_purchase":{"account":{"login":"o"}}}"#,
            "com.github.marketplace_purchase.changed https://x/users o 2017-10-25T00:00:00Z webhooks.github.marketplace_purchase.changed",
        ),
        (
            "membership",
            r#"{"action":"removed","scope":"team","member":{"login":"u"},"team":{"url":"https://x/t"}}"#,
            "com.github.membership.team.removed https://x/t u received webhooks.github.membership.removed",
        ),
        (
            "release",
            r#"{"action":"created","release":{"id":1,"created_at":"2026-01-01T00:00:00Z","published_at":"2026-02-01T00:00:00Z"}}"#,
            "com.github.release.created https://github.com 1 2026-01-01T00:00:00Z webhooks.github.release.created",
        ),
        (
            "release",
            r#"{"action":"published","release":{"id":1,"created_at":"2026-01-01T00:00:00Z","published_at":"2026-02-01T00:00:00Z"}}"#,
            "com.github.release.published https://github.com 1 2026-02-01T00:00:00Z webhooks.github.release.published",
        ),
        (
            "repository_dispatch",
            r#"{"action":"Deploy to prod.","branch":"main","client_payload":null,"repository":{"owner":{"url":"https://x/o"}}}"#,
            "com.github.repository_dispatch.deploy_to_prod_ https://x/o - received webhooks.github.repository_dispatch.deploy_to_prod_",
        ),
        (
            "security_advisory",
            r#"{"action":"published","security_advisory":{"ghsa_id":"GHSA-1","updated_at":"2026-01-01T00:00:00Z"}}"#,
            "com.github.security_advisory.published github.com GHSA-1 2026-01-01T00:00:00Z webhooks.github.security_advisory.published",
        ),
        (
            "status",
            r#"{"sha":"abc","state":"failure","updated_at":"2019-05-15T15:20:55+00:00","repository":{"url":"https://x/r"}}"#,
            "com.github.status.failure https://x/r abc 2019-05-15T15:20:55Z webhooks.github.status.none",
        ),
    ];
    for (event, body, expected) in cases {
        assert_eq!(summary(event, body), expected);
    }
}

#[test]
fn the_source_falls_back_step_by_step() {
    let origin = |body: &str| describe_text("watch", body).unwrap().origin;
    let all = r#"{"action":"started","repository":{"url":"https://r"},"organization":{"url":"https://o"},"sender":{"url":"https://s"}}"#;
    assert_eq!(origin(all), "https://r");
    assert_eq!(origin(&all.replace("https://r", "")), "https://o");
    assert_eq!(origin(&all.replace("https://r", "two words")), "https://o");
    assert_eq!(origin(&all.replace("https://r", &"a".repeat(5000))), "https://o");
    assert_eq!(origin(r#"{"action":"started","sender":{"url":"https://s"}}"#), "https://s");
    assert_eq!(origin(r#"{"action":"started"}"#), ORIGIN);
}

#[test]
fn a_body_without_its_events_own_key_is_refused() {
    let error = describe_text("issues", r#"{"action":"opened","repository":{}}"#).unwrap_err();
    assert_eq!(error.to_string(), "event 'issues' and body disagree: 'issue' is missing");
    assert_eq!(error.code(), "event_mismatch");
    assert!(describe_text("issues", r#"{"action":"opened","issue":null}"#).is_err());
    assert!(
        describe_text("star", r#"{"action":"deleted","starred_at":null}"#).is_ok(),
        "null is enough here"
    );
    assert!(describe_text("star", r#"{"action":"deleted"}"#).is_err());
}

#[test]
fn a_review_of_a_deployment_need_not_name_its_reviewers() {
    // GitHub's description of its webhooks promises them of a request only.
    let body = r#"{"action":"approved","workflow_run":{"id":3},"since":"2026-01-01T00:00:00Z","repository":{"url":"https://x/r"}}"#;
    assert_eq!(
        summary("deployment_review", body),
        "com.github.deployment_review.approved https://x/r 3 received webhooks.github.deployment_review.approved"
    );
}

// R4
#[test]
fn a_sample_relabelled_as_an_event_that_starts_work_is_refused() {
    for (sample, event) in [
        ("issue_comment.created", "issues"),
        ("issues.opened", "issue_comment"),
        ("pull_request.opened", "issues"),
        ("issues.opened", "watch"),
        ("issues.opened", "repository"),
        ("issues.opened", "public"),
        ("push", "create"),
        ("push", "issues"),
        ("ping", "meta"),
        ("check_run.completed", "check_suite"),
        ("workflow_run.completed", "workflow_job"),
    ] {
        let body = crate::samples::find(sample).unwrap().body;
        let error = describe_text(event, body).unwrap_err();
        assert_eq!(error.code(), "event_mismatch", "{sample} as {event}: {error}");
    }
}

// J7
#[test]
fn unknown_events_and_actions_are_accepted() {
    let body = r#"{"action":"brewed","repository":{"url":"https://x/r"}}"#;
    assert_eq!(
        summary("coffee", body),
        "com.github.coffee.brewed https://x/r - received webhooks.github.coffee.brewed"
    );
    assert_eq!(
        summary("coffee", "{}"),
        "com.github.coffee https://github.com - received webhooks.github.coffee.none"
    );
    let odd = describe_text("issues", r#"{"action":"*.>\r\nX: y","issue":{}}"#).unwrap();
    assert_eq!(odd.subject.stored(), "webhooks.github.issues._____x__y");
}

#[test]
fn an_action_that_is_no_text_is_refused() {
    for action in ["1", "true", "[]", "{}", "1e400"] {
        let error = describe_text("issues", &format!(r#"{{"action":{action},"issue":{{}}}}"#)).unwrap_err();
        assert_eq!(error, InvalidBody::ActionNotText, "{action}");
    }
    assert_eq!(
        describe_text("issues", r#"{"action":null,"issue":{}}"#).unwrap().subject.action.as_str(),
        "none"
    );
}

#[test]
fn bodies_that_are_no_object_are_refused() {
    for (body, expected) in [
        ("", BodyError::Empty),
        ("null", BodyError::NotAnObject),
        ("[]", BodyError::NotAnObject),
        ("{", BodyError::NotJson),
    ] {
        assert_eq!(describe_text("issues", body), Err(InvalidBody::Body(expected)), "{body}");
    }
}

/// All that headers, log lines and Postgres columns need of a description.
fn assert_safe(described: &Description) {
    let about = described.about.as_deref().unwrap_or("x");
    assert!((1..=URI_BYTES_MAX).contains(&about.len()) && !about.contains('\0'), "{about:?}");
    assert!(described.origin.bytes().all(|byte| byte.is_ascii_graphic()) && !described.origin.is_empty());
    assert!((1..=9999).contains(&described.occurred_at.year()));
    assert!(described.attributes.iter().all(|(_, value)| !value.contains('\0')));
    assert!(EventType::parse(described.event_type.as_str()).is_some());
    assert!(Subject::parse_stored(&described.subject.stored()).is_some());
}

// J4, J9
#[test]
fn odd_values_in_known_fields_are_survived() {
    let long = format!("\"{}\"", "é".repeat(1_000_000));
    let values = [
        "null",
        "true",
        "-1",
        "1.5",
        "1e400",
        "9223372036854775808",
        "\"\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "[]",
        "{}",
        "\"9999-12-31T23:59:59-12:00\"",
        "\"0000-01-01T00:00:00+12:00\"",
        "\"2026-13-01T00:00:00Z\"",
        "253402300800",
        "-99999999999999",
        &long,
    ];
    for value in values {
        let body = format!(
            r#"{{"action":"x","issue":{{"number":{value},"updated_at":{value}}},
                "repository":{{"url":{value},"full_name":{value}}},"sender":{{"login":{value},"url":{value}}}}}"#
        );
        assert_safe(&describe_text("issues", &body).unwrap());
        let body = format!(r#"{{"ref":{value},"commits":[],"repository":{value},"sender":{value}}}"#);
        // Refused where the own key is null, or a number stands where an object is looked into.
        if let Ok(described) = describe_text("push", &body) {
            assert_safe(&described);
        }
    }
}

#[test]
fn the_table_is_sound() {
    for (event, rule) in Table::embedded().events() {
        assert!(Token::parse(event).is_ok(), "{event}");
        let own = rule.requires().chain(rule.present()).count();
        assert!(own > 0, "{event} has no key to tell it by");
        assert!(
            rule.requires().all(|key| rule.absent().all(|foreign| foreign != key)),
            "{event} contradicts itself"
        );
        let paths = rule.type_paths().chain(rule.subject()).chain(rule.issue()).chain(rule.source().paths());
        for path in paths.chain(rule.requires()).chain(rule.absent()) {
            assert!(path.split('.').all(|key| Token::parse(key).is_ok()), "{event}: {path}");
        }
    }
    assert_eq!(Table::embedded().events().count(), 72);
}

/// Recorded deliveries, one JSON object `{"event", "payload"}` a line, where the environment names a file of them.
#[test]
fn recorded_deliveries_are_described() {
    let Ok(path) = std::env::var("HOOKSTREAM_GITHUB_DELIVERIES") else { return };
    let recorded = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(recorded.lines().count() > 0, "{path} is empty");
    for line in recorded.lines() {
        let delivery: serde_json::Value = serde_json::from_str(line).unwrap();
        let event = delivery["event"].as_str().unwrap();
        let body = delivery["payload"].to_string();
        let described = describe_text(event, &body).unwrap_or_else(|error| panic!("{error}: {body:.300}"));
        assert_safe(&described);
        assert!(described.event_type.as_str().starts_with(&format!("com.github.{event}")));
        for starts_work in ["issues", "issue_comment"].into_iter().filter(|other| *other != event) {
            assert!(describe_text(starts_work, &body).is_err(), "{event} passes for {starts_work}");
        }
    }
}
