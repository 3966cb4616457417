//! Serves the control socket, within limits that a stuck or clumsy client cannot stretch.
//!
//! | limit | at the limit |
//! | --- | --- |
//! | [`CONNECTIONS_MAX`] served at once | further ones wait in the socket's queue until one ends |
//! | one request a connection | the connection is closed after the answer, so none idles |
//! | [`IDLE_MAX`] for the head of a request, and again for its body | closed; for the body after a 408 |
//! | [`BODY_MAX`] of body | 413 |
//! | [`EXCHANGE_MAX`] for everything, the client's reading included | closed |

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nix::unistd::geteuid;
use tokio::{
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{Request, routes, socket::Socket};

/// Connections that are served at once.
pub const CONNECTIONS_MAX: usize = 16;
/// The longest body of a request, in bytes.
pub const BODY_MAX: usize = 64 * 1024;
/// How long a client may take to send the head of its request, and then its body.
pub const IDLE_MAX: Duration = Duration::from_secs(5);
/// How long one connection may take in all.
pub const EXCHANGE_MAX: Duration = Duration::from_secs(30);
/// How long open connections may take once the server is told to stop.
const STOP_MAX: Duration = Duration::from_secs(1);
/// The pause after accept(2) failed, which it does while the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is ready, then gives the requests under way a second to be answered. Requests go to `daemon`, a bounded
/// queue; where it is closed they are answered with 503.
pub async fn serve(socket: Socket, daemon: mpsc::Sender<Request>, stop: impl Future<Output = ()>) {
    let open = routes::router(daemon);
    let closed = routes::forbidden();
    let owner = geteuid().as_raw();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let (stream, place) = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
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

/// One request and its answer.
async fn exchange(stream: UnixStream, router: Router, _place: OwnedSemaphorePermit) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(EXCHANGE_MAX, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection to the control socket broke off"),
        Err(_) => debug!("a connection to the control socket took too long"),
    }
}

#[cfg(test)]
mod tests;
