use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::LocalError;
use crate::account::Account;
use crate::error::Doing;
use crate::files;

/// A temporary folder for the data of a private server. It goes on drop; one whose process died first is swept by the
/// next process that makes one. User postgres can enter it when we are root.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Held until the folder is gone. The kernel gives it up when we die, which is how a sweep tells dead from alive.
    _lock: File,
}

impl Scratch {
    /// A new empty folder whose name begins with `name`.
    pub fn new(name: &str) -> Result<Self, LocalError> {
        let base = base()?;
        // Between creation and locking a folder looks like a dead one's, so nobody may sweep meanwhile.
        let _sweeping = lock(&base.join("sweep.lock"))?;
        sweep(&base)?;
        let path = tempfile::Builder::new()
            .prefix(&format!("run-{name}-"))
            .disable_cleanup(true)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711))
            .tempdir_in(&base)
            .doing(|| format!("create a folder in {}", base.display()))?
            .keep();
        // The umask may have narrowed the mode above.
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o711))
            .doing(|| format!("open {} to others", path.display()))?;
        let lock = lock(&path.join("alive.lock"))?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is swept later.
        let _ = files::remove_tree(&self.path);
    }
}

/// Removes the folders of processes that are gone.
fn sweep(base: &Path) -> Result<(), LocalError> {
    let entries = std::fs::read_dir(base).doing(|| format!("list {}", base.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"run-"));
        if ours && is_dead(&path) {
            // A server that is still on its way out may write into it once more; the next sweep gets the rest.
            let _ = files::remove_tree(&path);
        }
    }
    Ok(())
}

/// Whether nobody holds the folder's lock. One without a lock file died while it was being made.
fn is_dead(path: &Path) -> bool {
    match File::open(path.join("alive.lock")) {
        Ok(file) => match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        },
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Creates and locks a file; waits for whoever holds it.
pub(crate) fn lock(path: &Path) -> Result<File, LocalError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .doing(|| format!("open {}", path.display()))?;
    file.lock().doing(|| format!("lock {}", path.display()))?;
    Ok(file)
}

/// The folder of this user that holds the scratch folders and the Postgres template.
pub(crate) fn base() -> Result<PathBuf, LocalError> {
    let account = Account::for_postgres().unwrap_or(Account::Ourselves);
    let me = rustix::process::geteuid().as_raw();
    let mut problem = None;
    // TMPDIR may be a private folder of root's, closed to user postgres.
    for parent in [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")] {
        let base = parent.join(format!("hookstream-{me}"));
        if let Err(error) = files::create_dir(&base, 0o711) {
            problem = Some(error);
            continue;
        }
        // Others may create folders in /tmp too; never work inside theirs.
        let is_ours = std::fs::symlink_metadata(&base).is_ok_and(|found| found.is_dir() && found.uid() == me);
        if is_ours && account.can_enter(&base) {
            return Ok(base);
        }
    }
    Err(problem.unwrap_or_else(|| LocalError::Io {
        action: "find a temporary folder that is ours and that user postgres can enter; set TMPDIR to one"
            .to_owned(),
        source: std::io::ErrorKind::PermissionDenied.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_gone_after_drop() {
        let scratch = Scratch::new("test").unwrap();
        let path = scratch.path().to_owned();
        std::fs::write(path.join("file"), "text").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn folders_of_dead_processes_are_swept_and_those_of_the_living_stay() {
        let living = Scratch::new("living").unwrap();
        // What a process that was killed leaves: a folder whose lock nobody holds.
        let dead = base().unwrap().join("run-dead-x");
        std::fs::create_dir_all(dead.join("data")).unwrap();
        std::fs::write(dead.join("alive.lock"), "").unwrap();
        let _other = Scratch::new("other").unwrap();
        assert!(!dead.exists());
        assert!(living.path().join("alive.lock").exists());
    }
}
