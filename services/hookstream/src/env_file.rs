//! Files of KEY=VALUE lines that a shell can source and that only their owner can read.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// Where a running `up` is reached: a file in its data directory.
pub(crate) const CONNECTION: &str = "connection.env";

/// Writes the file, mode 600, in one step: a reader sees the old lines or the new ones.
pub(crate) fn write(path: &Path, about: &str, pairs: &[(&str, String)]) -> anyhow::Result<()> {
    let mut text = format!("# {about}\n");
    for (name, value) in pairs {
        writeln!(text, "{name}={}", quoted(value))?;
    }
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?; // mode 600
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// The pairs of the file; none when it does not exist.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), unquoted(value)))
    };
    Ok(text.lines().filter(|line| !line.starts_with('#')).filter_map(pair).collect())
}

/// The value as a shell reads it back. Quoted only where it must be, for not every reader of such files is a shell.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+./:@%=,?".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Undoes [`quoted`].
fn unquoted(value: &str) -> String {
    match value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
        Some(inner) => inner.replace(r"'\''", "'"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let values =
            ["plain", "It's a Secret to $Everybody", "whsec_ab+/c=", "", "two\\ words \"quoted\" `id`"];
        let pairs: Vec<(&str, String)> =
            ["A", "B", "C", "D", "E"].into_iter().zip(values.map(str::to_owned)).collect();
        let path = dir.path().join(CONNECTION);
        write(&path, "For a test.", &pairs).unwrap();
        let script = ". \"$1\"; printf '%s\\n' \"$A\" \"$B\" \"$C\" \"$D\" \"$E\"";
        let output = Command::new("sh").args(["-euc", script, "sh"]).arg(&path).output().unwrap();
        let lines: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(lines, values);
        let read: Vec<String> = read(&path).unwrap().into_iter().map(|(_, value)| value).collect();
        assert_eq!(read, values);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
