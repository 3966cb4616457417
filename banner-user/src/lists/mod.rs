//! Files of addresses and prefixes: what they say, and whether they have changed. What follows from it is the judge's
//! ([`crate::judge::list`]).

mod file;
pub mod parse;
mod watch;

pub use self::{
    file::{Content, ReadError, Stamp, read},
    watch::{News, Watch, Watched},
};

/// Lists that can be configured.
pub const LISTS_MAX: usize = 32;
