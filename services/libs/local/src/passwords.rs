use std::fmt::{self, Write};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::LocalError;
use crate::error::Doing;
use crate::files;

/// The users that nats.conf knows, one per role.
pub const ROLES: [&str; 8] =
    ["gateway", "phase_queue", "task_log", "audit", "backend", "worker", "operator", "subscriber"];

/// A password for each of [`ROLES`]. `Debug` shows none of them.
#[derive(Clone)]
pub struct Passwords([String; ROLES.len()]);

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords(…)")
    }
}

impl Passwords {
    /// New random ones.
    pub fn generate() -> Result<Self, LocalError> {
        let mut passwords = [const { String::new() }; ROLES.len()];
        for password in &mut passwords {
            *password = random_password()?;
        }
        Ok(Self(passwords))
    }

    /// Those kept in `path`; what is missing there (all at first) is generated and written, mode 600.
    pub fn load_or_create(path: &Path) -> Result<Self, LocalError> {
        let kept = files::read_if_present(path)?.unwrap_or_default();
        let mut passwords = Self::generate()?;
        let mut missing = false;
        for (role, password) in ROLES.iter().zip(&mut passwords.0) {
            let prefix = format!("{}=", Self::variable(role));
            match kept.lines().find_map(|line| line.strip_prefix(&prefix)).filter(|value| !value.is_empty()) {
                Some(value) => value.clone_into(password),
                None => missing = true,
            }
        }
        if missing {
            files::write_private(path, &passwords.render())?;
        }
        Ok(passwords)
    }

    /// The password of a role, `None` for a role that nats.conf does not have.
    pub fn of(&self, role: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == role).map(|(_, password)| password)
    }

    /// Role and password, in the order of [`ROLES`].
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        ROLES.into_iter().zip(self.0.iter().map(String::as_str))
    }

    /// The variable that nats.conf reads the role's password from.
    pub fn variable(role: &str) -> String {
        format!("HOOKSTREAM_NATS_{}_PASSWORD", role.to_ascii_uppercase())
    }

    fn render(&self) -> String {
        let mut text = String::from("# Passwords of the users in nats.conf, generated at the first start.\n");
        for (role, password) in self.iter() {
            let _ = writeln!(text, "{}={password}", Self::variable(role));
        }
        text
    }
}

/// 160 random bits as 32 letters and digits of base 32. The first is a letter: nats-server reads a value from the
/// environment as configuration text, where a leading digit would make it a number.
pub fn random_password() -> Result<String, LocalError> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .doing(|| "read /dev/urandom".to_owned())?;
    let letters = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Ok(std::iter::once('p').chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn passwords_are_kept_in_a_file_that_only_the_owner_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passwords.env");
        let first = Passwords::load_or_create(&path).unwrap();
        let second = Passwords::load_or_create(&path).unwrap();
        assert_eq!(first.of("gateway"), second.of("gateway"));
        assert_ne!(first.of("gateway"), first.of("audit"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_role_added_later_gets_a_password_and_the_others_keep_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passwords.env");
        std::fs::write(&path, "HOOKSTREAM_NATS_GATEWAY_PASSWORD=kept\n").unwrap();
        let passwords = Passwords::load_or_create(&path).unwrap();
        assert_eq!(passwords.of("gateway"), Some("kept"));
        assert_eq!(passwords.of("audit").map(str::len), Some(33));
        assert!(std::fs::read_to_string(&path).unwrap().contains("HOOKSTREAM_NATS_AUDIT_PASSWORD=p"));
    }

    #[test]
    fn debug_output_shows_no_password() {
        let passwords = Passwords::generate().unwrap();
        assert!(!format!("{passwords:?}").contains(passwords.of("operator").unwrap()));
    }
}
