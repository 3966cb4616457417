//! Has the open connections of banned sources destroyed, on a thread of its own: with a hundred thousand connections that takes
//! tenths of a second, for which no line waits.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use tracing::{info, warn};

use crate::{
    control::protocol::Text,
    enforce::{
        pins::Pins,
        sockets::{Banned, Outcome, Sockets, SocketsError},
    },
    judge::effect::Entry,
    service::Services,
};

/// The bans of so long are served together. A packet that was let in just before the ban is through by then.
const GATHER: Duration = Duration::from_millis(20);

/// How long the thread rests after its work, in times of what that took, so that bans without end cost a fifth of a processor.
const REST: u32 = 4;

/// When connections that could not be destroyed are tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The thread. It ends when this is dropped, and what was banned before that is still seen to.
pub(super) struct Connections {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    banned: Banned,
    stopping: bool,
    notice: Option<String>,
}

impl Connections {
    /// Starts the thread, in the network namespace of the caller.
    pub(super) fn start(pins: &Pins, services: &Services) -> Self {
        let shared = Arc::<Shared>::default();
        let thread = {
            let (shared, pins, services) = (Arc::clone(&shared), pins.clone(), services.clone());
            thread::Builder::new().name("connections".to_owned()).spawn(move || shared.work(&pins, &services))
        };
        let thread = thread.map_err(|error: io::Error| shared.tell(&error.to_string())).ok();
        Self { shared, thread }
    }

    /// Looks at the connections of all that are banned: who was banned before an earlier run ended may still have some.
    pub(super) fn look_at_all(&self) {
        self.shared.lock().banned = Banned::Everyone;
        self.shared.changed.notify_one();
    }

    /// Takes notice of an entry that was written to the kernel.
    pub(super) fn written(&self, entry: &Entry) {
        if !entry.observe && !entry.protected && !entry.services.is_empty() {
            self.shared.add(entry.slot.prefix());
        }
    }

    /// What the thread does not do at present, if anything.
    pub(super) fn notice(&self) -> Option<Text> {
        self.shared.lock().notice.as_deref().map(Text::from)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic was told by the thread itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No invariant spans two fields.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread for the first one alone: it waits for others anyway, and a wake-up costs as much as the ban.
    fn add(&self, prefix: IpNet) {
        let mut state = self.lock();
        let is_first = state.banned.is_empty();
        state.banned.add(prefix);
        drop(state);
        if is_first {
            self.changed.notify_one();
        }
    }

    fn work(&self, pins: &Pins, services: &Services) {
        let sockets = match Sockets::open(pins, services) {
            Ok(sockets) => sockets,
            Err(error) => return self.tell(&error.to_string()),
        };
        let mut rest = Duration::ZERO;
        while let Some(banned) = self.gathered(rest) {
            let begun = Instant::now();
            let result = sockets.destroy(&banned);
            rest = begun.elapsed().saturating_mul(REST);
            match unfinished(&result) {
                None => self.lock().notice = None,
                Some(why) => {
                    self.tell(&why);
                    if result.is_err_and(|error| error.is_final()) {
                        return;
                    }
                    rest = rest.max(AGAIN);
                    let mut state = self.lock();
                    if state.stopping {
                        return;
                    }
                    state.banned.add_all(banned);
                }
            }
        }
    }

    /// Whose connections are to be destroyed, once there are any; None at the end.
    fn gathered(&self, rest: Duration) -> Option<Banned> {
        let rested = Instant::now() + rest;
        let wait = |state, until: Instant| {
            let length = until.saturating_duration_since(Instant::now());
            let waited = self.changed.wait_timeout_while(state, length, |state: &mut State| !state.stopping);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        let state = self.changed.wait_while(self.lock(), |state| state.banned.is_empty() && !state.stopping);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let mut state = wait(state, rested.max(Instant::now() + GATHER));
        let banned = std::mem::take(&mut state.banned);
        (!banned.is_empty()).then_some(banned)
    }

    /// Once for each cause, until it is over.
    fn tell(&self, notice: &str) {
        let mut state = self.lock();
        if state.notice.as_deref() != Some(notice) {
            warn!("{notice}");
            state.notice = Some(notice.to_owned());
        }
    }
}

/// Tells what was done, and returns what was not.
fn unfinished(result: &Result<Outcome, SocketsError>) -> Option<String> {
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => return Some(error.to_string()),
    };
    match outcome.destroyed {
        0 => {}
        1 => info!("an open connection of a banned source was destroyed"),
        destroyed => info!("{destroyed} open connections of banned sources were destroyed"),
    }
    match outcome.cause {
        Some(cause) => Some(format!(
            "open connections of banned sources cannot be destroyed, and are tried again every second: {cause}"
        )),
        None if outcome.incomplete => Some(
            "some open connections of banned sources may not have been found; they are looked for again".to_owned(),
        ),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    fn add(shared: &Shared, prefix: &str) {
        shared.add(prefix.parse().unwrap());
    }

    fn banned(prefixes: &[&str]) -> Option<Banned> {
        Some(Banned::In(prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect()))
    }

    #[test]
    fn bans_of_a_moment_are_served_together_and_the_last_ones_at_the_end() {
        let shared = Arc::<Shared>::default();
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || [(); 3].map(|()| shared.gathered(Duration::from_secs(3600))))
        };
        // The thread rests for an hour, or until it is to stop: what comes meanwhile waits for it.
        for prefix in ["192.0.2.1/32", "2001:db8::/64", "192.0.2.1/32"] {
            add(&shared, prefix);
        }
        assert!(!worker.is_finished());
        shared.lock().stopping = true;
        shared.changed.notify_one();
        assert_eq!(worker.join().unwrap(), [banned(&["192.0.2.1/32", "2001:db8::/64"]), None, None]);
    }

    #[test]
    fn the_first_ban_waits_for_others_and_not_longer_than_that() {
        let shared = Shared::default();
        add(&shared, "192.0.2.1/32");
        let begun = Instant::now();
        assert_eq!(shared.gathered(Duration::ZERO), banned(&["192.0.2.1/32"]));
        assert!(begun.elapsed() >= GATHER);
        assert!(begun.elapsed() < GATHER + Duration::from_secs(5), "on a busy machine");
    }

    #[test]
    fn what_was_not_done_is_said_with_its_cause() {
        let refused = Outcome { destroyed: 1, failed: 2, cause: Some(Errno::ENOMEM), incomplete: true };
        let cannot = |error| unfinished(&Err(error)).unwrap();
        assert_eq!(unfinished(&Ok(Outcome { destroyed: 3, ..Outcome::default() })), None);
        assert!(unfinished(&Ok(refused)).unwrap().contains("ENOMEM"));
        assert!(unfinished(&Ok(Outcome { incomplete: true, ..Outcome::default() })).is_some());
        assert!(cannot(SocketsError::NoDestruction).contains("CONFIG_INET_DIAG_DESTROY"));
        assert!(cannot(SocketsError::NotPermitted).contains("CAP_NET_ADMIN"));
    }
}
