//! Where the data directory goes when the wanted place is closed to user postgres.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::error::Doing;
use crate::{LocalError, files, random_password};

/// Root's clone may lie under /root, where user postgres cannot go; then the data lives here.
const ELSEWHERE: &str = "/var/lib/hookstream";

/// The real path of the data directory. Where user postgres cannot enter its folder, the directory is made elsewhere
/// and linked from the wanted place, which is what a later start follows.
pub(super) fn place(wanted: &Path, account: Account, notes: &mut Vec<String>) -> Result<PathBuf, LocalError> {
    let (Some(folder), Some(name)) = (wanted.parent(), wanted.file_name()) else {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput))
            .doing(|| format!("use {} as a data directory", wanted.display()));
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    files::create_dir(folder, 0o755)?;
    let folder = folder.canonicalize().doing(|| format!("find {}", folder.display()))?;
    let wanted = folder.join(name);
    if let Ok(target) = std::fs::read_link(&wanted) {
        // One that somebody else made may be relative.
        let target = folder.join(target);
        files::create_dir(target.parent().unwrap_or(Path::new(ELSEWHERE)), 0o711)?;
        return Ok(target);
    }
    if wanted.exists() || account.can_enter(&folder) {
        return Ok(wanted);
    }
    let target = elsewhere(&folder)?.join(name);
    symlink(&target, &wanted).doing(|| format!("link {}", wanted.display()))?;
    notes.push(format!(
        "user postgres cannot enter {}; Postgres keeps its data in {} instead, linked from there",
        folder.display(),
        target.display()
    ));
    Ok(target)
}

/// A new folder under [`ELSEWHERE`] named after the wanted one. Its name has a random end: after `rm -r` of the wanted
/// folder a fresh start must not find the old database, which knows nothing of the new stream.
fn elsewhere(folder: &Path) -> Result<PathBuf, LocalError> {
    let name: String =
        folder.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let random = random_password()?;
    let dir = Path::new(ELSEWHERE).join(format!("{}-{}", name.trim_matches('-'), &random[1..9]));
    files::create_dir(Path::new(ELSEWHERE), 0o755)?;
    files::create_dir(&dir, 0o711)?;
    Ok(dir)
}
