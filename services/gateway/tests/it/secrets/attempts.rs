//! Deliveries of every source and key, and the settings that name them.

use hookstream_signature::{Key, hmac, hub, slack, standard_webhooks, stripe};
use hookstream_test_support::unique_id;
use time::OffsetDateTime;

pub(super) const INTERNAL: &str = "whsec_Y2FuYXJ5LWludGVybmFsLXNlY3JldA==";
const PARTNER: &str = "whsec_Y2FuYXJ5LXBhcnRuZXItc2VjcmV0ISE=";

pub(super) const SETTINGS: &str = r#"
[sources.billing]
scheme = "stripe"
secret = "canary-stripe"

[sources.chat]
scheme = "slack"
secrets = [{ secret = "canary-slack" }, { id = "former", secret = "canary-slack-former" }]

[sources.forge]
scheme = "gitlab"
secret = "canary-gitlab"

[sources.partner]
scheme = "standard-webhooks"
secret = "whsec_Y2FuYXJ5LXBhcnRuZXItc2VjcmV0ISE="

[sources.shop]
scheme = "hmac"
secret = "canary-hmac"
signature_header = "X-Shop-Hmac"

[sources.other]
scheme = "github"
secret = "canary-other"
"#;

/// A request of a source, with what proves it.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) path: String,
    /// The first is the signature.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    signature: String,
}

impl Attempt {
    fn new(source: &str, header: &'static str, signature: &str, body: &str) -> Self {
        let headers = vec![
            (header, signature.to_owned()),
            ("content-type", "application/json".to_owned()),
            ("x-github-event", "issues".to_owned()),
            ("x-github-delivery", unique_id()),
        ];
        Self {
            path: format!("/webhooks/{source}"),
            headers,
            body: body.to_owned(),
            signature: signature.to_owned(),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn set(&mut self, name: &str, value: &str) {
        for (_, found) in self.headers.iter_mut().filter(|(found, _)| *found == name) {
            value.clone_into(found);
        }
    }

    /// What must not be seen of the signature: its longest part without punctuation.
    pub(super) fn proof(&self) -> &str {
        let parts = self.signature.split(['=', ',', ' ']);
        parts.max_by_key(|part| part.len()).unwrap_or_default()
    }
}

/// One good delivery of every source and every key.
pub(super) fn good(body: &str) -> Vec<Attempt> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let key = |secret: &str| Key::plain("k", secret.as_bytes()).unwrap();
    let by_hub = |source: &str, secret: &str| {
        Attempt::new(source, "x-hub-signature-256", &hub::sign(&key(secret), body.as_bytes()), body)
    };
    let by_slack = |secret: &str| {
        let signature = slack::sign(&key(secret), now, body.as_bytes());
        Attempt::new("chat", "x-slack-signature", &signature, body)
            .with("x-slack-request-timestamp", &now.to_string())
    };
    let standard = |source: &str, secret: &str, body: &str| {
        let id = unique_id();
        let key = Key::new("k", secret.as_bytes()).unwrap();
        let signature = standard_webhooks::sign(&key, &id, now, body.as_bytes());
        Attempt::new(source, "webhook-signature", &signature, body)
            .with("webhook-id", &id)
            .with("webhook-timestamp", &now.to_string())
    };
    let form = hmac::Form { prefix: String::new(), encoding: hmac::Encoding::Hex };
    let stripe = stripe::sign(&key("canary-stripe"), now, body.as_bytes());
    let shop = hmac::sign(&key("canary-hmac"), &form, body.as_bytes());
    let paused = r#"{"type":"queue.paused","reason":"canary in a body"}"#;
    let gitlab = Attempt::new("forge", "x-gitlab-token", "canary-gitlab", body);
    vec![
        by_hub("github", "canary-github"),
        by_hub("github", "canary-github-former"),
        by_hub("other", "canary-other"),
        standard("internal", INTERNAL, paused),
        standard("internal", "canary-internal-former", paused),
        standard("partner", PARTNER, body),
        Attempt::new("billing", "stripe-signature", &stripe, body),
        by_slack("canary-slack"),
        by_slack("canary-slack-former"),
        gitlab,
        Attempt::new("shop", "x-shop-hmac", &shop, body),
    ]
}

/// Each of them bent in every way: another body, another event, another type of content, a bad id, half a signature, two.
pub(super) fn bad(attempts: &[Attempt]) -> Vec<Attempt> {
    let bent = |attempt: &Attempt, which: usize| {
        let mut bent = attempt.clone();
        match which {
            0 => bent.body.push(' '),
            1 => bent.set("x-github-event", "push"),
            2 => bent.set("content-type", "text/plain"),
            3 => bent.set("x-github-delivery", "a b"),
            4 => bent.headers[0].1.truncate(attempt.signature.len() / 2),
            _ => bent.headers[0].1.push_str(&attempt.signature),
        }
        bent
    };
    attempts.iter().flat_map(|attempt| (0..6).map(move |which| bent(attempt, which))).collect()
}
