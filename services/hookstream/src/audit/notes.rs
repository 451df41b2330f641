//! Checkpoints outside of the database, from where they are kept.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use hookstream_audit::outside;
use hookstream_bus::Bus;
use hookstream_trail::Checkpoint;
use hookstream_trail::note::{NOTE_BYTES_MAX, PublicKey};

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// The checkpoints of a file: a note, or a line of JSON for each, as the trail appends them. Each must be signed by one
/// of `keys`; a last line that does not end is left out.
pub(super) fn in_file(path: &Path, keys: &[PublicKey]) -> anyhow::Result<Vec<(String, Checkpoint)>> {
    let place = path.display();
    let file = File::open(path).with_context(|| format!("open {place}"))?;
    let mut reader = BufReader::new(file);
    let is_lines = reader.fill_buf().with_context(|| format!("read {place}"))?.first() == Some(&b'{');
    if !is_lines {
        let mut note = String::new();
        let mut limited = reader.take(NOTE_BYTES_MAX as u64 + 1);
        limited.read_to_string(&mut note).with_context(|| format!("read {place}"))?;
        let checkpoint =
            Checkpoint::open(&note, keys).with_context(|| format!("the checkpoint in {place}"))?;
        return Ok(vec![(place.to_string(), checkpoint)]);
    }
    let (mut found, mut number) = (Vec::new(), 0_u64);
    loop {
        let mut line = String::new();
        let read = (&mut reader).take(LINE_BYTES_MAX).read_line(&mut line);
        if read.with_context(|| format!("read {place}"))? == 0 {
            return Ok(found);
        }
        number += 1;
        let at = || format!("{place}, line {number}");
        let Some(note) = outside::note_of_line(&line) else {
            // The power went while it was written, and the next one began behind it.
            if line.trim_end().ends_with('}') {
                bail!("{}: holds no checkpoint", at());
            }
            continue;
        };
        found.push((at(), Checkpoint::open(&note, keys).with_context(at)?));
    }
}

/// The newest checkpoint that NATS keeps.
pub(super) async fn on_nats(bus: &Bus, keys: &[PublicKey]) -> anyhow::Result<Option<(String, Checkpoint)>> {
    let place = format!("stream {}", outside::STREAM);
    let Some(note) = outside::last_in_stream(bus).await.with_context(|| format!("read {place}"))? else {
        return Ok(None);
    };
    let checkpoint =
        Checkpoint::open(&note, keys).with_context(|| format!("the last checkpoint in {place}"))?;
    Ok(Some((place, checkpoint)))
}
