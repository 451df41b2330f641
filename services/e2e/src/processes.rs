//! Finding and killing the processes of a pipeline, through /proc.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// One running process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The file name of its executable, such as `hookstream-gateway` or `postgres`.
    pub executable: String,
    parent: u32,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let folder = Path::new("/proc").join(pid.to_string());
        let executable = fs::read_link(folder.join("exe")).ok()?;
        let name = executable.file_name()?.to_string_lossy().trim_end_matches(" (deleted)").to_owned();
        // Fields follow the command in parentheses, which may itself hold spaces and parentheses.
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        (state != "Z").then_some(Self { pid, executable: name, parent })
    }

    /// Sends SIGKILL: the process gets no chance to tidy up.
    pub fn kill(&self) -> Result<()> {
        signal(self.pid, "KILL")
    }
}

/// Sends a signal by name. Goes through the shell's own `kill`, for this workspace forbids unsafe code.
pub(crate) fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
    ensure!(status.context("run kill")?.success(), "kill -{name} {pid} failed");
    Ok(())
}

/// The descendants of `ancestor` that run now.
pub fn running_below(ancestor: u32) -> Vec<Process> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<Process> = pids
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .filter_map(Process::read)
        .collect();
    let mut family = BTreeSet::from([ancestor]);
    loop {
        let before = family.len();
        family.extend(
            all.iter().filter(|process| family.contains(&process.parent)).map(|p| p.pid).collect::<Vec<_>>(),
        );
        if family.len() == before {
            break;
        }
    }
    all.into_iter().filter(|process| process.pid != ancestor && family.contains(&process.pid)).collect()
}
