//! The logs of child processes: all of it into a file, errors to standard error, too.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;

use crate::output::progress;

/// A log file that is larger is renamed to `….log.1`, in place of the former one. In bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Longest line that is kept in one piece, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Follows what a child writes to standard error, on a thread of its own, until the child has ended.
pub(super) fn follow(name: &'static str, path: PathBuf, from: impl Read + Send + 'static) -> io::Result<()> {
    let mut file = LogFile::open(path)?;
    thread::Builder::new().name(format!("log {name}")).spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while let Ok(1..) = (&mut from).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            // A log that cannot be written must not stop the service that writes it.
            let _ = file.append(&line);
            if let Some(error) = worth_telling(&String::from_utf8_lossy(&line)) {
                progress(format_args!("{name}: {error}"));
            }
            line.clear();
        }
    })?;
    Ok(())
}

/// Renames a log file that has grown large.
pub(super) fn rotate(path: &Path) -> io::Result<()> {
    if path.metadata().is_ok_and(|found| found.len() > FILE_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    Ok(())
}

struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl LogFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        rotate(&path)?;
        let file = open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        if self.bytes > FILE_BYTES_MAX {
            rotate(&self.path)?;
            self.file = open(&self.path)?;
            self.bytes = 0;
        }
        Ok(())
    }
}

/// Only the owner reads it: logs name people and repositories.
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().create(true).append(true).mode(0o600).open(path)
}

/// The message of a line at level error, and any line that is no log line: a process that cannot start says why so.
fn worth_telling(line: &str) -> Option<String> {
    let line = line.trim_end();
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
        let is_log_line = [" INFO ", " WARN ", " DEBUG ", " TRACE "].iter().any(|level| line.contains(level));
        return (!is_log_line && !line.is_empty()).then(|| line.to_owned());
    };
    if fields.get("level").and_then(Value::as_str) != Some("ERROR") {
        return None;
    }
    Some(fields.get("message").and_then(Value::as_str).unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_plain_words_are_told_and_the_rest_is_only_kept() {
        let told = |line: &str| worth_telling(line);
        assert_eq!(told(r#"{"level":"ERROR","message":"it broke","x":1}"#).as_deref(), Some("it broke"));
        assert_eq!(told(r#"{"level":"INFO","message":"ERROR is only a word here"}"#), None);
        assert_eq!(
            told("error: settings: NATS_URL is wrong\n").as_deref(),
            Some("error: settings: NATS_URL is wrong")
        );
        assert_eq!(told("2026-11-23T20:00:00Z  INFO hookstream: started"), None);
        assert_eq!(told("\n"), None);
    }

    #[test]
    fn a_large_log_makes_way_for_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.log");
        let mut log = LogFile::open(path.clone()).unwrap();
        log.append(b"first\n").unwrap();
        log.bytes = FILE_BYTES_MAX;
        File::options().write(true).open(&path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        log.append(b"second\n").unwrap();
        log.append(b"third\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
        assert!(dir.path().join("gateway.log.1").exists());
    }
}
