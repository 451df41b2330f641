//! nats.conf, both sides of it: what each role must be able to do, and what it must not. Asked by a plain NATS client.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Event;
use hookstream_bus::topology::Topology;
use hookstream_bus::{Bus, BusError, PublishError, PullLimits};

use hookstream_test_support::{TestNats, eventually};

use crate::harness::{DEADLINE, STREAM, event, event_on, gateway, login, plain, soon, store};

const ROLES: [&str; 8] =
    ["gateway", "phase_queue", "task_log", "audit", "backend", "worker", "operator", "subscriber"];

const CONSUMERS: [&str; 3] = ["phase_queue", "task_log", "audit"];

/// Every kind of subject that somebody may want to publish to.
fn publishable() -> Vec<String> {
    let mut subjects: Vec<String> = [
        "ingest.github.issues.opened",
        "ingest.internal.workflow.completed",
        "ingest.internal.phase.lease_expired",
        "webhooks.github",
        "webhooks.github.issues.opened",
        "rejections.github.bad_signature",
        "phases.1.1.ready",
        "operations.gateway.key_added",
        "operations.task_log.retention",
        "operations.audit.retention",
        "operations.operator.provision",
        "audit.checkpoints",
        "$JS.API.STREAM.INFO.CHECKPOINTS",
        "$JS.API.DIRECT.GET.CHECKPOINTS",
        "$JS.API.CONSUMER.MSG.NEXT.REJECTIONS.audit_rejections",
        "$JS.API.CONSUMER.RESET.REJECTIONS.audit_rejections",
        "$JS.ACK.REJECTIONS.audit_rejections.1.1.1.1.0",
        "$JS.API.CONSUMER.MSG.NEXT.OPERATIONS.audit_operations",
        "$JS.ACK._.account.OPERATIONS.audit_operations.1.1.1.1.0",
        "$JS.API.STREAM.PURGE.OPERATIONS",
        "backfill.mine",
        "anything",
        "_INBOX.x",
        "$SYS.REQ.SERVER.PING",
        "$JS.FC.WEBHOOKS.x.y",
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.INFO.WEBHOOKS",
        "$JS.API.STREAM.INFO.REJECTIONS",
        "$JS.API.STREAM.INFO.PHASES",
        "$JS.API.STREAM.CREATE.WEBHOOKS",
        "$JS.API.STREAM.UPDATE.WEBHOOKS",
        "$JS.API.STREAM.PURGE.WEBHOOKS",
        "$JS.API.STREAM.DELETE.WEBHOOKS",
        "$JS.API.STREAM.MSG.GET.WEBHOOKS",
        "$JS.API.STREAM.MSG.DELETE.WEBHOOKS",
        "$JS.API.STREAM.SNAPSHOT.WEBHOOKS",
        "$JS.API.DIRECT.GET.WEBHOOKS",
        "$JS.API.DIRECT.GET.WEBHOOKS.webhooks.github.issues.opened",
        "$JS.API.DIRECT.GET.REJECTIONS",
        "$JS.API.DIRECT.GET.PHASES",
        "$JS.API.CONSUMER.CREATE.PHASES.mine.phases.7.*.ready",
        "$JS.API.CONSUMER.CREATE.PHASES.mine.phases.*.*.ready",
        "$JS.API.CONSUMER.CREATE.PHASES.mine.phases.>",
        "$JS.API.CONSUMER.INFO.PHASES.mine",
        "$JS.API.CONSUMER.MSG.NEXT.PHASES.mine",
        "$JS.API.CONSUMER.DELETE.PHASES.mine",
        "$JS.API.CONSUMER.NAMES.WEBHOOKS",
    ]
    .map(str::to_owned)
    .to_vec();
    for role in ROLES {
        subjects.push(format!("_INBOX_{role}.x"));
    }
    for consumer in CONSUMERS {
        for verb in ["INFO", "MSG.NEXT", "RESET", "CREATE", "DELETE", "PAUSE"] {
            subjects.push(format!("$JS.API.CONSUMER.{verb}.WEBHOOKS.{consumer}"));
        }
        subjects.push(format!("$JS.ACK.WEBHOOKS.{consumer}.1.1.1.1.0"));
        subjects.push(format!("$JS.ACK._.account.WEBHOOKS.{consumer}.1.1.1.1.0"));
        subjects.push(format!("$JS.ACK.PHASES.{consumer}.1.1.1.1.0"));
    }
    subjects
}

/// Every kind of subject that somebody may want to subscribe to.
fn subscribable() -> Vec<String> {
    let mut subjects: Vec<String> = [
        ">",
        "*.github",
        "ingest.>",
        "ingest.github.issues.opened",
        "*.github.issues.opened",
        "webhooks.>",
        "webhooks.*",
        "webhooks.github",
        "rejections.>",
        "phases.>",
        "operations.>",
        "backfill.>",
        "$JS.>",
        "$JS.API.>",
        "$JS.ACK.>",
        "$JS.EVENT.ADVISORY.>",
        "$SYS.>",
        "_INBOX.>",
    ]
    .map(str::to_owned)
    .to_vec();
    subjects.extend(ROLES.map(|role| format!("_INBOX_{role}.>")));
    subjects
}

fn may_publish(role: &str, subject: &str) -> bool {
    let exactly = |allowed: &[&str]| allowed.contains(&subject);
    let own_consumer = || {
        ["$JS.API.CONSUMER.INFO", "$JS.API.CONSUMER.MSG.NEXT", "$JS.API.CONSUMER.RESET"]
            .map(|verb| format!("{verb}.WEBHOOKS.{role}"))
            .contains(&subject.to_owned())
            || subject.starts_with(&format!("$JS.ACK.WEBHOOKS.{role}."))
            || subject.starts_with(&format!("$JS.ACK._.account.WEBHOOKS.{role}."))
            || subject == "$JS.API.STREAM.INFO.WEBHOOKS"
            || subject.starts_with("$JS.API.DIRECT.GET.WEBHOOKS")
    };
    // Everybody who acts tells of it, under the own name only.
    let own_acts = subject.starts_with(&format!("operations.{role}."));
    let beside = || {
        ["$JS.API.CONSUMER.MSG.NEXT.", "$JS.API.CONSUMER.RESET.", "$JS.ACK.", "$JS.ACK._.account."]
            .iter()
            .any(|prefix| {
                let rest = subject.strip_prefix(prefix).unwrap_or_default();
                rest.starts_with("REJECTIONS.audit_rejections")
                    || rest.starts_with("OPERATIONS.audit_operations")
            })
            || exactly(&["$JS.API.STREAM.INFO.REJECTIONS", "$JS.API.DIRECT.GET.REJECTIONS"])
            || exactly(&[
                "audit.checkpoints",
                "$JS.API.STREAM.INFO.CHECKPOINTS",
                "$JS.API.DIRECT.GET.CHECKPOINTS",
            ])
    };
    match role {
        _ if own_acts => true,
        "gateway" => {
            subject.starts_with("ingest.")
                || exactly(&["rejections.github.bad_signature", "$JS.API.STREAM.INFO.WEBHOOKS"])
        }
        "phase_queue" => {
            own_consumer()
                || exactly(&[
                    "phases.1.1.ready",
                    "ingest.internal.phase.lease_expired",
                    "$JS.API.STREAM.INFO.PHASES",
                    "$JS.API.DIRECT.GET.PHASES",
                ])
        }
        "task_log" => own_consumer(),
        "audit" => own_consumer() || beside(),
        "backend" => {
            subject.starts_with("ingest.internal.")
                || exactly(&["$JS.API.DIRECT.GET.WEBHOOKS"])
                || (subject.starts_with("$JS.API.STREAM.INFO.") && !subject.ends_with(".CHECKPOINTS"))
                || subject.starts_with("$JS.API.CONSUMER.INFO.WEBHOOKS.")
        }
        "worker" => {
            exactly(&[
                "$JS.API.DIRECT.GET.PHASES",
                "$JS.API.CONSUMER.CREATE.PHASES.mine.phases.7.*.ready",
                "$JS.API.CONSUMER.CREATE.PHASES.mine.phases.*.*.ready",
                "$JS.API.CONSUMER.INFO.PHASES.mine",
                "$JS.API.CONSUMER.MSG.NEXT.PHASES.mine",
            ]) || subject.starts_with("$JS.ACK.PHASES.")
        }
        "operator" => {
            ["$JS.API.", "$JS.ACK.", "$JS.FC.", "backfill."].iter().any(|prefix| subject.starts_with(prefix))
        }
        _ => false,
    }
}

fn may_subscribe(role: &str, subject: &str) -> bool {
    let own_inbox = subject == format!("_INBOX_{role}.>");
    match role {
        "subscriber" => subject.starts_with("webhooks.") || subject == "backfill.>",
        "backend" => own_inbox || subject.starts_with("webhooks."),
        "operator" => {
            let others = [
                "rejections.>",
                "phases.>",
                "operations.>",
                "backfill.>",
                "$JS.EVENT.ADVISORY.>",
                "_INBOX.>",
            ];
            own_inbox || subject.starts_with("webhooks.") || others.contains(&subject)
        }
        _ => own_inbox,
    }
}

/// A plain NATS client that writes down what it is refused.
struct Probe {
    client: async_nats::Client,
    refusals: Arc<Mutex<Vec<String>>>,
}

impl Probe {
    async fn connect(nats: &TestNats, role: &str) -> Self {
        let refusals = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&refusals);
        let options = login(nats, role).event_callback(move |event| {
            if let Event::ServerError(error) = event {
                seen.lock().unwrap().push(error.to_string());
            }
            std::future::ready(())
        });
        Self { client: options.connect(nats.url(role)).await.unwrap(), refusals }
    }

    /// Publishes on, or subscribes to, each subject and returns those that the server refused.
    async fn refused(&self, publish: bool, subjects: &[String]) -> BTreeSet<String> {
        self.refusals.lock().unwrap().clear();
        // Nobody may publish here. The server answers in order, so once it refuses this it has judged all others.
        let last = "last.of.all";
        let mut subscriptions = Vec::new();
        for subject in subjects.iter().map(String::as_str).chain([last]) {
            if publish || subject == last {
                self.client.publish(subject.to_owned(), "".into()).await.unwrap();
            } else {
                subscriptions.push(self.client.subscribe(subject.to_owned()).await.unwrap());
            }
        }
        eventually("the last refusal", DEADLINE, async || {
            self.refusals.lock().unwrap().iter().any(|text| text.contains(last)).then_some(())
        })
        .await;
        let quoted = |text: &String| text.split('"').nth(1).unwrap_or_default().to_owned();
        let mut refused: BTreeSet<String> = self.refusals.lock().unwrap().iter().map(quoted).collect();
        refused.remove(last);
        refused
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_publish_what_it_needs_and_nothing_else() {
    let nats = TestNats::start().await;
    // The operator last: what it may do here does away with streams.
    for role in ROLES.iter().filter(|role| **role != "operator").chain(&["operator"]) {
        let probe = Probe::connect(&nats, role).await;
        let expected = publishable().into_iter().filter(|subject| !may_publish(role, subject)).collect();
        assert_eq!(probe.refused(true, &publishable()).await, expected, "{role}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_subscribe_to_what_it_needs_and_nothing_else() {
    let nats = TestNats::start().await;
    for role in ROLES {
        let probe = Probe::connect(&nats, role).await;
        let expected = subscribable().into_iter().filter(|subject| !may_subscribe(role, subject)).collect();
        assert_eq!(probe.refused(false, &subscribable()).await, expected, "{role}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_can_do_its_work() {
    let nats = TestNats::start().await;
    let gateway = nats.connect("gateway").await;
    let publisher = gateway.publisher(DEADLINE);
    store(&publisher, 1).await;
    let rejection = "rejections.github.bad_signature".to_owned();
    let rejected = publisher.publish(rejection, vec![], "{}".into()).await.unwrap();
    assert_eq!(rejected.stream, "REJECTIONS");
    assert_eq!(gateway.stream_state(STREAM).await.unwrap().messages, 1);
    assert_eq!(gateway.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_can_do_its_work() {
    let nats = TestNats::start().await;
    store(&gateway(&nats).await, 3).await;
    for name in CONSUMERS {
        let bus = nats.connect(name).await;
        let consumer = bus.consumer(STREAM, name);
        let limits = PullLimits { messages: 10, bytes: 1 << 20, wait: Duration::from_secs(5) };
        assert_eq!(bus.stream_state(STREAM).await.unwrap().last_sequence, 3);
        assert_eq!(consumer.pull(&limits).await.unwrap().len(), 3, "{name}");
        consumer.rewind(2).await.unwrap();
        let messages = consumer.pull(&limits).await.unwrap();
        assert_eq!(messages.len(), 2, "{name}");
        consumer.ack(&messages).await.unwrap();
        assert_eq!(consumer.state().await.unwrap().ack_floor, 3, "{name}");
        assert_eq!(bus.message_id_at(STREAM, 2).await.unwrap().as_deref(), Some("github:d-2"));
        assert_eq!(bus.violations(), Vec::<String>::new(), "{name}");
    }
    let announced = nats.connect("phase_queue").await.publisher(DEADLINE);
    let receipt = announced.publish("phases.7.1.ready".to_owned(), vec![], "{}".into()).await.unwrap();
    assert_eq!(receipt.stream, "PHASES");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_can_do_its_work() {
    let nats = TestNats::start().await;
    let backend = nats.connect("backend").await;
    let mut live = backend.subscribe("webhooks.>").await.unwrap();
    let (subject, headers, body) = event_on("internal", "queue", "paused", 1);
    let receipt = backend.publisher(DEADLINE).publish(subject, headers, body).await.unwrap();
    assert_eq!(soon(live.next()).await.unwrap().header("Nats-Sequence"), Some("1"));
    for stream in [STREAM, "REJECTIONS", "PHASES"] {
        backend.stream_state(stream).await.unwrap();
    }
    for name in CONSUMERS {
        assert_eq!(backend.consumer(STREAM, name).state().await.unwrap().pending, 1);
    }
    let stored = backend.message_at(STREAM, receipt.sequence).await.unwrap().unwrap();
    assert_eq!(stored.subject, "webhooks.internal.queue.paused");
    assert_eq!(backend.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_do_its_work_with_any_client() {
    let nats = TestNats::start().await;
    let operator = nats.connect("operator").await;
    assert_eq!(Topology::embedded().plan(&operator).await.unwrap(), []);
    // A plain client keeps its replies under _INBOX.
    let plain = plain(&nats, "operator").await;
    let reply = plain.request("$JS.API.STREAM.NAMES", "".into()).await.unwrap();
    assert!(String::from_utf8_lossy(&reply.payload).contains("WEBHOOKS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_publish_is_written_down_and_never_looks_stored() {
    let nats = TestNats::start().await;
    let audit = nats.connect("audit").await;
    let (subject, headers, body) = event(1);
    let publisher = audit.publisher(Duration::from_millis(500));
    assert_eq!(publisher.publish(subject, headers, body).await, Err(PublishError::TimedOut));
    let violations = audit.violations();
    assert!(violations.iter().any(|text| text.contains("ingest.github.issues.opened")), "{violations:?}");
    assert_eq!(audit.stream_state(STREAM).await.unwrap().messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told() {
    let nats = TestNats::start_empty().await;
    let url = nats.url("gateway").replace("gateway:", "gateway:not");
    let bus = Bus::connect(&hookstream_bus::NatsSettings::new(&url, "gateway").unwrap()).await.unwrap();
    let problem = eventually("a problem", DEADLINE, async || bus.problem()).await;
    assert!(problem.contains("authorization violation"), "{problem}");
    let error = soon(bus.wait_connected(Duration::MAX)).await.unwrap_err();
    assert!(matches!(error, BusError::LoginRefused), "it is not waited for: {error}");
    assert!(error.to_string().contains("authorization violation"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_known_once_the_connection_is_drained() {
    let nats = TestNats::start().await;
    for _ in 0..20 {
        let operator = nats.connect("operator").await;
        operator.broadcast("elsewhere.mine".to_owned(), vec![], "{}".into()).await.unwrap();
        operator.stream_state(STREAM).await.unwrap();
        operator.drain().await;
        let violations = operator.violations();
        assert!(violations.iter().any(|text| text.contains("elsewhere.mine")), "{violations:?}");
    }
}
