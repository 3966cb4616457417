//! The socket that the command line talks to: HTTP and JSON over a unix socket, so that curl can talk to it too.
//!
//! ```text
//! cli ──> client ──unix socket──> server ──> routes ──> queue ──Request──> daemon's loop
//!                                              <───────────────── Reply ───────┘
//! ```
//!
//! `protocol` is what is said, and all that a client has to know. A handler holds no state: it puts one [`Request`] into the
//! daemon's bounded queue and waits for its [`Reply`]. No request makes the daemon walk a whole table: long listings go in
//! pages, these are made of slices (`listing`), and between two slices the loop does its other work.
//!
//! The server has a thread of its own, so that there is an answer whatever the loop does: while the daemon starts or stops, and
//! where the loop hangs (`queue`).
//!
//! Only root and the user that the daemon runs as may talk: the directory is 0700, the socket 0600, and the peer's user is
//! asked of the kernel besides.

pub mod client;
mod listing;
pub mod protocol;
mod queue;
mod routes;
pub mod server;
pub mod socket;

use std::net::IpAddr;

use tokio::sync::oneshot;

pub use listing::SLICE_MAX;
use protocol::{
    BanRequest, Banned, BansPage, BansQuery, Detached, ErrorBody, FuseAnswer, FuseRequest, Reloaded, Status,
    UnbanRequest, Unbanned, Why,
};
pub use queue::{Phase, Requests};

/// Where the answer to a request goes. Nobody may be listening any more: a failed send is no error.
pub type Reply<T> = oneshot::Sender<Result<T, ErrorBody>>;

/// What the daemon's loop is asked.
#[derive(Debug)]
pub enum Request {
    /// How everything is.
    Status(Reply<Status>),
    /// A slice of a page of the bans: at most [`SLICE_MAX`].
    Bans(BansQuery, Reply<BansPage>),
    /// What is known of an address.
    Why(IpAddr, Reply<Why>),
    /// Ban by hand.
    Ban(BanRequest, Reply<Banned>),
    /// Lift bans by hand, and forget the failures.
    Unban(UnbanRequest, Reply<Unbanned>),
    /// Trip or reset the fuse.
    Fuse(FuseRequest, Reply<FuseAnswer>),
    /// Read the configuration again.
    Reload(Reply<Reloaded>),
    /// Take everything out of the kernel, and end.
    Detach(Reply<Detached>),
}
