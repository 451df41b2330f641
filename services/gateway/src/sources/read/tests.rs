use std::path::PathBuf;

use hookstream_runtime::exit;

use super::*;

const SECRETS: [(&str, &str); 2] =
    [("GITHUB_WEBHOOK_SECRET", "canary-github"), ("INTERNAL_WEBHOOK_SECRET", "canary-internal")];

fn read(name: &str, toml: &str) -> Result<Sources, SettingsError> {
    let path: PathBuf = std::env::temp_dir().join(format!("hookstream-{name}-{}.toml", std::process::id()));
    std::fs::write(&path, toml).unwrap();
    let config = ("HOOKSTREAM_CONFIG", path.to_str().unwrap());
    let settings = Settings::from_pairs(SECRETS.into_iter().chain([config]));
    std::fs::remove_file(path).unwrap();
    Sources::read(&settings)
}

#[test]
fn every_scheme_is_configured_in_a_few_lines() {
    let sources = read(
        "schemes",
        "[sources.a]\nscheme = 'stripe'\nsecret = 'whsec_no base64'\n\
         [sources.b]\nscheme = 'slack'\nsecret = 'x'\n\
         [sources.c]\nscheme = 'gitlab'\nsecret = 'x'\n\
         [sources.d]\nscheme = 'standard-webhooks'\nsecret = 'whsec_c2VjcmV0IQ=='\n\
         [sources.e]\nscheme = 'hmac'\nsecret = 'x'\nsignature_header = 'X-Signature'\n\
         [sources.f]\nscheme = 'github'\nsecret = 'x'\n",
    )
    .unwrap();
    let schemes: Vec<_> = sources.keys().iter().map(|key| (key.source, key.scheme)).collect();
    let expected = [
        ("a", "stripe"),
        ("b", "slack"),
        ("c", "gitlab"),
        ("d", "standard-webhooks"),
        ("e", "hmac"),
        ("f", "github"),
        ("github", "github"),
        ("internal", "internal"),
    ];
    assert_eq!(schemes, expected);
}

#[test]
fn a_key_is_named_by_its_secret_unless_it_has_an_id_and_is_told_without_it() {
    let sources = read(
        "ids",
        "[sources.github]\nsecrets = [{ secret = 'canary-former', not_after = 2026-12-01T00:00:00Z }, \
         { secret = 'canary-github' }, { id = 'spare', secret = 'canary-spare' }]",
    )
    .unwrap();
    let keys: Vec<_> = sources.keys().into_iter().filter(|key| key.source == "github").collect();
    let found: Vec<_> = keys.iter().map(|key| (key.key_id.clone(), key.not_after)).collect();
    let id = |secret: &str| Key::fingerprint(secret.as_bytes());
    let expected = [
        // Given twice, by the environment and by the file: one key.
        (id("canary-github"), None),
        (id("canary-former"), Some(1_796_083_200)),
        ("spare".to_owned(), None),
    ];
    assert_eq!(found, expected);
    assert!(!format!("{keys:?} {sources:?}").contains("canary"));
}

#[test]
fn what_cannot_be_is_refused_by_its_key() {
    for (toml, expected) in [
        ("[sources.a]\nsecret = 'canary'", "sources.a.scheme (…1) is missing: it must be one of github"),
        ("[sources.a]\nscheme = 'strip'\nsecret = 'canary'", "sources.a.scheme (…2) must be one of github"),
        (
            "[sources.a]\nscheme = 'internal'\nsecret = 'canary'",
            "sources.a.scheme (…2) must be one of github",
        ),
        ("[sources.a]\nscheme = 'stripe'", "sources.a.secrets (…1) is missing"),
        ("[sources.a]\nscheme = 'stripe'\nsecret = ' '", "sources.a.secret (…1) cannot be used"),
        (
            "[sources.a]\nscheme = 'standard-webhooks'\nsecret = 'whsec_canary!'",
            "sources.a.secret (…1) cannot be used",
        ),
        (
            "[sources.a]\nscheme = 'slack'\nsecrets = [{ id = 'x', secret = 'one' }, { id = 'x', secret = 'two' }]",
            "cannot be used for source a: two keys have the id 'x'",
        ),
        ("[sources.a]\nscheme = 'hmac'\nsecret = 'canary'", "sources.a.signature_header (…1) is missing"),
        (
            "[sources.a]\nscheme = 'hmac'\nsecret = 'canary'\nsignature_header = 'X Y'",
            "sources.a.signature_header (…4) must be the name of a header",
        ),
        (
            "[sources.a]\nscheme = 'hmac'\nsecret = 'canary'\nsignature_header = 'X'\nsignature_encoding = 'b64'",
            "sources.a.signature_encoding (…5) must be one of hex, base64",
        ),
        (
            "[sources.a]\nscheme = 'stripe'\nsecret = 'canary'\nsignature_prefix = 'v1='",
            "sources.a.signature_prefix (…4) is for the scheme hmac only",
        ),
        (
            "[sources.a]\nscheme = 'github'\nsecret = 'canary'\nid_path = 'id'",
            "sources.a.id_path (…4) is not for the scheme github",
        ),
        (
            "[sources.a]\nscheme = 'slack'\nsecret = 'canary'\nid_path = 'id'\nid_header = 'X-Id'",
            "sources.a.id_path (…4) and id_header are both set",
        ),
        (
            "[sources.a]\nscheme = 'slack'\nsecret = 'canary'\nevent_path = 'a..b'",
            "sources.a.event_path (…4) must be keys joined by dots",
        ),
        (
            "[sources.a]\nscheme = 'slack'\nsecret = 'canary'\ntype_prefix = 'hookstream.workflow'",
            "sources.a.type_prefix (…4) must not be that of another kind",
        ),
        (
            "[sources.a]\nscheme = 'hmac'\nsecret = 'canary'\nsignature_header = 'X'\nsignature_prefix = ' v1='",
            "sources.a.signature_prefix (…5) must not begin with a space",
        ),
        (
            "[sources.a]\nscheme = 'stripe'\nsecret = 'canary'\nreplay = 'reject'",
            "sources.a.replay (…4) is for schemes that sign no id",
        ),
        (
            "[sources.a]\nscheme = 'gitlab'\nsecret = 'canary'\nreplay = 'refuse'",
            "sources.a.replay (…4) must be one of flag, reject",
        ),
        ("[sources.none]\nscheme = 'slack'\nsecret = 'canary'", "stands for unknown paths"),
        ("[sources.'a.b']\nscheme = 'slack'\nsecret = 'canary'", "is no name of a source"),
        ("[sources.A]\nscheme = 'slack'\nsecret = 'canary'", "is no name of a source"),
        (
            "[sources.github]\nscheme = 'slack'\nsecret = 'canary'",
            "sources.github.scheme (…2) must be github",
        ),
        ("[sources.internal]\nid_path = 'x'", "sources.internal.id_path (…2) is not for the scheme internal"),
    ] {
        let error = exit::chain(&read("wrong", toml).unwrap_err());
        let file = std::env::temp_dir().join(format!("hookstream-wrong-{}.toml", std::process::id()));
        let shown = error.replace(&format!("{}, line ", file.display()), "…");
        assert!(shown.contains(expected) && !shown.contains("canary"), "{toml}\n{shown}");
    }
}
