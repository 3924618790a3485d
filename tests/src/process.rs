//! Child processes that cannot outlive their test, ports to listen on, and paths in the tree.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::eventually::within;

/// How long a process may take to end once it has been asked to.
const EXIT_PATIENCE: Duration = Duration::from_secs(30);

/// The folder that holds the whole tree.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in a folder of the tree")
}

/// A program that this test's build put beside the test itself.
///
/// # Panics
/// When it is not there.
pub fn built(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let folder = test.parent().and_then(Path::parent).expect("cargo puts tests into a folder 'deps'");
    let path = folder.join(program);
    assert!(path.is_file(), "{} is missing: run 'cargo build -p {program}' first", path.display());
    path
}

/// A port on loopback that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// A running child process with its output in a file.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with standard output and error appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let open = || {
            let file = std::fs::File::options().create(true).append(true).open(log);
            file.unwrap_or_else(|error| panic!("cannot write {}: {error}", log.display()))
        };
        // A group of its own: a Ctrl-C at the tests' terminal reaches the tests alone, and they end their
        // children.
        command.stdin(Stdio::null()).stdout(open()).stderr(open()).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { child, name: name.to_owned(), log: log.to_owned() }
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked whether it has ended")
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill9(&mut self) {
        // A child that has ended by itself cannot be killed, which is as well.
        if self.child.kill().is_ok() || self.exited().is_none() {
            self.child.wait().expect("a killed child can be waited for");
        }
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot send {signal} to {}", self.name);
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let (name, log) = (self.name.clone(), self.log.clone());
        within(EXIT_PATIENCE, &format!("{name} ends"), || {
            self.exited().ok_or_else(|| format!("still running; its log ends:\n{}", tail(&log)))
        })
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- the log of {} ends:\n{}", self.name, tail(&self.log));
        }
    }
}

/// The last lines of a file.
fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
