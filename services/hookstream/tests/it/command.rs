//! Runs the binary.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use hookstream_runtime::settings::SETTINGS;
use serde_json::Value;

/// A run of `hookstream` in an empty folder, where no setting of the test's own environment reaches it.
pub(crate) struct Hookstream {
    command: Command,
    stdin: Vec<u8>,
    folder: tempfile::TempDir,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// A run that goes on. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Running {
    /// Sends a signal by its name, such as INT.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success(), "cannot send {name}");
    }

    /// Its standard output, line by line as it comes; [`Running::end`] then has none of it.
    pub(crate) fn lines(&mut self) -> Lines {
        let (send, lines) = std::sync::mpsc::channel();
        let output = BufReader::new(self.child.stdout.take().unwrap());
        self.child.stdout = None;
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Lines(lines)
    }

    /// The same of its standard error.
    pub(crate) fn errors(&mut self) -> Lines {
        let (send, lines) = std::sync::mpsc::channel();
        let output = BufReader::new(self.child.stderr.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Lines(lines)
    }

    pub(crate) async fn end(mut self) -> Done {
        let output = tokio::task::spawn_blocking(move || {
            let (mut stdout, mut stderr) = (String::new(), String::new());
            if let Some(mut output) = self.child.stdout.take() {
                output.read_to_string(&mut stdout).unwrap();
            }
            if let Some(mut output) = self.child.stderr.take() {
                output.read_to_string(&mut stderr).unwrap();
            }
            Done { code: self.child.wait().unwrap().code().unwrap_or(-1), stdout, stderr }
        });
        output.await.unwrap()
    }
}

/// Lines of a running command.
pub(crate) struct Lines(std::sync::mpsc::Receiver<String>);

impl Lines {
    /// The next line, if it has come.
    pub(crate) fn try_next(&mut self) -> Option<String> {
        self.0.try_recv().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Hookstream {
    pub(crate) fn new(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookstream"));
        command.args(args).current_dir(folder.path());
        for setting in SETTINGS {
            command.env_remove(setting.name);
            command.env_remove(setting.file_name().unwrap_or_else(|| setting.name.to_owned()));
        }
        Self { command, stdin: Vec::new(), folder }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.into();
        self
    }

    /// Starts it and leaves it running.
    pub(crate) fn spawn(mut self) -> Running {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: self.command.spawn().unwrap(), _folder: self.folder }
    }

    pub(crate) fn run_blocking(mut self) -> Done {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        // It may end without having read anything.
        let _ = child.stdin.take().unwrap().write_all(&self.stdin);
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
    }

    pub(crate) async fn run(self) -> Done {
        tokio::task::spawn_blocking(|| self.run_blocking()).await.unwrap()
    }
}
