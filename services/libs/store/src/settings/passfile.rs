//! `~/.pgpass`: lines of `host:port:database:user:password`, the first that fits counts (Postgres manual, 34.16).

use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::{Lookup, host_text};

/// The password for `config`'s first host, from `PGPASSFILE` or `~/.pgpass`.
pub(crate) fn password_for(config: &Config, lookup: Lookup<'_>) -> Option<String> {
    let path = lookup("PGPASSFILE")
        .map(PathBuf::from)
        .or_else(|| lookup("HOME").map(|home| Path::new(&home).join(".pgpass")))?;
    let text = std::fs::read_to_string(&path).ok()?;
    if others_may_read(&path) {
        let shown = path.display();
        tracing::warn!("ignoring {shown}: it holds passwords and others may read it; chmod 600 it");
        return None;
    }
    let host = match config.get_hosts().first() {
        Some(Host::Unix(_)) | None => "localhost".to_owned(),
        Some(host) => host_text(host),
    };
    let port = config.get_ports().first().map_or_else(|| "5432".to_owned(), ToString::to_string);
    find(&text, [&host, &port, config.get_dbname()?, config.get_user()?])
}

fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

/// The password of the first line whose four fields fit `wanted`; `*` fits anything.
pub(crate) fn find(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split(line);
        let fits = fields.len() == 5
            && fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then(|| fields[4].clone())
    })
}

/// Splits at colons; a backslash takes the next character as it is. The fifth field runs to the line's end.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let last = fields.len() - 1;
        match character {
            ':' if last < 4 => fields.push(String::new()),
            '\\' => fields[last].extend(characters.next()),
            other => fields[last].push(other),
        }
    }
    fields
}
