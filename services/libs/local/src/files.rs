//! Files and folders with a stated mode.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::LocalError;
use crate::error::Doing;

/// Creates the folder and those above it; an existing one keeps its mode.
pub(crate) fn create_dir(path: &Path, mode: u32) -> Result<(), LocalError> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        // The mode above is narrowed by the umask, which would shut user postgres out of a folder meant for it.
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
        .doing(|| format!("create {}", path.display()))
}

/// Opens a log file for appending; readable by its owner only, as logs may name people and repositories.
pub(crate) fn open_log(path: &Path) -> Result<File, LocalError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .doing(|| format!("open the log {}", path.display()))
}

/// Writes a file that only its owner may read, in one step: a reader sees the old text or the new one.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), LocalError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?; // mode 600
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().doing(|| format!("write {}", path.display()))
}

/// Reads a file; `None` when it does not exist.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<String>, LocalError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(|| format!("read {}", path.display())),
    }
}

/// Removes a folder with all it holds, if it exists.
pub(crate) fn remove_tree(path: &Path) -> Result<(), LocalError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
