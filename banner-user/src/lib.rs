//! banner in userland: from a line in a mail log to an entry in a BPF map.
//!
//! ```text
//! source ──bytes──> detect ──Event────> judge ──Effect──> enforce ──> BPF maps ──> XDP
//! file, journal     line, filter        tally, jail,      kernel,                  │
//!    │                                  ignore, ledger    sockets    <─counters────┘
//!    │                                     │
//!    └──positions──> state on disk <──what has changed
//! ```
//!
//! One direction, one owner per step, no step reaches around its neighbour. `detect` and `judge` hold the policy: they use no
//! clock, no I/O, no async and no log macro, and are tested as tables. `source` and `enforce` touch the system. `daemon` is
//! the one loop that joins them, `lists` reads the operator's files of prefixes, `state` is what outlives it on disk, `control`
//! the socket that the command line talks to, `cli` what it prints.
//!
//! Logs that are already written go the same way, without a kernel at its end: `log_file` reads them, `replay` is the judge by
//! a clock of the lines' own.

pub mod catalogue;
pub mod clock;
pub mod config;
pub mod control;
pub mod detect;
pub mod enforce;
pub mod event;
pub mod judge;
pub mod lists;
pub mod log_file;
mod nearest;
pub mod replay;
pub mod service;
pub mod source;
pub mod state;

pub mod cli;
pub mod daemon;
