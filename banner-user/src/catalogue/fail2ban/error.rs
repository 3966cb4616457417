//! Why a filter of fail2ban cannot be used.

use std::path::PathBuf;

use super::reference::ReferenceError;
use crate::{detect::ImportRefused, event::Escaped, nearest::did_you_mean};

/// Why a filter of fail2ban cannot be used. What it is about is named: nothing of a filter is left out silently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The name in the jail.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A file that is not there, not readable or not text.
    #[error("cannot read {}: {why}", Escaped(.path.as_os_str().as_encoded_bytes()))]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A file that is no filter.
    #[error("{} is larger than {limit} bytes", Escaped(.path.as_os_str().as_encoded_bytes()))]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// In bytes.
        limit: u64,
    },
    /// A line that fail2ban would not read either.
    #[error("{}, line {line}: {what}", Escaped(.path.as_os_str().as_encoded_bytes()))]
    Syntax {
        /// In which file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// More includes than a filter has.
    #[error(
        "{} is included more than {depth} files deep, or as one of more than {files}",
        Escaped(.path.as_os_str().as_encoded_bytes())
    )]
    TooManyFiles {
        /// The file too many.
        path: PathBuf,
        /// The deepest.
        depth: usize,
        /// The most.
        files: usize,
    },
    /// The files have no filter in them.
    #[error("there is no section [Definition]")]
    NoDefinition,
    /// The jail sets something that the filter does not have.
    #[error("the filter has no option `{}`{}", Escaped(.option.as_bytes()), did_you_mean(.nearest.as_deref()))]
    UnknownOption {
        /// As the jail names it.
        option: String,
        /// The option nearest to it.
        nearest: Option<String>,
    },
    /// `%(name)s` or a composed `<name>` that stands for nothing.
    #[error("option `{}`: there is no `{}`", Escaped(.option.as_bytes()), Escaped(.name.as_bytes()))]
    NoSuchName {
        /// Where.
        option: String,
        /// What.
        name: String,
    },
    /// A `%` that is neither `%%` nor `%(name)s`.
    #[error("option `{}`: a `%` is neither `%%` nor `%(name)s`", Escaped(.option.as_bytes()))]
    Percent {
        /// Where.
        option: String,
    },
    /// What names itself, or grows beyond all need.
    #[error(
        "option `{}` names itself, or grows beyond {limit} bytes, when the names in it are replaced",
        Escaped(.option.as_bytes())
    )]
    Endless {
        /// Which.
        option: String,
        /// In bytes.
        limit: usize,
    },
    /// What fail2ban has and banner has not.
    #[error(transparent)]
    Refused(#[from] ImportRefused),
}
