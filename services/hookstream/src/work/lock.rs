//! One run of a phase at a time on this machine, whatever becomes of the worker that started it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Held by a worker, and by all that its command starts: the kernel gives it up when the last of them has ended.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// The lock of a phase; `None` while somebody has it.
    pub(super) fn take(folder: &Path, queue_id: &str) -> anyhow::Result<Option<Self>> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let path = folder.join(format!("{queue_id}.lock"));
        let taken = take(&path).with_context(|| format!("lock {}", path.display()))?;
        Ok(taken.map(|file| Self { file, path }))
    }

    /// The open file, for the command to hold.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked, so that nobody has it but us. What still holds it beside us is then found by nobody; but
        // when the command has ended, what was left of its group was ended, too.
        let _ = fs::remove_file(&self.path);
    }
}

fn take(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Its last owner may have removed it between our opening and locking it.
        let is_named = |named: fs::Metadata| file.metadata().is_ok_and(|held| held.ino() == named.ino());
        if fs::metadata(path).is_ok_and(is_named) {
            return Ok(Some(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use hookstream_local::process::{Death, Program};

    use super::*;

    #[test]
    fn a_lock_is_held_once_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path(), "q").unwrap().unwrap();
        assert!(Lock::take(folder.path(), "q").unwrap().is_none());
        Lock::take(folder.path(), "r").unwrap().unwrap();
        drop(first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        Lock::take(folder.path(), "q").unwrap().unwrap();
    }

    #[test]
    fn what_a_command_has_started_holds_its_lock_after_the_worker_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.lock");
        let file = take(&path).unwrap().unwrap();
        let child = folder.path().join("child");
        let script = format!("sleep 60 & echo $! > {}; wait", child.display());
        let program = Program::new("/bin/sh").args(["-c", &script]).hold(file.try_clone().unwrap());
        let process = program.spawn().unwrap();
        let soon = |what: &dyn Fn() -> bool| {
            let pause = || std::thread::sleep(std::time::Duration::from_millis(10));
            assert!((0..2000).any(|_| what() || {
                pause();
                false
            }));
        };
        soon(&|| fs::read_to_string(&child).is_ok_and(|pid| pid.ends_with('\n')));
        // As a worker that is killed: nothing is tidied up.
        drop(file);
        assert!(take(&path).unwrap().is_none(), "the command holds it");
        process.signal(Death::Kill);
        process.wait();
        assert!(take(&path).unwrap().is_none(), "what the command has started holds it");
        let pid = fs::read_to_string(&child).unwrap();
        Program::new("/bin/sh").args(["-c", &format!("kill -9 {pid}")]).spawn().unwrap().wait();
        soon(&|| take(&path).unwrap().is_some());
    }
}
