//! Serves the control socket in a thread of its own, within limits that a stuck or clumsy client cannot stretch.
//!
//! | limit | at the limit |
//! | --- | --- |
//! | [`CONNECTIONS_MAX`] served at once | further ones wait in the socket's queue until one ends |
//! | one request a connection | the connection is closed after the answer, so none idles |
//! | [`IDLE_MAX`] for the head of a request, and again for its body | closed; for the body after a 408 |
//! | [`BODY_MAX`] of body | 413 |
//! | [`EXCHANGE_MAX`] for everything, the client's reading included | closed |
//! | a client that hangs up | its request is not carried out, if the loop has not taken it yet |

use std::{io, os::fd::AsFd, path::Path, sync::Arc, thread, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nix::unistd::geteuid;
use tokio::{
    io::Interest,
    net::UnixStream,
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    protocol::Text,
    queue::{Asker, Phase, RELOADED_WITHIN, Requests, queue},
    routes,
    socket::{BindError, Socket, failed},
};

/// Connections that are served at once.
pub const CONNECTIONS_MAX: usize = 16;
/// The longest body of a request, in bytes.
pub const BODY_MAX: usize = 64 * 1024;
/// How long a client may take to send the head of its request, and then its body.
pub const IDLE_MAX: Duration = Duration::from_secs(5);
/// How long one connection may take in all: the longest request, and the time to send and read it.
pub const EXCHANGE_MAX: Duration = RELOADED_WITHIN.saturating_add(Duration::from_secs(10));
/// How long open connections may take once the server is told to stop.
const STOP_MAX: Duration = Duration::from_secs(1);
/// How often it looks whether clients still find the socket.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The pause after accept(2) failed, which it does while the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The server in a thread of its own. Dropping it gives the requests under way a second to be answered, and removes the socket.
#[derive(Debug)]
pub struct Server {
    /// Dropped first, which ends the thread.
    phase: watch::Sender<Phase>,
    _thread: Joined,
}

impl Server {
    /// Takes the path, and answers there from now on that the daemon is starting. `prepare` is what the thread does first: what
    /// Linux keeps for each thread, such as capabilities.
    ///
    /// # Errors
    /// As [`Socket::bind`]; or there is no thread to be had.
    pub fn start(path: &Path, prepare: impl FnOnce() + Send + 'static) -> Result<(Self, Requests), BindError> {
        let no_thread = failed("start a thread that serves", path, "raise the limits of processes and open files");
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(&no_thread)?;
        let socket = {
            let _inside = runtime.enter();
            Socket::bind(path)?
        };
        let (phase, phases) = watch::channel(Phase::Starting);
        let (asker, requests) = queue(phases);
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                prepare();
                runtime.block_on(serve(socket, asker));
            })
            .map_err(no_thread)?;
        Ok((Self { phase, _thread: Joined(Some(thread)) }, requests))
    }

    /// The loop takes requests from now on.
    pub fn running(&self) {
        self.phase.send_replace(Phase::Running);
    }

    /// The loop has ended; what is asked from now on is told so.
    pub fn stopping(&self) {
        self.phase.send_replace(Phase::Stopping);
    }
}

/// A thread that is waited for.
#[derive(Debug)]
struct Joined(Option<thread::JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        // A panic has been told where it happened.
        self.0.take().map(thread::JoinHandle::join);
    }
}

/// Serves until the daemon lets go.
async fn serve(mut socket: Socket, daemon: Asker) {
    let open = routes::router(daemon.clone());
    let closed = routes::forbidden();
    let owner = geteuid().as_raw();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble = None;
    let over = daemon.over();
    tokio::pin!(over);
    loop {
        let (stream, place) = tokio::select! {
            () = &mut over => break,
            Some(_) = connections.join_next() => continue,
            _ = looks.tick() => {
                keep_in_place(&mut socket, &mut trouble);
                continue;
            }
            accepted = accept(&socket, &places) => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "cannot accept a connection to the control socket");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            }
        };
        let router = if may_talk(&stream, owner) { &open } else { &closed };
        connections.spawn(exchange(stream, router.clone(), place));
    }
    let rest = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_MAX, rest).await.is_err() {
        debug!("connections to the control socket were cut");
    }
}

/// A socket whose file is gone is there, and nobody finds it. Each `trouble` is told once.
fn keep_in_place(socket: &mut Socket, trouble: &mut Option<BindError>) {
    if socket.is_in_place() {
        *trouble = None;
        return;
    }
    match socket.bind_again() {
        Ok(()) => {
            warn!("somebody removed or replaced the control socket {}; it was made anew", Text::from(socket.path()));
            *trouble = None;
        }
        Err(error) => {
            if trouble.as_ref() != Some(&error) {
                warn!(
                    "the control socket is gone, and the daemon cannot be asked; it goes on, and so does enforcement: {error}"
                );
            }
            *trouble = Some(error);
        }
    }
}

/// Waits for a place first, so that a connection that none is left for stays in the kernel's queue.
async fn accept(socket: &Socket, places: &Arc<Semaphore>) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = socket.listener.accept().await?;
    Ok((stream, place))
}

/// The socket's mode says the same, unless somebody changed it. The user is the one that connected (SO_PEERCRED, unix(7)), as
/// this process's user namespace sees it: another namespace's root is not root here.
fn may_talk(stream: &UnixStream, owner: u32) -> bool {
    match stream.peer_cred() {
        Ok(peer) => {
            let allowed = user_may_talk(peer.uid(), owner);
            if !allowed {
                warn!(uid = peer.uid(), pid = peer.pid(), "refused a stranger on the control socket");
            }
            allowed
        }
        Err(error) => {
            warn!(%error, "refused a peer on the control socket whose user is unknown");
            false
        }
    }
}

fn user_may_talk(peer: u32, owner: u32) -> bool {
    peer == 0 || peer == owner
}

/// One request and its answer, as long as the client is there.
async fn exchange(stream: UnixStream, router: Router, _place: OwnedSemaphorePermit) {
    let client = match second_handle(&stream) {
        Ok(client) => client,
        Err(error) => {
            warn!(%error, "cannot serve a connection to the control socket");
            return;
        }
    };
    // One that came while the process was stopped (SIGSTOP, a frozen cgroup) has given up long ago.
    match timeout(IDLE_MAX, client.ready(Interest::READABLE)).await {
        Ok(Ok(ready)) if !ready.is_read_closed() => {}
        _ => return,
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = timeout(EXCHANGE_MAX, connection);
    tokio::select! {
        () = hung_up(&client) => debug!("a client of the control socket hung up"),
        served = connection => match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "a connection to the control socket broke off"),
            Err(_) => debug!("a connection to the control socket took too long"),
        }
    }
}

/// To see the client hang up: hyper looks for that only where a request has no body.
fn second_handle(stream: &UnixStream) -> io::Result<UnixStream> {
    UnixStream::from_std(stream.as_fd().try_clone_to_owned()?.into())
}

/// Ready when the client will send no more: it has ended, or closed its side.
async fn hung_up(client: &UnixStream) {
    // An error is the runtime's end.
    while client.ready(Interest::READABLE).await.is_ok_and(|ready| !ready.is_read_closed()) {
        // Not read here: this only forgets that there is something, until there is more.
        let nothing = client.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        drop(nothing);
    }
}

#[cfg(test)]
mod tests;
