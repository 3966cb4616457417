//! Between the server's thread and the daemon's loop: what the daemon is doing, and what it is asked.
//!
//! ```text
//!                      the server's thread ╎ the daemon's thread
//!     Phase <──────────────────────────────╎──────── Server::running, Server::stopping
//!     Asker::ask ──────Request─────────────╎──────> Requests::recv ──> loop
//!         within 4 s   <──────── taken ────╎──────────────┘              │
//!     within its time  <──────── Reply ────╎─────────────────────────────┘
//! ```
//!
//! Whoever asks gets an answer, whatever the loop does. A request that the loop has not taken when its asker is answered or gone
//! is never carried out: an operator who was told that nothing was done can rely on it.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use super::{
    Reply, Request,
    protocol::{ErrorBody, ErrorKind},
};

/// How many requests wait for the loop, those included that nobody waits for any more; the next ones wait for a place.
const REQUESTS_MAX: usize = 32;
/// Within what time the loop must have taken a request, and answered it, if it is not one that takes longer.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(4);
/// How long the loop may take for a new configuration.
pub(super) const RELOADED_WITHIN: Duration = Duration::from_secs(30);

/// What the daemon is doing, as far as it matters to one who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes over what is in force; the loop does not run yet.
    Starting,
    /// The loop takes requests.
    Running,
    /// The loop has ended.
    Stopping,
}

/// The queue, with the server's end and the loop's. It is over when the phase's sender is dropped.
pub(super) fn queue(phase: watch::Receiver<Phase>) -> (Asker, Requests) {
    let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
    (Asker { queue: sender, phase, since: Instant::now() }, Requests(receiver))
}

/// The loop's end of the queue.
#[derive(Debug)]
pub struct Requests(mpsc::Receiver<Waiting>);

/// A request, and its asker who waits for the loop to take it.
#[derive(Debug)]
struct Waiting {
    request: Request,
    taken: oneshot::Sender<()>,
}

impl Requests {
    /// The next request that somebody waits for; `None` once the server has ended. Cancel safe.
    pub async fn recv(&mut self) -> Option<Request> {
        loop {
            let Waiting { request, taken } = self.0.recv().await?;
            if taken.send(()).is_ok() {
                return Some(request);
            }
        }
    }
}

/// The server's end of the queue.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    queue: mpsc::Sender<Waiting>,
    phase: watch::Receiver<Phase>,
    /// When the start began.
    since: Instant,
}

impl Asker {
    /// Asks the loop, and waits for its answer. It must have taken the request within [`ANSWERED_WITHIN`], and have answered it
    /// `within` this time.
    pub(super) async fn ask<T>(
        &self,
        request: impl FnOnce(Reply<T>) -> Request,
        within: Duration,
    ) -> Result<T, ErrorBody> {
        let phase = *self.phase.borrow();
        match phase {
            Phase::Starting => return Err(self.starting()),
            Phase::Running => {}
            Phase::Stopping => return Err(stopping()),
        }
        let asked = Instant::now();
        let (reply, answer) = oneshot::channel();
        self.hand_over(request(reply), asked + ANSWERED_WITHIN).await?;
        match timeout_at(asked + within, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(unresponsive(format!(
                "it took the request, and has not finished within {} s; it may still do so",
                within.as_secs()
            ))),
        }
    }

    /// Returns once the loop has taken the request.
    async fn hand_over(&self, request: Request, deadline: Instant) -> Result<(), ErrorBody> {
        let not_taken = || {
            unresponsive(format!(
                "it did not take the request within {} s; nothing was done",
                ANSWERED_WITHIN.as_secs()
            ))
        };
        let (taken, mut is_taken) = oneshot::channel();
        match timeout_at(deadline, self.queue.send(Waiting { request, taken })).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(stopping()),
            Err(_) => return Err(not_taken()),
        }
        match timeout_at(deadline, &mut is_taken).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(stopping()),
            Err(_) => {
                // From here on the loop cannot take it. It may have done so just before.
                is_taken.close();
                is_taken.try_recv().map_err(|_| not_taken())
            }
        }
    }

    /// Ready when the daemon has let go of the server.
    pub(super) async fn over(mut self) {
        while self.phase.changed().await.is_ok() {}
    }

    fn starting(&self) -> ErrorBody {
        let cause = format!(
            "it takes over what is in force, for {} s now; what the kernel has is enforced meanwhile",
            self.since.elapsed().as_secs()
        );
        ErrorBody::new(ErrorKind::Starting, "the daemon is starting")
            .because(cause)
            .remedy("ask again in a moment; its log (`journalctl -u banner`) says how the start goes")
    }
}

fn stopping() -> ErrorBody {
    ErrorBody::new(ErrorKind::Unavailable, "the daemon is stopping")
        .because("it was told to end, or to be started again, and takes no more requests")
        .remedy("`systemctl status banner` tells which; `systemctl start banner` starts it")
}

fn unresponsive(cause: String) -> ErrorBody {
    ErrorBody::new(ErrorKind::Unresponsive, UNRESPONSIVE).because(cause).remedy(UNRESPONSIVE_REMEDY)
}

/// What a daemon is called that is there, and does not answer.
pub(super) const UNRESPONSIVE: &str = "the daemon is running but does not answer: hung or very busy";
/// What to do about it.
pub(super) const UNRESPONSIVE_REMEDY: &str =
    "`systemctl status banner` and its log say what it is doing; if it hangs, systemd's watchdog starts it again";
