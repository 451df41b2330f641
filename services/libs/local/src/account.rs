//! Which user Postgres runs as, and what that user can reach.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::LocalError;
use crate::error::Doing;

/// Debian's account for Postgres.
const POSTGRES_USER: &str = "postgres";

/// The user that runs Postgres: ourselves, or `postgres` when we are root, because Postgres refuses to be root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    Ourselves,
    Other { name: &'static str, uid: u32, gid: u32 },
}

impl Account {
    pub(crate) fn for_postgres() -> Result<Self, LocalError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        let (uid, gid) = (id_of("-u")?, id_of("-g")?);
        Ok(Self::Other { name: POSTGRES_USER, uid, gid })
    }

    /// For [`crate::process::Program::user`].
    pub(crate) fn user(self) -> Option<&'static str> {
        match self {
            Self::Ourselves => None,
            Self::Other { name, .. } => Some(name),
        }
    }

    /// Whether the directory can be entered by this user; every folder above it counts.
    pub(crate) fn can_enter(self, dir: &Path) -> bool {
        let Some(user) = self.user() else { return true };
        Command::new("setpriv")
            .args([&format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups", "test", "-x"])
            .arg(dir)
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Makes the file or directory this user's own.
    pub(crate) fn own(self, path: &Path) -> Result<(), LocalError> {
        let Self::Other { name, uid, gid } = self else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(uid), Some(gid))
            .doing(|| format!("give {} to user {name}", path.display()))
    }
}

/// Asks `id`, which knows every place accounts can come from.
fn id_of(which: &str) -> Result<u32, LocalError> {
    let output = Command::new("id")
        .args([which, POSTGRES_USER])
        .stdin(Stdio::null())
        .output()
        .doing(|| format!("run id {which} {POSTGRES_USER}"))?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| LocalError::NoPostgresUser)
}
