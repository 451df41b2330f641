//! Sources and secrets that follow their files, while requests are served.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use hookstream_bus::Bus;
use hookstream_runtime::{Settings, exit};
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::acts::{self, Acts, KeyWatch};
use super::{LiveSources, Sources};

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// What tells one state of a file from another: it changes when the file is written, may be read by others, or another
/// takes its place.
type Stamp = Option<(i64, i64, u64, u64)>;

/// Reads settings and secrets again at SIGHUP and when one of their files changes, until `shutdown`.
///
/// What cannot be read or used changes nothing, is logged once, and tried again: that may pass by itself. A file that is
/// just being written is left alone until it looks the same twice in a row. What becomes of the keys is told to the
/// stream of acts.
pub(crate) async fn watch(
    settings: Settings,
    live: LiveSources,
    bus: &Bus,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let (acts, waiting) = acts::queue();
    let watching = follow(settings, live, acts, shutdown.clone());
    let (watched, ()) = tokio::join!(watching, waiting.publish(bus, &shutdown));
    watched
}

async fn follow(
    mut settings: Settings,
    live: LiveSources,
    acts: Acts,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let mut keys = KeyWatch::default();
    let mut hangups = signal(SignalKind::hangup())?;
    let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Nothing is known of the files at first: they may have changed since they were read.
    let (mut taken, mut last) = (None, stamps(&settings));
    let mut complaint = String::new();
    loop {
        for act in keys.look(&live.now().keys(), OffsetDateTime::now_utc()) {
            acts.tell(act);
        }
        let asked = tokio::select! {
            _ = ticks.tick() => false,
            _ = hangups.recv() => true,
            () = shutdown.cancelled() => return Ok(()),
        };
        // A handful of small files: not worth another thread.
        let found = stamps(&settings);
        let settled = found == last;
        let changed = taken.as_ref() != Some(&found);
        last.clone_from(&found);
        if !(asked || changed && settled) {
            continue;
        }
        match settings.read_again().and_then(|again| Ok((Sources::read(&again)?, again))) {
            Ok((sources, again)) => {
                let before = live.now().keys();
                let now = sources.keys();
                live.replace(sources);
                settings = again;
                if asked || now != before {
                    let ids: Vec<_> =
                        now.iter().map(|key| format!("{}:{}", key.source, key.key_id)).collect();
                    tracing::info!(keys = ids.join(" "), "read the sources again: {} keys", ids.len());
                }
                complaint.clear();
                // The settings may name other files now, of which nothing is known.
                taken = (settings.files() == files(&found)).then_some(found);
            }
            Err(error) => {
                let why = exit::chain(&error);
                if asked || why != complaint {
                    tracing::error!("cannot read the sources again, the old keys stay: {why}");
                    complaint = why;
                }
            }
        }
    }
}

fn stamps(settings: &Settings) -> Vec<(PathBuf, Stamp)> {
    let stamp = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.ctime(), metadata.ctime_nsec(), metadata.len(), metadata.ino()))
    };
    settings.files().into_iter().map(|path| (path.clone(), stamp(&path))).collect()
}

fn files(stamps: &[(PathBuf, Stamp)]) -> Vec<PathBuf> {
    stamps.iter().map(|(path, _)| path.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_may_be_read_now_looks_other_than_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "one").unwrap();
        let settings = Settings::from_pairs([("GITHUB_WEBHOOK_SECRET_FILE", file.to_str().unwrap())]);
        let before = stamps(&settings);
        assert_eq!((files(&before), stamps(&settings)), (vec![file.clone()], before.clone()));
        // The clock that stamps files ticks.
        while stamps(&settings) == before {
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        }
    }
}
