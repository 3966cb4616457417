//! Sessions: for servers that log a client's address when it connects, and later lines with the session's id alone.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use super::rule::{Finding, Matched};

/// Sessions that are remembered; beyond, the one that was opened first is forgotten, and what it does then is not counted.
/// No server has more connections than this open at once without being configured for it.
const SESSIONS_MAX: usize = 65_536;

/// What a server joins its lines about one connection by: at most 32 letters and digits, chosen by the server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionId(Box<[u8]>);

impl SessionId {
    pub(super) fn new(id: &[u8]) -> Self {
        Self(id.into())
    }
}

/// Whose the open sessions are.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    clients: BTreeMap<SessionId, IpAddr>,
    /// In the order in which they were opened.
    opened: VecDeque<SessionId>,
}

impl Sessions {
    /// Remembers a session that was opened, and puts the address into what happened in one. None for a session that was
    /// opened before anybody read, or is forgotten.
    pub(super) fn join(&mut self, matched: Matched) -> Option<Finding> {
        match matched {
            Matched::Finding(finding) => Some(finding),
            Matched::Opened { session, source } => {
                self.open(session, source);
                Some(Finding::Noted)
            }
            Matched::FailureIn { session, user, weight } => {
                Some(Finding::Failure { source: *self.clients.get(&session)?, user, weight })
            }
            Matched::SuccessIn { session, user } => {
                Some(Finding::Success { source: *self.clients.get(&session)?, user })
            }
        }
    }

    fn open(&mut self, session: SessionId, source: IpAddr) {
        if self.clients.insert(session.clone(), source).is_some() {
            return; // An id that was given again: its place in the order stays.
        }
        self.opened.push_back(session);
        if self.opened.len() > SESSIONS_MAX
            && let Some(first) = self.opened.pop_front()
        {
            self.clients.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Weight;

    fn address(number: usize) -> IpAddr {
        IpAddr::from(u32::try_from(number).unwrap().to_be_bytes())
    }

    fn open(sessions: &mut Sessions, id: &str, number: usize) {
        let opened = Matched::Opened { session: SessionId::new(id.as_bytes()), source: address(number) };
        assert_eq!(sessions.join(opened), Some(Finding::Noted));
    }

    fn source(sessions: &mut Sessions, id: &str) -> Option<IpAddr> {
        let session = SessionId::new(id.as_bytes());
        let found = sessions.join(Matched::FailureIn { session, user: None, weight: Weight::ONE })?;
        let Finding::Failure { source, .. } = found else { panic!("{found:?}") };
        Some(source)
    }

    #[test]
    fn a_failure_is_that_of_the_client_that_opened_the_session() {
        let mut sessions = Sessions::default();
        open(&mut sessions, "a", 1);
        open(&mut sessions, "b", 2);
        assert_eq!(source(&mut sessions, "a"), Some(address(1)));
        assert_eq!(source(&mut sessions, "b"), Some(address(2)));
        assert_eq!(source(&mut sessions, "c"), None);
        open(&mut sessions, "a", 3);
        assert_eq!(source(&mut sessions, "a"), Some(address(3)), "the id was given again");
    }

    #[test]
    fn the_oldest_of_too_many_is_forgotten() {
        let mut sessions = Sessions::default();
        for number in 0..=SESSIONS_MAX {
            open(&mut sessions, &number.to_string(), number);
        }
        assert_eq!(source(&mut sessions, "0"), None);
        assert_eq!(source(&mut sessions, "1"), Some(address(1)));
        assert_eq!((sessions.clients.len(), sessions.opened.len()), (SESSIONS_MAX, SESSIONS_MAX));
    }
}
