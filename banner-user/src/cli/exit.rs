//! How a command ends.

use std::{fmt::Display, io, process::ExitCode};

use crate::{
    config,
    control::{client::ClientError, protocol::ErrorKind},
};

/// The exit codes. They are part of the interface: scripts and monitoring read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: the answer is no. Not banned, or refused, or no line counted.
    No,
    /// 2: what was typed or configured makes no sense, or cannot be read.
    Usage,
    /// 3: the daemon is not reachable.
    Unreachable,
    /// 4: the kernel refused.
    Kernel,
}

/// What `--help` says of them.
pub(super) const HELP: &str = "\
Exit codes:
  0  done; `why`: the address is banned; `match`: a line was counted
  1  the answer is no: not banned, refused, no line counted; `health`: something to look at
  2  usage or configuration, or a log file that cannot be read
  3  the daemon is not reachable: it is starting, ending or hung, or not running; `status` then
     shows what the kernel still enforces without it
  4  the kernel refused

Without a daemon `status`, `bans` and `detach` work on what is pinned in the kernel.
Times are local; NO_COLOR turns colours off. The daemon's API is HTTP on its socket:
  curl --unix-socket /run/banner/banner.sock http://banner/v1/status";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::Kernel => 4,
        })
    }
}

/// Why a command did not do what it should.
#[derive(Debug)]
pub struct Failure(Reason);

#[derive(Debug)]
enum Reason {
    Said { exit: Exit, message: String },
    Output(io::Error),
}

impl Failure {
    /// A failure with its message: what failed, why, and what to do next. Control bytes in it are already escaped.
    #[must_use]
    pub fn new(exit: Exit, message: &impl Display) -> Self {
        Self(Reason::Said { exit, message: format!("error: {message}") })
    }

    /// The output could not be written.
    pub(super) fn output(error: io::Error) -> Self {
        Self(Reason::Output(error))
    }

    /// How the process ends. Nobody reads on from a broken pipe, and that is not an error of this end.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match &self.0 {
            Reason::Said { exit, .. } => *exit,
            Reason::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Reason::Output(_) => Exit::Usage,
        }
    }

    /// What to tell, if anything.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        match &self.0 {
            Reason::Said { message, .. } => Some(message.clone()),
            Reason::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Reason::Output(error) => Some(format!("error: cannot write the output: {error}")),
        }
    }
}

impl From<config::Errors> for Failure {
    fn from(errors: config::Errors) -> Self {
        Self(Reason::Said { exit: Exit::Usage, message: errors.to_string() })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::NotRunning { .. }
            | ClientError::Permission { .. }
            | ClientError::Broken { .. }
            | ClientError::Unresponsive { .. } => Exit::Unreachable,
            ClientError::Answered(answer) => Exit::from(answer.kind),
        };
        Self::new(exit, &error)
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotBanned | ErrorKind::Refused => Self::No,
            ErrorKind::Invalid
            | ErrorKind::NotFound
            | ErrorKind::MethodNotAllowed
            | ErrorKind::TooLarge
            | ErrorKind::Configuration => Self::Usage,
            ErrorKind::Forbidden
            | ErrorKind::Timeout
            | ErrorKind::Starting
            | ErrorKind::Unavailable
            | ErrorKind::Unresponsive => Self::Unreachable,
            ErrorKind::Kernel => Self::Kernel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_is_quiet_and_a_full_disk_is_not() {
        let ended = |kind: io::ErrorKind| {
            let failure = Failure::output(kind.into());
            (failure.exit(), failure.message())
        };
        assert_eq!(ended(io::ErrorKind::BrokenPipe), (Exit::Done, None));
        let message = Some("error: cannot write the output: no storage space".to_owned());
        assert_eq!(ended(io::ErrorKind::StorageFull), (Exit::Usage, message));
    }
}
