//! Finds nats-server and Postgres on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::LocalError;

/// The oldest nats-server that will do: the first that can rewind a consumer in place (CONSUMER.RESET).
const NATS_MINIMUM: (u32, u32) = (2, 14);
/// The oldest Postgres that is still maintained.
const POSTGRES_MINIMUM: u32 = 14;

/// Where Postgres keeps its programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresBinaries {
    /// The folder with `postgres` and `initdb`.
    pub dir: PathBuf,
    /// Its major version.
    pub major: u32,
    /// Its version in full, as it says itself.
    pub version: String,
}

impl PostgresBinaries {
    /// The path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The nats-server to run: `$HOOKSTREAM_NATS_SERVER`, else the first on PATH that is new enough, else the one the
/// deploy scripts installed.
pub fn nats_server() -> Result<PathBuf, LocalError> {
    Places::of_this_machine().nats_server()
}

/// The Postgres to run: the one on PATH if it is new enough, else the newest of Debian's. Data that was written by
/// major version `wanted` can be read by no other.
pub fn postgres(wanted: Option<u32>) -> Result<PostgresBinaries, LocalError> {
    Places::of_this_machine().postgres(wanted)
}

/// Where to look.
#[derive(Debug, Default)]
struct Places {
    nats_server: Option<PathBuf>,
    path: Vec<PathBuf>,
    tools: Vec<PathBuf>,
    debian_postgres: PathBuf,
}

impl Places {
    fn of_this_machine() -> Self {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let mut tools: Vec<PathBuf> = var("HOOKSTREAM_TOOLS_DIR").map(PathBuf::from).into_iter().collect();
        // A built program or test lies somewhere below target/, and the scripts install into target/tools/bin.
        let program = std::env::current_exe().unwrap_or_default();
        tools.extend(program.ancestors().skip(1).take(4).map(|folder| folder.join("tools/bin")));
        Self {
            nats_server: var("HOOKSTREAM_NATS_SERVER").map(PathBuf::from),
            path: var("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            tools,
            debian_postgres: PathBuf::from("/usr/lib/postgresql"),
        }
    }

    fn nats_server(&self) -> Result<PathBuf, LocalError> {
        let candidates: Vec<PathBuf> = match &self.nats_server {
            Some(named) => vec![named.clone()],
            None => self.path.iter().chain(&self.tools).map(|dir| dir.join("nats-server")).collect(),
        };
        let mut seen = Vec::new();
        for candidate in candidates.into_iter().filter(|path| self.nats_server.is_some() || path.is_file()) {
            let version = version_of(&candidate);
            match version.as_deref().and_then(numbers) {
                Some(found) if found >= NATS_MINIMUM => return Ok(candidate),
                Some(_) => seen.push(format!("{} is {}", candidate.display(), version.unwrap_or_default())),
                None => seen.push(format!("{} does not tell its version", candidate.display())),
            }
        }
        if seen.is_empty() {
            seen.push("not on PATH".to_owned());
        }
        Err(LocalError::NotFound {
            program: format!("nats-server {}.{} or newer", NATS_MINIMUM.0, NATS_MINIMUM.1),
            looked: seen.join(", "),
            advice: "deploy/up and deploy/test install it; or put it on PATH, or set HOOKSTREAM_NATS_SERVER to its path"
                .to_owned(),
        })
    }

    fn postgres(&self, wanted: Option<u32>) -> Result<PostgresBinaries, LocalError> {
        let on_path = self.path.iter().flat_map(|dir| [dir.join("postgres"), dir.join("initdb")]);
        // /usr/local/bin/postgres may be a link into the folder that has the rest.
        let mut folders: Vec<PathBuf> = on_path
            .filter_map(|program| program.canonicalize().ok())
            .filter_map(|program| program.parent().map(Path::to_owned))
            .collect();
        folders.extend(self.debian_versions());
        let mut seen = Vec::new();
        for dir in folders {
            if !dir.join("initdb").is_file() {
                continue;
            }
            let version = version_of(&dir.join("postgres"));
            let Some((major, _)) = version.as_deref().and_then(numbers) else { continue };
            if wanted.map_or(major >= POSTGRES_MINIMUM, |wanted| major == wanted) {
                return Ok(PostgresBinaries { dir, major, version: version.unwrap_or_default() });
            }
            seen.push(format!("{} has {major}", dir.display()));
        }
        if seen.is_empty() {
            seen.push(format!("neither on PATH nor in {}", self.debian_postgres.display()));
        }
        Err(LocalError::NotFound {
            program: match wanted {
                Some(major) => format!("Postgres {major}, which wrote this data,"),
                None => format!("Postgres {POSTGRES_MINIMUM} or newer"),
            },
            looked: seen.join(", "),
            advice: match wanted {
                Some(major) => {
                    format!("install Debian's package postgresql-{major} or put its bin folder on PATH")
                }
                None => {
                    "deploy/up and deploy/test install it; or install Debian's package postgresql".to_owned()
                }
            },
        })
    }

    /// The bin folders of Debian's installed versions, newest first.
    fn debian_versions(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.debian_postgres).into_iter().flatten().flatten();
        let major_of = |name: &OsStr| name.to_str().and_then(|name| name.parse::<u32>().ok());
        let mut versions: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| Some((major_of(&entry.file_name())?, entry.path().join("bin"))))
            .collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions.into_iter().map(|(_, dir)| dir).collect()
    }
}

/// The last word of the first line of `program --version` that begins like a version, without a leading `v`.
fn version_of(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.lines().next()?.split_whitespace().map(|word| word.trim_start_matches('v'));
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned).next()
}

/// Major and minor version: `2.15.1` and `15.14` and `18beta1`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    Some((major, minor))
}

#[cfg(test)]
mod tests;
