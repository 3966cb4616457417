//! Makes polls come at once when a file changes.
//!
//! linemux tells that something changed; what changed is found out by polling, and a poll every [`WATCHED_INTERVAL`] finds what
//! linemux does not tell. Where the kernel does not help, every [`POLL_INTERVAL`].
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

/// How often the follower is polled when nothing can wake it.
pub const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How often it is polled when nothing wakes it, though all of its files are watched: an idle daemon should sleep.
pub const WATCHED_INTERVAL: Duration = Duration::from_secs(1);

/// A busy log wakes at most this often, so that lines are read by the handful. The first line after a pause wakes at once.
const SPACING: Duration = Duration::from_millis(1);

/// Waits until the follower should be polled. Needs a tokio runtime with time.
///
/// ```text
/// loop {
///     progress = follower.poll(now, budget, sink, notice);
///     wakeup.watch(&follower).await;
///     wakeup.wait(progress).await;
/// }
/// ```
#[derive(Debug)]
pub struct Wakeup {
    events: Option<MuxedEvents>,
    /// Which state of the follower is watched.
    generation: Option<u64>,
    /// Something has happened since the last wait returned.
    is_due: bool,
    last: Instant,
    watched_interval: Duration,
    is_degraded: bool,
}

impl Wakeup {
    /// Watches nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            events: None,
            generation: None,
            is_due: true,
            last: Instant::now(),
            watched_interval: WATCHED_INTERVAL,
            is_degraded: false,
        }
    }

    /// Polls so seldom that only a wake-up can have found what is found.
    #[cfg(test)]
    pub(super) fn without_polling() -> Self {
        Self { watched_interval: Duration::from_secs(3600), ..Self::new() }
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
        match renew(follower).await {
            Ok((events, failure)) => {
                self.events = events;
                self.is_degraded &= failure.is_some();
                failure.and_then(|error| self.degrade(&error))
            }
            Err(error) => {
                self.events = None;
                self.degrade(&error)
            }
        }
    }

    /// Returns at once after a poll that left something to read; otherwise when a file has changed, and after
    /// [`WATCHED_INTERVAL`] or [`POLL_INTERVAL`] at the latest. It may be dropped before it returns, and loses nothing by that.
    pub async fn wait(&mut self, progress: Progress) -> Option<Notice> {
        let mut notice = None;
        let deadline = self.last + self.interval();
        if progress == Progress::More {
            self.is_due = true;
        }
        if !self.is_due {
            tokio::select! {
                failed = poll_fn(|context| poll_changed(&mut self.events, context)) => {
                    self.is_due = true;
                    if let Err(error) = failed {
                        notice = self.fail(&error);
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
            notice = self.fail(&error);
        }
        self.is_due = false;
        self.last = Instant::now();
        notice
    }

    /// Lets the next wait return at once, where none has lately: who is awake anyway spares a wake-up of its own.
    pub fn bring_forward(&mut self) {
        self.is_due |= self.last.elapsed() >= POLL_INTERVAL;
    }

    fn interval(&self) -> Duration {
        let is_healthy = self.events.is_some() && !self.is_degraded;
        if is_healthy { self.watched_interval } else { POLL_INTERVAL }
    }

    /// The watch broke: it is set anew after the next poll.
    fn fail(&mut self, error: &io::Error) -> Option<Notice> {
        self.events = None;
        self.generation = None;
        self.degrade(error)
    }

    fn degrade(&mut self, error: &io::Error) -> Option<Notice> {
        let is_news = !std::mem::replace(&mut self.is_degraded, true);
        is_news.then(|| Notice::WakeupUnavailable(error.to_string()))
    }
}

impl Default for Wakeup {
    fn default() -> Self {
        Self::new()
    }
}

/// Watches all that can be watched. Returns also why something could not.
async fn renew(follower: &Follower) -> io::Result<(Option<MuxedEvents>, Option<io::Error>)> {
    let mut events = MuxedEvents::new()?;
    let mut is_empty = true;
    let mut failure = None;
    for path in follower.watched() {
        match events.add_file(path).await {
            Ok(_) => is_empty = false,
            // A missing path in a missing directory: polling will find it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failure = Some(error),
        }
    }
    // Without a path it would report its end at once, and again and again.
    Ok(((!is_empty).then_some(events), failure))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broken_watch_is_told_once_and_polling_goes_on() {
        let follower = Follower::new(vec!["/nonexistent/log".to_owned()]).unwrap();
        let mut wakeup = Wakeup::new();
        assert_eq!(wakeup.watch(&follower).await, None);
        wakeup.wait(Progress::Idle).await;
        let error = io::Error::from_raw_os_error(libc::EMFILE);
        assert_eq!(wakeup.fail(&error), Some(Notice::WakeupUnavailable(error.to_string())));
        assert_eq!(wakeup.fail(&error), None);
        let start = Instant::now();
        assert_eq!(wakeup.wait(Progress::Idle).await, None);
        assert!(start.elapsed() <= POLL_INTERVAL * 2);
        // What works again may break again.
        assert_eq!(wakeup.watch(&follower).await, None);
        assert!(wakeup.fail(&error).is_some());
    }
}
