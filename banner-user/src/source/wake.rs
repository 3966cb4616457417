//! Makes polls come at once when a file changes.
//!
//! linemux tells that something changed; what changed is found out by polling, and a poll every [`POLL_INTERVAL`] finds what
//! linemux does not tell.
//!
//! What it watches is renewed whenever the follower opens or closes a file: [`MuxedEvents`] cannot forget a path, and keeps
//! watching the renamed file when a new one takes its place. An open file is watched through `/proc/self/fd`, where the kernel
//! leads to that very file under whatever name (proc_pid_fd(5)); a path where nothing is yet, through its directory.

use std::{
    future::{Future as _, poll_fn},
    io,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use linemux::MuxedEvents;
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::{Follower, Notice, Progress};

/// How often the follower is polled when nothing wakes it.
pub const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A busy log wakes at most this often, so that lines are read by the handful. The first line after a pause wakes at once.
const SPACING: Duration = Duration::from_millis(1);

/// Waits until the follower should be polled.
#[derive(Debug)]
pub struct Wakeup {
    events: Option<MuxedEvents>,
    /// Which state of the follower is watched.
    generation: Option<u64>,
    /// Something has happened since the last wait returned.
    is_due: bool,
    last: Instant,
    is_degraded: bool,
}

impl Wakeup {
    /// Watches nothing yet.
    ///
    /// # Panics
    /// Outside a tokio runtime with time, when it waits.
    #[must_use]
    pub fn new() -> Self {
        Self { events: None, generation: None, is_due: true, last: Instant::now(), is_degraded: false }
    }

    /// Watches what the follower follows now; cheap while that has not changed. To be called after each poll. Tells once that
    /// the kernel does not help; polling goes on then.
    pub async fn watch(&mut self, follower: &Follower) -> Option<Notice> {
        if self.generation == Some(follower.generation()) {
            return None;
        }
        self.generation = Some(follower.generation());
        // What happened before the watch was set is told by nobody.
        self.is_due = true;
        let renewed = renew(follower).await;
        self.renewed(renewed)
    }

    /// Returns at once after a poll that left something to read; otherwise when a file has changed, and after
    /// [`POLL_INTERVAL`] at the latest. It may be dropped before it returns, and loses nothing by that.
    pub async fn wait(&mut self, progress: Progress) -> Option<Notice> {
        let mut notice = None;
        let deadline = self.last + POLL_INTERVAL;
        if progress == Progress::More {
            self.is_due = true;
        }
        if !self.is_due {
            tokio::select! {
                failed = poll_fn(|context| poll_changed(&mut self.events, context)) => {
                    self.is_due = true;
                    if let Err(error) = failed {
                        notice = self.renewed(Err(error));
                    }
                }
                () = sleep_until(deadline) => {}
            }
        }
        match progress {
            Progress::More => yield_now().await,
            Progress::Idle if self.is_due => sleep_until(self.last + SPACING).await,
            Progress::Idle => {}
        }
        // All that has happened by now is found by one poll.
        let drained = poll_fn(|context| Poll::Ready(poll_changed(&mut self.events, context))).await;
        if let Poll::Ready(Err(error)) = drained {
            notice = self.renewed(Err(error));
        }
        self.is_due = false;
        self.last = Instant::now();
        notice
    }

    fn renewed(&mut self, renewed: io::Result<Option<MuxedEvents>>) -> Option<Notice> {
        match renewed {
            Ok(events) => {
                self.events = events;
                self.is_degraded = false;
                None
            }
            Err(error) => {
                self.events = None;
                let is_news = !std::mem::replace(&mut self.is_degraded, true);
                is_news.then(|| Notice::WakeupUnavailable(error.to_string()))
            }
        }
    }
}

impl Default for Wakeup {
    fn default() -> Self {
        Self::new()
    }
}

async fn renew(follower: &Follower) -> io::Result<Option<MuxedEvents>> {
    let mut events = MuxedEvents::new()?;
    let mut watches = 0;
    for path in follower.watched() {
        match events.add_file(path).await {
            Ok(_) => watches += 1,
            // A missing path in a missing directory: polling will find it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((watches > 0).then_some(events))
}

/// Ready when something has changed; takes in everything that is already told of.
fn poll_changed(events: &mut Option<MuxedEvents>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut changed = Poll::Pending;
    let Some(events) = events else { return changed };
    loop {
        match pin!(events.next_event()).poll(context) {
            Poll::Ready(Ok(Some(_))) => changed = Poll::Ready(Ok(())),
            Poll::Ready(Ok(None)) | Poll::Pending => return changed,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        }
    }
}
