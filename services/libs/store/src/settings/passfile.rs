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

/// The password of the first line whose four fields fit `wanted`; a bare `*` fits anything.
pub(crate) fn find(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = split(line);
        let password = fields.pop().filter(|_| fields.len() == 4)?;
        let fits = fields.iter().zip(wanted).all(|(field, wanted)| field.is_any || field.text == wanted);
        fits.then_some(password.text)
    })
}

#[derive(Default)]
struct Field {
    text: String,
    /// A `*` that no backslash takes the meaning from.
    is_any: bool,
}

/// Splits at colons; a backslash takes the next character as it is. The fifth field runs to the line's end.
fn split(line: &str) -> Vec<Field> {
    let mut fields = vec![Field::default()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let count = fields.len();
        let field = fields.last_mut().expect("there is a first field");
        match character {
            ':' if count < 5 => fields.push(Field::default()),
            '\\' => {
                field.text.extend(characters.next());
                field.is_any = false;
            }
            other => {
                field.is_any = other == '*' && field.text.is_empty();
                field.text.push(other);
            }
        }
    }
    fields
}
