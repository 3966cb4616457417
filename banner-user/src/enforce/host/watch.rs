//! Tells that the host's network has changed.

use std::{io, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{
    HostError, errno,
    netlink::{Connection, Received, next_message},
    route,
};

/// Changes come in swarms (a link that goes down takes its addresses and routes along): they are reported once, this
/// long after the first of them. Until then, a link that has appeared lets everybody in.
const GATHER: Duration = Duration::from_millis(2);

/// No report comes sooner than this after the one before it: where changes never cease (a container engine, a routing daemon),
/// reading the network again and again costs a bounded part of a processor.
const PAUSE: Duration = Duration::from_millis(20);

/// `RTNLGRP_*`: links, and addresses and routes of both families (include/uapi/linux/rtnetlink.h).
const GROUPS: [u32; 5] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
];

/// Hears of every change of links, addresses and default routes from its opening on. Open it before the first
/// [`Host::read`](super::Host::read), so that nothing falls in between.
///
/// The kernel is silent about two things: a program attached or removed through a BPF link, and resolv.conf.
pub struct Watch {
    pub(super) connection: Connection,
    /// When to report what was heard; none while nothing was.
    due: Option<Instant>,
    /// When the last report was made.
    reported: Option<Instant>,
}

impl Watch {
    /// Subscribes.
    ///
    /// # Errors
    /// [`HostError::Open`].
    pub fn open() -> Result<Self, HostError> {
        Ok(Self { connection: Connection::open(&GROUPS)?, due: None, reported: None })
    }

    /// Returns once there was a change since it returned last, within some milliseconds. Notifications that the
    /// kernel had to drop count as a change. Nothing is forgotten where the future is dropped.
    ///
    /// # Errors
    /// [`HostError::Transfer`]: the socket is of no more use.
    pub async fn changed(&mut self) -> Result<(), HostError> {
        loop {
            // Checked before each reading: notifications that never cease must not put the report off.
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.due = None;
                self.reported = Some(Instant::now());
                return Ok(());
            }
            let heard = match self.due {
                None => self.heard().await,
                Some(due) => timeout_at(due, self.heard()).await.unwrap_or(Ok(false)),
            };
            let heard = heard.map_err(|error| HostError::Transfer { what: "changes", cause: errno(&error) })?;
            if heard && self.due.is_none() {
                let due = Instant::now() + GATHER;
                self.due = Some(self.reported.map_or(due, |reported| due.max(reported + PAUSE)));
            }
        }
    }

    async fn heard(&mut self) -> io::Result<bool> {
        Ok(match self.connection.receive().await? {
            Received::Messages(bytes) => matters(bytes),
            Received::Lost => true,
        })
    }
}

/// Whether a notification is worth reading the network again: all but routes to somewhere, which a router learns by the
/// thousand. What cannot be understood is worth it.
fn matters(mut bytes: &[u8]) -> bool {
    while let Ok(Some(message)) = next_message(&mut bytes) {
        let is_route = matches!(message.kind, libc::RTM_NEWROUTE | libc::RTM_DELROUTE);
        if !is_route || route::is_default(message.body).unwrap_or(true) {
            return true;
        }
    }
    !bytes.is_empty()
}
