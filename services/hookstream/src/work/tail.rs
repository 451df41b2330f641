//! The end of what a command writes to standard error.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// How much of it is kept, in bytes.
const BYTES_MAX: usize = 8192;

/// How long what was written may take to arrive, once the command has ended.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

/// Reads along, and passes it on.
#[derive(Debug)]
pub(super) struct Tail {
    kept: Arc<Mutex<VecDeque<u8>>>,
    ended: mpsc::Receiver<()>,
}

impl Tail {
    /// Begins to read, and to write all of it to `onward`.
    pub(super) fn of(
        mut errors: impl Read + Send + 'static,
        mut onward: impl Write + Send + 'static,
    ) -> std::io::Result<Self> {
        let (send, ended) = mpsc::sync_channel(1);
        let tail = Self { kept: Arc::default(), ended };
        let kept = Arc::clone(&tail.kept);
        thread::Builder::new().name("command's errors".to_owned()).spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = errors.read(&mut buffer) {
                // Nobody is left to read it if that is closed.
                let _ = onward.write_all(&buffer[..count]);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&buffer[..count]);
                let surplus = kept.len().saturating_sub(BYTES_MAX);
                kept.drain(..surplus);
            }
            // Nobody waits for it after `ARRIVES_WITHIN`.
            let _ = send.send(());
        })?;
        Ok(tail)
    }

    /// The end of it; what has come so far, if something that left the command's process group could still write.
    pub(super) fn read(self) -> String {
        // An error means that it could.
        let _ = self.ended.recv_timeout(ARRIVES_WITHIN);
        text(self.kept.lock().unwrap_or_else(PoisonError::into_inner).make_contiguous())
    }
}

/// As text, from a whole line on where something was cut off.
fn text(kept: &[u8]) -> String {
    let whole = if kept.len() < BYTES_MAX { kept } else { from_line(kept) };
    String::from_utf8_lossy(whole).replace('\0', "\u{fffd}").trim_end().to_owned()
}

fn from_line(kept: &[u8]) -> &[u8] {
    kept.iter().position(|byte| *byte == b'\n').map_or(kept, |at| &kept[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_from_a_whole_line_on() {
        let read =
            |text: String| Tail::of(std::io::Cursor::new(text.into_bytes()), std::io::sink()).unwrap().read();
        assert_eq!(read("one\ntwo\n\n".to_owned()), "one\ntwo");
        assert_eq!(read(String::new()), "");
        let lines: Vec<String> = (0..5000).map(|n| format!("line {n}")).collect();
        let long = read(lines.join("\n"));
        assert!(
            long.len() <= BYTES_MAX && long.starts_with("line ") && long.ends_with("line 4999"),
            "{long}"
        );
        assert_eq!(read("x".repeat(20_000)).len(), BYTES_MAX);
    }

    #[test]
    fn what_was_written_is_told_though_somebody_keeps_the_pipe_open() {
        let (errors, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"no such file\n").unwrap();
        assert_eq!(Tail::of(errors, std::io::sink()).unwrap().read(), "no such file");
    }
}
