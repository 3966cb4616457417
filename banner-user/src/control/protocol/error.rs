//! The one shape of every error.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Text;

/// An error: what failed, why, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What class of error it is; decides the HTTP status and the exit code.
    pub kind: ErrorKind,
    /// What failed.
    pub error: Text,
    /// Why, a line each; several where several things are wrong, as in a configuration.
    pub cause: Vec<Text>,
    /// What to do next.
    pub remedy: Option<Text>,
}

/// Classes of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request makes no sense: an address that is none, an unknown jail or service. 400.
    Invalid,
    /// The peer is neither root nor the daemon's own user. 403.
    Forbidden,
    /// There is no such path. 404.
    NotFound,
    /// What should be unbanned is not banned; its failures are forgotten all the same. 404.
    NotBanned,
    /// The path has no such method. 405.
    MethodNotAllowed,
    /// The request did not arrive in time. 408.
    Timeout,
    /// The daemon declines: the address is protected, the prefix too wide. 409.
    Refused,
    /// The body is too long. 413.
    TooLarge,
    /// The configuration on disk has errors; the old one stays in force. 422.
    Configuration,
    /// The kernel declined. 500.
    Kernel,
    /// The daemon is starting, and takes no requests yet. 503.
    Starting,
    /// The daemon is about to end. 503.
    Unavailable,
    /// The daemon runs, and its loop does not answer. 504.
    Unresponsive,
}

impl ErrorBody {
    /// An error whose message says it all.
    #[must_use]
    pub fn new(kind: ErrorKind, error: impl Into<Text>) -> Self {
        Self { kind, error: error.into(), cause: Vec::new(), remedy: None }
    }

    /// Adds a reason.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Text>) -> Self {
        self.cause.push(cause.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<Text>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for ErrorBody {
    /// One line for the error, one for each cause and one for the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        self.cause.iter().try_for_each(|cause| write!(f, "\n  cause: {cause}"))?;
        self.remedy.iter().try_for_each(|remedy| write!(f, "\n  remedy: {remedy}"))
    }
}

impl std::error::Error for ErrorBody {}
