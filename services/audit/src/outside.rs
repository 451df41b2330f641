//! Where checkpoints are once they have left the database: a file that is appended to, and the stream `CHECKPOINTS`.
//!
//! A line of the file is `{"checkpoint": "<note>"}`. A line that does not end was being written when the power went;
//! the next one begins behind it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use hookstream_bus::{Bus, BusError};
use serde::{Deserialize, Serialize};

/// Stream that keeps what was published on [`SUBJECT`].
pub const STREAM: &str = "CHECKPOINTS";

/// Subject on which each checkpoint is published, as a signed note.
pub const SUBJECT: &str = "audit.checkpoints";

/// How much of the file's end is read for its last line: more than two of the longest notes.
const TAIL_BYTES: u64 = 32 * 1024;

#[derive(Serialize, Deserialize)]
struct Line {
    checkpoint: String,
}

/// The note of a line of the file; `None` for a line that is none.
pub fn note_of_line(line: &str) -> Option<String> {
    serde_json::from_str::<Line>(line).ok().map(|line| line.checkpoint)
}

/// Appends a note to the file, which is made if need be, and returns once it is on the disk.
pub(crate) fn append_to_file(path: &Path, note: &str) -> io::Result<()> {
    let mut file = File::options().create(true).append(true).read(true).open(path)?;
    let mut line = String::new();
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.push('\n');
        }
    }
    line.push_str(&serde_json::to_string(&Line { checkpoint: note.to_owned() })?);
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// The last note of the file; `None` if there is no file, or nothing in it. An end without any note is an error.
pub fn last_in_file(path: &Path) -> io::Result<Option<String>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    match tail.lines().rev().find_map(note_of_line) {
        Some(note) => Ok(Some(note)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "its end holds no checkpoint")),
    }
}

/// The last note of the stream; `None` if it holds none, or is not there.
pub async fn last_in_stream(bus: &Bus) -> Result<Option<String>, BusError> {
    let state = match bus.stream_state(STREAM).await {
        Ok(state) if state.messages > 0 => state,
        Ok(_) => return Ok(None),
        Err(BusError::StreamMissing(_)) => {
            tracing::warn!(
                "checkpoints are not kept by NATS: no stream {STREAM}; run `hookstream provision --apply`"
            );
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let message = bus.message_at(STREAM, state.last_sequence).await?;
    Ok(message.map(|message| String::from_utf8_lossy(&message.payload).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_appended_and_the_last_whole_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints");
        assert_eq!(last_in_file(&path).unwrap(), None);
        append_to_file(&path, "one\n\n\u{2014} a b\n").unwrap();
        append_to_file(&path, "two\n").unwrap();
        assert_eq!(last_in_file(&path).unwrap().as_deref(), Some("two\n"));
        // The power went while a third was being written.
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(br#"{"checkpoint":"thr"#).unwrap();
        assert_eq!(last_in_file(&path).unwrap().as_deref(), Some("two\n"));
        append_to_file(&path, "four\n").unwrap();
        assert_eq!(last_in_file(&path).unwrap().as_deref(), Some("four\n"));
        let text = std::fs::read_to_string(&path).unwrap();
        let notes: Vec<_> = text.lines().filter_map(note_of_line).collect();
        assert_eq!(notes, ["one\n\n\u{2014} a b\n", "two\n", "four\n"]);
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints");
        std::fs::write(&path, "x".repeat(100_000)).unwrap();
        assert_eq!(last_in_file(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::write(&path, "").unwrap();
        assert_eq!(last_in_file(&path).unwrap(), None);
    }
}
