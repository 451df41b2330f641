//! The folder that holds everything `up` keeps, and whose it is.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The data directory, ours as long as this lives.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    /// The kernel lets go of it when we end, in whatever way.
    _lock: File,
}

impl DataDir {
    /// Creates the folder if need be, and takes it: two at once would fight over ports, streams and tables.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        create(path)?;
        let path = path.canonicalize().with_context(|| format!("find {}", path.display()))?;
        create(&path.join("logs"))?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder, as an absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a process logs.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }
}

/// Open to all, for Postgres may run as somebody else; what is secret in it has its own mode.
fn create(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mode = 0o755;
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .with_context(|| format!("create {}", path.display()))
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let name = path.join("up.lock");
    let open = File::options().create(true).truncate(false).read(true).write(true).open(&name);
    let mut file = open.with_context(|| format!("open {}", name.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid); // only for the message
            bail!(
                "another `hookstream up` (process {}) uses {}; stop it, or choose another --data-dir",
                pid.trim(),
                path.display()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("lock {}", name.display()));
        }
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).context("write up.lock")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_up_on_the_same_folder_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = DataDir::open(&path).unwrap();
        let message = DataDir::open(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        assert!(message.contains("--data-dir"), "{message}");
        drop(first);
        DataDir::open(&path).unwrap();
    }
}
