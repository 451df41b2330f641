use std::time::Duration;

use hookstream_bus::GroupCommit;
use hookstream_runtime::{Settings, SettingsError, http};

use crate::body::BodyLimits;
use crate::limits::RateLimits;
use crate::replay::ReplayWindow;
use crate::sources::{LiveSources, Sources};

/// What a gateway needs to know. Its secrets are in keyrings, which show none.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who may send webhooks, with their keys.
    pub sources: LiveSources,
    /// How replays of GitHub's webhooks are found.
    pub replay_window: ReplayWindow,
    /// Limits of rates.
    pub rates: RateLimits,
    /// Bounds on bodies.
    pub body: BodyLimits,
    /// Bounds on connections.
    pub http: http::Limits,
    /// How long the stream may take to store an event.
    pub publish_budget: Duration,
    /// Bounds of group commit; none stores each event by itself.
    pub group_commit: Option<GroupCommit>,
}

impl Config {
    /// Reads and checks the settings. A source without a secret is an error that names the setting.
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let body = BodyLimits {
            bytes_max: settings.parse("HOOKSTREAM_BODY_BYTES_MAX")?,
            all_bytes_max: settings.parse("HOOKSTREAM_BODIES_BYTES_MAX")?,
            timeout: settings.duration("HOOKSTREAM_BODY_TIMEOUT")?,
            grace: settings.duration("HOOKSTREAM_BODY_GRACE")?,
            rate_min: settings.parse("HOOKSTREAM_BODY_RATE_MIN")?,
        };
        // Permits are counted in 32 bits.
        if body.all_bytes_max < body.bytes_max || u32::try_from(body.all_bytes_max).is_err() {
            let problem = "must be at least HOOKSTREAM_BODY_BYTES_MAX and less than 4 GiB";
            return Err(settings.invalid("HOOKSTREAM_BODIES_BYTES_MAX", problem));
        }
        Ok(Self {
            sources: LiveSources::new(Sources::read(settings)?),
            replay_window: ReplayWindow::read(settings)?,
            rates: RateLimits::read(settings)?,
            body,
            // What is on its way to the stream is followed up: else nobody would know of an event that was stored.
            http: http::Limits { outlives_client: true, ..http::Limits::read(settings)? },
            publish_budget: settings.duration("HOOKSTREAM_PUBLISH_BUDGET")?,
            group_commit: group_commit(settings)?,
        })
    }
}

fn group_commit(settings: &Settings) -> Result<Option<GroupCommit>, SettingsError> {
    let limits = GroupCommit {
        messages_max: settings.parse("HOOKSTREAM_COMMIT_MESSAGES_MAX")?,
        bytes_max: settings.parse("HOOKSTREAM_COMMIT_BYTES_MAX")?,
        commits_max: settings.parse("HOOKSTREAM_COMMITS_MAX")?,
    };
    if limits.messages_max > GroupCommit::MESSAGES_MAX {
        let problem = format!("must be at most {}", GroupCommit::MESSAGES_MAX);
        return Err(settings.invalid("HOOKSTREAM_COMMIT_MESSAGES_MAX", problem));
    }
    Ok((limits.messages_max > 1).then_some(limits))
}

#[cfg(test)]
mod tests {
    use hookstream_signature::Key;

    use super::*;

    const GITHUB: (&str, &str) = ("GITHUB_WEBHOOK_SECRET", "canary-github");
    const INTERNAL: (&str, &str) = ("INTERNAL_WEBHOOK_SECRET", "canary-internal");

    #[test]
    fn a_source_without_a_secret_is_refused_by_the_name_of_its_setting() {
        for (given, missing) in [(GITHUB, "INTERNAL_WEBHOOK_SECRET"), (INTERNAL, "GITHUB_WEBHOOK_SECRET")] {
            let error = Config::read(&Settings::from_pairs([given])).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{missing} is not set")), "{error}");
        }
        let blank = Settings::from_pairs([GITHUB, ("INTERNAL_WEBHOOK_SECRET", "  \n")]);
        let error = Config::read(&blank).unwrap_err().to_string();
        assert!(error.contains("INTERNAL_WEBHOOK_SECRET") && error.contains("white space"), "{error}");
    }

    #[test]
    fn both_secrets_are_active_while_a_rotation_lasts() {
        let settings =
            Settings::from_pairs([GITHUB, INTERNAL, ("GITHUB_WEBHOOK_SECRET_PREVIOUS", "canary-old")]);
        let config = Config::read(&settings).unwrap();
        let ids = |name: &str| {
            let source = config.sources.now().get(name).unwrap();
            source.keys.ids().map(str::to_owned).collect::<Vec<_>>()
        };
        // The ids are those of the secrets, whichever place they stand in.
        let id = |secret: &str| Key::fingerprint(secret.as_bytes());
        assert_eq!(ids("github"), [id("canary-github"), id("canary-old")]);
        assert_eq!(ids("internal"), [id("canary-internal")]);
    }

    #[test]
    fn trusted_proxies_are_networks() {
        let read = |proxies| {
            Config::read(&Settings::from_pairs([GITHUB, INTERNAL, ("HOOKSTREAM_TRUSTED_PROXIES", proxies)]))
        };
        assert!(read("10.0.0.0/8, ::1").is_ok());
        let error = read("10.0.0.0/8, proxy").unwrap_err().to_string();
        assert!(error.contains("HOOKSTREAM_TRUSTED_PROXIES (given) must be addresses"), "{error}");
    }

    #[test]
    fn a_rate_beyond_all_rates_is_no_limit() {
        for name in
            ["HOOKSTREAM_CLIENT_RATE_MAX", "HOOKSTREAM_SOURCE_RATE_MAX", "HOOKSTREAM_BAD_SIGNATURES_MAX"]
        {
            let config = Config::read(&Settings::from_pairs([GITHUB, INTERNAL, (name, "5000000000")]));
            assert!(config.is_ok(), "{name}: {config:?}");
        }
    }

    #[test]
    fn room_for_all_bodies_is_room_for_one() {
        let settings = Settings::from_pairs([GITHUB, INTERNAL, ("HOOKSTREAM_BODIES_BYTES_MAX", "1000")]);
        let error = Config::read(&settings).unwrap_err().to_string();
        assert!(error.contains("HOOKSTREAM_BODIES_BYTES_MAX (given) must be at least"), "{error}");
    }

    #[test]
    fn group_commit_can_be_switched_off_and_is_bounded_as_the_server_is() {
        let read = |name, value| Config::read(&Settings::from_pairs([GITHUB, INTERNAL, (name, value)]));
        assert_eq!(read("HOOKSTREAM_COMMIT_MESSAGES_MAX", "1").unwrap().group_commit, None);
        assert_eq!(read("HOOKSTREAM_COMMITS_MAX", "1").unwrap().group_commit, Some(GroupCommit::default()));
        let error = read("HOOKSTREAM_COMMIT_MESSAGES_MAX", "1001").unwrap_err().to_string();
        assert!(error.contains("must be at most 1000"), "{error}");
    }

    #[test]
    fn the_configuration_shows_no_secret() {
        let settings =
            Settings::from_pairs([GITHUB, INTERNAL, ("INTERNAL_WEBHOOK_SECRET_PREVIOUS", "canary-old")]);
        let shown = format!("{:?}", Config::read(&settings).unwrap());
        assert!(shown.contains("not_after") && !shown.contains("canary"), "{shown}");
    }
}
