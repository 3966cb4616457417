//! Has the open connections of banned sources destroyed, on a thread of its own: with a hundred thousand connections that takes
//! tenths of a second, for which no line waits.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

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
            self.shared.lock().banned.add(entry.slot.prefix());
            self.shared.changed.notify_one();
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
    if outcome.destroyed > 0 {
        info!("{} open connections of banned sources were destroyed", outcome.destroyed);
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
