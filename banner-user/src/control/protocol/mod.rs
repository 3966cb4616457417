//! What is said over the control socket: the JSON of requests and answers.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `GET /v1/status` | | [`Status`] |
//! | `GET /v1/bans?jail=&list=&after=&limit=` | | [`BansPage`] |
//! | `GET /v1/why/{address}` | | [`Why`] |
//! | `POST /v1/ban` | [`BanRequest`] | [`Banned`] |
//! | `POST /v1/unban` | [`UnbanRequest`] | [`Unbanned`] |
//! | `POST /v1/fuse` | [`FuseRequest`] | [`FuseAnswer`] |
//! | `POST /v1/reload` | | [`Reloaded`] |
//! | `POST /v1/detach` | | [`Detached`] |
//!
//! Every error is an [`ErrorBody`]; its `kind` decides the HTTP status. Within `/v1` fields are added, never renamed or
//! removed. Times are RFC 3339 in UTC, lengths of time are seconds, addresses and prefixes are strings; what does not apply is
//! `null`. These types are the interface and nothing else: nothing that the daemon computes with is serialized.
//!
//! The words are fail2ban's where it has one: jail, filter, maxretry, findtime, bantime, currently failed, total banned.

mod ban;
mod error;
mod failures;
mod fuse;
mod prefix;
mod status;
mod text;
mod time;
mod why;

pub use ban::{
    Ban, BanRequest, Banned, BansPage, BansQuery, Detached, Origin, PAGE_MAX, Reloaded, UnbanRequest, Unbanned,
};
pub use error::{ErrorBody, ErrorKind};
pub use failures::Failures;
pub use fuse::{FuseAnswer, FuseRequest, TRIPPED_MAX, TrippedFuse};
pub use prefix::{AddressError, Prefix, parse_address};
pub use status::{
    ATTACKS_MAX, AccountUnderAttack, AccountsUnderAttack, Daemon, File, FileState, Fill, Interface, InterfaceState,
    Jail, Lag, Limits, List, ListAction, Mode, Packets, Status,
};
pub use text::Text;
pub use time::{BanTime, Time};
pub use why::{Cause, Failure, HISTORY_MAX, Network, PastBan, Reason, Standing, Tally, Why};

#[cfg(test)]
mod tests;
