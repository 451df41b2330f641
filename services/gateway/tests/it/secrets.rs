//! What must be nowhere: every secret and every signature, in logs of both forms at the most talkative level, answers,
//! metrics, help, debug output and the stream of refusals.

use std::fs;
use std::path::Path;
use std::process::Command;

use hookstream_gateway::Config;
use hookstream_runtime::Settings;
use hookstream_test_support::{TestNats, eventually, http, run_test};

use crate::executable::{EXECUTABLE, Process};
use crate::gateway::{ISSUE, PATIENCE, stored_count};

mod attempts;

use attempts::{Attempt, INTERNAL, SETTINGS, bad, good};

/// Every secret begins so; the internal one and the partner's are in base64.
const CANARY: &str = "canary";
/// The same in base64, in hex, and as the numbers that bytes are printed as.
const ELSEWISE: [&str; 4] = ["Y2FuYXJ5", "63616e617279", "63616E617279", "99, 97, 110, 97, 114, 121"];
/// What a gateway in its own process showed to anybody.
struct Shown {
    texts: Vec<String>,
    signatures: Vec<String>,
}

impl Shown {
    async fn send(&mut self, url: &str, attempts: Vec<Attempt>) -> Vec<u16> {
        let mut statuses = Vec::new();
        for attempt in attempts {
            let headers: Vec<_> =
                attempt.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer =
                http::post(&format!("{url}{}", attempt.path), &headers, attempt.body.clone()).await.unwrap();
            self.texts.push(format!("{:?} {}", answer.headers, answer.text()));
            self.signatures.push(attempt.proof().to_owned());
            statuses.push(answer.status);
        }
        statuses
    }

    #[track_caller]
    fn assert_clean(&self, passwords: &[&str]) {
        let forbidden = ELSEWISE.iter().chain([&CANARY]).chain(passwords).copied();
        for secret in forbidden.chain(self.signatures.iter().map(String::as_str)) {
            assert!(secret.len() >= 6, "{secret}");
            let leak = self.texts.iter().find(|text| text.contains(secret));
            assert!(leak.is_none(), "{secret} is in {leak:?}");
        }
    }
}

fn environment<'e>(
    nats_url: &'e str,
    password: &'e str,
    config: &'e str,
    format: &'e str,
) -> Vec<(&'e str, &'e str)> {
    vec![
        ("NATS_URL", nats_url),
        ("NATS_USER", "gateway"),
        ("NATS_PASSWORD", password),
        ("GITHUB_WEBHOOK_SECRET", "canary-github"),
        ("GITHUB_WEBHOOK_SECRET_PREVIOUS", "canary-github-former"),
        ("INTERNAL_WEBHOOK_SECRET", INTERNAL),
        ("INTERNAL_WEBHOOK_SECRET_PREVIOUS", "canary-internal-former"),
        ("HOOKSTREAM_API_TOKEN", "canary-token"),
        ("HOOKSTREAM_CONFIG", config),
        ("HOOKSTREAM_GATEWAY_ADDR", "127.0.0.1:0"),
        ("HOOKSTREAM_LOG", "trace"),
        ("HOOKSTREAM_LOG_FORMAT", format),
    ]
}

/// Both outputs of the executable, run to its end.
fn run(environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let run = Command::new(EXECUTABLE)
        .env_clear()
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr))
}

// L1
#[tokio::test]
async fn no_secret_and_no_signature_is_in_anything_that_a_gateway_shows() {
    run_test(async || {
        for format in ["json", "pretty"] {
            let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
            let config = folder.path().join("c.toml");
            fs::write(&config, SETTINGS)?;
            let (nats_url, password) = (format!("nats://{}", nats.client_addr()), nats.password("gateway"));
            let environment = environment(&nats_url, &password, config.to_str().unwrap(), format);
            let mut shown = Shown { texts: Vec::new(), signatures: Vec::new() };
            for arguments in [&["--help"][..], &["--version"], &["--no-such-flag"]] {
                shown.texts.push(run(&environment, arguments));
            }
            let mut process = Process::start(&environment);
            let url = process.ready().await;

            let statuses = shown.send(&url, good(ISSUE)).await;
            // Under its other key Slack's is the same event.
            assert!(statuses.iter().all(|status| [200, 202].contains(status)), "{statuses:?}");
            let statuses = shown.send(&url, bad(&good(ISSUE))).await;
            assert!(statuses.iter().filter(|status| **status >= 400).count() > 40, "{statuses:?}");
            shown.send(&url, good("canary, but no JSON")).await;
            reload(&process, &config, &mut shown, &url).await;
            for path in ["/metrics", "/readyz", "/healthz", "/canary", "/webhooks/canary?canary=canary"] {
                let answer = http::get(&format!("{url}{path}")).await?;
                shown.texts.push(format!("{:?} {}", answer.headers, answer.text()));
            }
            shown.texts.extend(refusals(&nats).await);
            process.signal("TERM");
            assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
            let log = process.log();
            assert!(log.contains("stored event github:") && log.contains("refused request"), "{log}");
            shown.texts.extend(log.lines().map(str::to_owned));
            shown.assert_clean(&[&password]);
            stored_tokens(&nats).await;
        }
        Ok(())
    })
    .await;
}

/// Reads the file again when it is broken in places that parsers like to quote, and when it is mended.
async fn reload(process: &Process, config: &Path, shown: &mut Shown, url: &str) {
    let failures = || process.log().matches("cannot read the sources again").count();
    for broken in [
        "[sources.x]\nscheme = 'stripe'\nsecret = 'canary-unterminated\n",
        "[sources.x]\nscheme = 'canary'\nsecret = 'canary-scheme'\n",
        "[sources.x]\nscheme = 'stripe'\nsecret = 7\nsecrets = 'canary'\n",
        "[sources.x]\nscheme = 'stripe'\nsecret = ['canary-list']\n",
        "[sources.x]\nscheme = 'stripe'\nsecret = 'canary-one'\nsecret = 'canary-two'\n",
        "[sources.x]\nscheme = 'standard-webhooks'\nsecret = 'whsec_canary!'\n",
        "[sources.x]\nscheme = 'stripe'\nsecrets = [{ secret = 'canary-end', not_after = 'canary' }]\n",
        "[sources.x]\nscheme = 'stripe'\nsecret = 'canary-x'\n[sources.x]\n",
    ] {
        let before = failures();
        fs::write(config, format!("{SETTINGS}{broken}")).unwrap();
        process.signal("HUP");
        eventually("the broken file is told", PATIENCE, async || failures() > before).await;
    }
    let again = |log: &str| log.matches("read the sources again: ").count();
    let before = again(&process.log());
    fs::write(config, SETTINGS.replace("canary-stripe", "canary-stripe-next")).unwrap();
    process.signal("HUP");
    eventually("the mended file is read", PATIENCE, async || again(&process.log()) > before).await;
    let statuses = shown.send(url, good(r#"{"issue":{"number":7}}"#)).await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 1, "only Stripe's is another now");
}

/// What the stream of refusals holds.
async fn refusals(nats: &TestNats) -> Vec<String> {
    let bus = nats.connect("operator").await;
    let count = async || bus.stream_state("REJECTIONS").await.unwrap().last_sequence;
    eventually("refusals are told", PATIENCE, async || count().await > 20).await;
    let mut texts = Vec::new();
    for sequence in 1..=count().await {
        let record = bus.message_at("REJECTIONS", sequence).await.unwrap().unwrap();
        let payload = String::from_utf8_lossy(&record.payload);
        texts.push(format!("{} {:?} {payload}", record.subject, record.headers));
    }
    texts
}

/// A stored event has its signature, so that anyone with the key can verify it again; but no secret.
async fn stored_tokens(nats: &TestNats) {
    let bus = nats.connect("operator").await;
    let count = stored_count(nats).await;
    assert!(count > 20, "{count}");
    for sequence in 1..=count {
        let stored = bus.message_at("WEBHOOKS", sequence).await.unwrap().unwrap();
        let shown = format!("{:?}", stored.headers);
        assert!(!shown.contains("canary") && !shown.contains(ELSEWISE[0]), "{shown}");
    }
}

// L1
#[tokio::test]
async fn a_gateway_that_does_not_start_says_why_without_its_secrets() {
    run_test(async || {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("c.toml");
        let base = environment("nats://127.0.0.1:1", "canary-password", config.to_str().unwrap(), "json");
        for (name, value) in [
            ("GITHUB_WEBHOOK_SECRET", "  "),
            ("INTERNAL_WEBHOOK_SECRET", "whsec_canary!"),
            ("HOOKSTREAM_GATEWAY_ADDR", "nowhere"),
            ("HOOKSTREAM_BODY_BYTES_MAX", "many"),
            ("NATS_URL", "nats://user:canary-in-url@[::1"),
            ("GITHUB_WEBHOOK_SECRET_FILE", "/no/such/file"),
            ("HOOKSTREAM_CONFIG", "[sources.x]\nscheme = 'stripe'\nsecret = 'canary"),
            ("HOOKSTREAM_CONFIG", "GITHUB_WEBHOOK_SECRET = ['canary']\n"),
            ("HOOKSTREAM_CONFIG", "GITHUB_WEBHOOK_SECRE = 'canary'\n"),
        ] {
            let text = if name == "HOOKSTREAM_CONFIG" { value } else { SETTINGS };
            fs::write(&config, text)?;
            let mut changed = base.clone();
            if name != "HOOKSTREAM_CONFIG" {
                changed.retain(|(known, _)| *known != name);
                changed.push((name, value));
            }
            let said = run(&changed, &[]);
            assert!(!said.is_empty(), "{name}");
            for secret in ELSEWISE.iter().chain([&CANARY]) {
                assert!(!said.contains(secret), "{name}={value}: {said}");
            }
        }
        fs::write(&config, SETTINGS)?;
        let settings =
            Settings::from_pairs(base.iter().copied().filter(|(name, _)| *name != "HOOKSTREAM_API_TOKEN"));
        let config = Config::read(&settings)?;
        let nats = hookstream_bus::NatsSettings::read(&|name| settings.get(name), "gateway")?;
        let debug = format!(
            "{settings:?} {settings:#?} {config:?} {config:#?} {nats:?} {:?}",
            config.sources.now().keys()
        );
        for secret in ELSEWISE.iter().chain([&CANARY]) {
            assert!(!debug.contains(secret), "{secret} is in {debug}");
        }
        Ok(())
    })
    .await;
}
