//! What is known of a connection from several lines, for filters whose lines carry its id (`<F-MLFID>`): sendmail tells who a
//! client is in one line and what it did in another.
//!
//! | a line with | does |
//! | --- | --- |
//! | an address | counts, unless it says `<F-NOFAIL>` and nothing is pending; the address is remembered |
//! | no address, none known | is pending: the line that brings the address counts, once |
//! | no address, one known | counts for that one |
//! | `<F-MLFGAINED>` | takes back what is pending and does not count |
//! | `<F-MLFFORGET>` | is the connection's last |
//!
//! Two different users on one connection count even where each line alone would not.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use crate::event::User;

/// Connections that are remembered; beyond, the one that was seen first is forgotten, and what it does then stands alone.
const CONNECTIONS_MAX: usize = 4096;
/// The longest id, in bytes. A line with a longer one stands alone.
const ID_MAX: usize = 256;

/// What one line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) address: Option<IpAddr>,
    pub(super) user: Option<User>,
    pub(super) no_failure: bool,
    pub(super) gained: bool,
    pub(super) forget: bool,
}

/// A failure with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) address: IpAddr,
    pub(super) user: Option<User>,
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    known: BTreeMap<Box<[u8]>, Connection>,
    /// In the order in which they were first seen.
    seen: VecDeque<Box<[u8]>>,
}

#[derive(Clone, Debug, Default)]
struct Connection {
    address: Option<IpAddr>,
    user: Option<User>,
    several_users: bool,
    pending: bool,
}

impl Connections {
    /// What a line of a connection says together with those before; none where it does not count.
    pub(super) fn join(&mut self, id: &[u8], said: Said) -> Option<Joined> {
        let mut connection = self.known.get(id).cloned().unwrap_or_default();
        let quiet = said.no_failure || said.gained;
        if said.gained {
            connection.pending = false;
        }
        connection.address = said.address.or(connection.address);
        if let Some(user) = said.user {
            connection.several_users |= connection.user.as_ref().is_some_and(|known| *known != user);
            connection.user = Some(user);
        }
        let counts = !quiet || connection.pending || connection.several_users;
        connection.pending = counts && connection.address.is_none();
        let joined =
            connection.address.filter(|_| counts).map(|address| Joined { address, user: connection.user.clone() });
        if said.forget {
            self.forget(id);
        } else {
            self.remember(id, connection);
        }
        joined
    }

    fn remember(&mut self, id: &[u8], connection: Connection) {
        if id.len() > ID_MAX || self.known.insert(id.into(), connection).is_some() {
            return;
        }
        self.seen.push_back(id.into());
        if self.seen.len() > CONNECTIONS_MAX
            && let Some(first) = self.seen.pop_front()
        {
            self.known.remove(&first);
        }
    }

    fn forget(&mut self, id: &[u8]) {
        if self.known.remove(id).is_some() {
            self.seen.retain(|seen| **seen != *id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Said {
        let mut said = Said::default();
        for word in line.split_whitespace() {
            match word {
                "nofail" => said.no_failure = true,
                "gained" => said.gained = true,
                "forget" => said.forget = true,
                word => match word.parse() {
                    Ok(address) => said.address = Some(address),
                    Err(_) => said.user = Some(User::new(word.as_bytes())),
                },
            }
        }
        said
    }

    #[test]
    fn lines_of_a_connection_are_joined() {
        for (lines, counted) in [
            (&["192.0.2.1"][..], &[Some("192.0.2.1")][..]),
            (&["nofail 192.0.2.1", ""], &[None, Some("192.0.2.1")]),
            (&["", "nofail 192.0.2.1", "nofail"], &[None, Some("192.0.2.1"), None]),
            (&["", "", "192.0.2.1"], &[None, None, Some("192.0.2.1")]),
            (&["", "gained 192.0.2.1", "nofail"], &[None, None, None]),
            (&["nofail 192.0.2.1 alice", "nofail alice", "nofail bob"], &[None, None, Some("192.0.2.1")]),
            (&["192.0.2.1 forget", ""], &[Some("192.0.2.1"), None]),
        ] {
            let mut connections = Connections::default();
            let told: Vec<_> =
                lines.iter().map(|line| connections.join(b"id", said(line)).map(|joined| joined.address)).collect();
            let expected: Vec<_> =
                counted.iter().map(|address| address.map(|address| address.parse().unwrap())).collect();
            assert_eq!(told, expected, "{lines:?}");
        }
    }

    #[test]
    fn connections_are_told_apart_and_bounded() {
        let mut connections = Connections::default();
        for number in 0..=CONNECTIONS_MAX {
            connections.join(number.to_string().as_bytes(), said("nofail 192.0.2.1"));
        }
        assert_eq!(connections.join(b"0", said("")), None, "the first is forgotten");
        assert!(connections.join(b"7", said("")).is_some());
        assert!(connections.join(&[b'x'; ID_MAX + 1], said("nofail 192.0.2.1")).is_none());
        assert!(connections.join(&[b'x'; ID_MAX + 1], said("")).is_none(), "an id that is too long is not remembered");
        assert_eq!((connections.known.len(), connections.seen.len()), (CONNECTIONS_MAX, CONNECTIONS_MAX));
    }
}
