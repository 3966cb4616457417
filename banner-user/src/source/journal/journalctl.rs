//! The process that reads the journal's files for us: `journalctl`, of the systemd that writes them.
//!
//! It knows what that systemd may have written: compressed with any of three libraries, compact, sealed, unclean after a crash,
//! rotated or removed while being read. It maps files that another process may truncate, which here costs a process that is
//! started again, and not the daemon.

use std::{
    io,
    path::{Path, PathBuf},
    process::{self, ExitStatus, Stdio},
};

use nix::fcntl::{FcntlArg, fcntl};
use tokio::{
    net::unix::pipe::Receiver,
    process::{Child, Command},
};

use super::{cursor::JournalPosition, export::Field};
use crate::{clock::WallTime, event::Escaped};

/// Where systemd's packages put it: Debian and its like, a system with separate directories, NixOS.
const PLACES: [&str; 3] = ["/usr/bin/journalctl", "/bin/journalctl", "/run/current-system/sw/bin/journalctl"];

/// The pipe's length: what an unprivileged process may have (`fs.pipe-max-size`), so that it is emptied seldom.
const PIPE: i32 = 1 << 20;

/// What is kept of what it says on its error output.
const SAID_MAX: usize = 300;

/// How the journal is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journalctl {
    program: PathBuf,
    /// None for this machine's journal.
    directory: Option<PathBuf>,
}

/// From where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// This entry, or the next one where it is gone.
    Entry(JournalPosition),
    /// The first entry that is not older.
    Time(WallTime),
}

/// A `journalctl` at work.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) output: Receiver,
    errors: Option<Receiver>,
    child: Child,
    said: Vec<u8>,
}

impl Journalctl {
    /// This machine's own journal.
    #[must_use]
    pub fn system() -> Self {
        let found = PLACES.iter().map(Path::new).find(|path| path.exists());
        Self { program: found.unwrap_or(Path::new(PLACES[0])).to_owned(), directory: None }
    }

    /// The journal files in this directory.
    #[must_use]
    pub fn of_directory(self, directory: &Path) -> Self {
        Self { directory: Some(directory.to_owned()), ..self }
    }

    /// Another program instead.
    #[must_use]
    pub fn with_program(self, program: &Path) -> Self {
        Self { program: program.to_owned(), ..self }
    }

    /// The program that is started.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Reads on and on, from there. Needs a tokio runtime with I/O.
    pub(super) fn follow(&self, from: Start) -> io::Result<Running> {
        let mut command = Command::from(self.command());
        // It also ends by itself when nobody reads what it writes.
        command.kill_on_drop(true).args(["--follow", "--no-tail"]);
        match from {
            // With `--after-cursor` the entry after one that is gone would be skipped, and nobody would know that it is gone.
            Start::Entry(position) => command.arg(format!("--cursor={position}")),
            Start::Time(time) => {
                let micros = time.0.max(0);
                command.arg(format!("--since=@{}.{:06}", micros / 1_000_000, micros % 1_000_000))
            }
        };
        let mut child = command.spawn()?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let (Some(output), Some(errors)) = (output, errors) else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let output = output.into_owned_fd()?;
        // A shorter one will do.
        let _ = fcntl(&output, FcntlArg::F_SETPIPE_SZ(PIPE));
        Ok(Running {
            output: Receiver::from_owned_fd(output)?,
            errors: Some(Receiver::from_owned_fd(errors.into_owned_fd()?)?),
            child,
            said: Vec::new(),
        })
    }

    /// The newest entry alone, to see whether the journal can be read.
    pub(super) fn last(&self) -> process::Command {
        let mut command = self.command();
        command.arg("--lines=1");
        command
    }

    fn command(&self) -> process::Command {
        let mut command = process::Command::new(&self.program);
        // Only what it is told here decides what it does.
        command.env_clear().env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Users' own files have nothing of a mail server.
        command.args(["--quiet", "--no-pager", "--output=export", "--system"]);
        // `__` fields are always there.
        let fields: Vec<_> = Field::ALL.map(Field::name).into_iter().filter(|name| !name.starts_with("__")).collect();
        command.arg(format!("--output-fields={}", fields.join(",")));
        if let Some(directory) = &self.directory {
            command.arg("--directory").arg(directory);
        }
        // Not the kernel's messages, nor the audit system's, of which a firewall makes many. `driver` is journald itself. These
        // are the same whatever is configured: so an entry that was read once is found again.
        for transport in ["syslog", "journal", "stdout", "driver"] {
            command.arg(format!("_TRANSPORT={transport}"));
        }
        command
    }
}

impl Running {
    /// Returns when there is something to read, or it has ended. Loses nothing when it is dropped.
    pub(super) async fn readable(&self) {
        let errors = async {
            match &self.errors {
                Some(errors) => errors.readable().await,
                None => std::future::pending().await,
            }
        };
        // An error shows when reading.
        tokio::select! {
            _ = self.output.readable() => {}
            _ = errors => {}
        }
    }

    /// Takes in what it has complained about, so that it never waits for us.
    pub(super) fn listen(&mut self) {
        let mut piece = [0; 1024];
        // Bounded: it gets on with its work again and again, and so do we.
        for _ in 0..16 {
            let Some(errors) = &self.errors else { return };
            match errors.try_read(&mut piece) {
                Ok(0) => self.errors = None,
                Ok(length) => {
                    let room = SAID_MAX.saturating_sub(self.said.len()).min(length);
                    self.said.extend_from_slice(piece.get(..room).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.errors = None,
            }
        }
    }

    /// The first line of what it has complained about, once it is whole.
    pub(super) fn take_said(&mut self) -> Option<String> {
        let end = memchr::memchr(b'\n', &self.said);
        if end.is_none() && self.errors.is_some() && self.said.len() < SAID_MAX {
            return None;
        }
        let line = self.said.get(..end.unwrap_or(self.said.len()))?;
        let said = (!line.is_empty()).then(|| Escaped(line).to_string());
        self.said.clear();
        said
    }

    /// Ends it, if it has not ended by itself.
    pub(super) fn stop(&mut self) {
        // That it has ended is an error here.
        let _ = self.child.start_kill();
    }

    /// How it ended; none where it has not.
    pub(super) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&mut self) {
        // An error shows in `status`.
        let _ = self.child.wait().await;
    }
}
