//! Talks to the daemon over its socket: one connection for each question, so that the daemon never waits for a reader's pager.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    net::UnixStream,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    protocol::{
        BanRequest, Banned, BansPage, BansQuery, Detached, ErrorBody, ErrorKind, FuseAnswer, FuseRequest, Reloaded,
        Status, Text, UnbanRequest, Unbanned, Why,
    },
    queue::{ANSWERED_WITHIN, RELOADED_WITHIN, UNRESPONSIVE, UNRESPONSIVE_REMEDY},
};

/// The longest answer that is read, in bytes: many times the longest page.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// How long a call may take, and how much longer than what the server gives the loop, so that the server's own answer arrives.
const WITHIN: Duration = ANSWERED_WITHIN.saturating_add(LEEWAY);
const LEEWAY: Duration = Duration::from_secs(1);
/// The pause after connect(2) found the queue of connections full: the kernel tells nobody when it is not any more.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);

/// A way to the daemon.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer, or what the daemon declined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Nothing serves the socket.
    #[error(
        "the daemon is not running\n  cause: nothing listens on {socket}\n  remedy: start it with `systemctl start banner`"
    )]
    NotRunning {
        /// The socket.
        socket: Text,
    },
    /// Only root may open it.
    #[error(
        "the daemon cannot be asked\n  cause: no permission to open {socket}\n  remedy: run this as root, with sudo"
    )]
    Permission {
        /// The socket.
        socket: Text,
    },
    /// The daemon is there, and the conversation failed.
    #[error(
        "the daemon does not answer\n  cause: {cause} ({socket})\n  remedy: `systemctl status banner` and its log say what it is doing"
    )]
    Broken {
        /// The socket.
        socket: Text,
        /// What happened.
        cause: Text,
    },
    /// Something holds the socket, and does not answer in time: the process is stopped, or has no time.
    #[error("{UNRESPONSIVE}\n  cause: no answer on {socket} within {} s\n  remedy: {UNRESPONSIVE_REMEDY}", within.as_secs())]
    Unresponsive {
        /// The socket.
        socket: Text,
        /// For how long it was waited.
        within: Duration,
    },
    /// The daemon's own answer.
    #[error("{0}")]
    Answered(ErrorBody),
}

impl Client {
    /// Talks over this socket.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// How everything is.
    ///
    /// # Errors
    /// [`ClientError`], as for every call.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status").await
    }

    /// One page of the bans, read or as the daemon wrote them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn bans<B: DeserializeOwned>(&self, query: &BansQuery) -> Result<BansPage<B>, ClientError> {
        self.get(&format!("/v1/bans?{}", query_string(query))).await
    }

    /// What is known of an address.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn why(&self, address: IpAddr) -> Result<Why, ClientError> {
        self.get(&format!("/v1/why/{address}")).await
    }

    /// Bans by hand.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ban(&self, request: &BanRequest) -> Result<Banned, ClientError> {
        self.post("/v1/ban", self.json(request)?).await
    }

    /// Lifts bans by hand.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn unban(&self, request: &UnbanRequest) -> Result<Unbanned, ClientError> {
        self.post("/v1/unban", self.json(request)?).await
    }

    /// Trips or resets the fuse.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn fuse(&self, request: &FuseRequest) -> Result<FuseAnswer, ClientError> {
        self.post("/v1/fuse", self.json(request)?).await
    }

    /// Makes the daemon read its configuration again, which may take 30 s.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        // A stopped process looks like one that reads a long configuration: the kernel takes the request for it. So it is asked
        // for something first that it can say at once.
        match self.status().await {
            // That its counters cannot be read is an answer.
            Err(ClientError::Answered(ErrorBody { kind: ErrorKind::Kernel, .. })) | Ok(_) => {}
            Err(error) => return Err(error),
        }
        self.call(Method::POST, "/v1/reload", Bytes::new(), RELOADED_WITHIN + LEEWAY).await
    }

    /// Takes everything out of the kernel and ends the daemon.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn detach(&self) -> Result<Detached, ClientError> {
        self.post("/v1/detach", Bytes::new()).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, Bytes::new(), WITHIN).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: Bytes) -> Result<T, ClientError> {
        self.call(Method::POST, path, body, WITHIN).await
    }

    fn json(&self, request: &impl Serialize) -> Result<Bytes, ClientError> {
        serde_json::to_vec(request).map(Bytes::from).map_err(|error| self.broken(&error))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        within: Duration,
    ) -> Result<T, ClientError> {
        let unresponsive = |_| ClientError::Unresponsive { socket: self.socket.as_path().into(), within };
        timeout(within, self.exchange(method, path, body)).await.map_err(unresponsive)?
    }

    async fn exchange<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, ClientError> {
        let stream = self.connect().await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        let _driver = AbortOnDrop(tokio::spawn(connection));
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "banner")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(&error))?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        let succeeded = response.status().is_success();
        let answer = Limited::new(response.into_body(), ANSWER_MAX);
        let answer = answer.collect().await.map_err(|error| self.broken(&error))?.to_bytes();
        let unreadable =
            |error: serde_json::Error| self.broken(&format_args!("an answer that is not banner's: {error}"));
        if succeeded {
            serde_json::from_slice(&answer).map_err(unreadable)
        } else {
            Err(ClientError::Answered(serde_json::from_slice(&answer).map_err(unreadable)?))
        }
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.socket).await {
                // unix_stream_connect, net/unix/af_unix.c: EAGAIN where the listener's queue is full.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(CONNECT_PAUSE).await,
                connected => return connected,
            }
        }
    }

    fn unreachable(&self, error: &io::Error) -> ClientError {
        let socket = self.socket.as_path().into();
        if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind()) {
            // Refused: the file is a dead daemon's.
            ClientError::NotRunning { socket }
        } else if error.kind() == io::ErrorKind::PermissionDenied {
            ClientError::Permission { socket }
        } else {
            self.broken(error)
        }
    }

    fn broken(&self, cause: &impl ToString) -> ClientError {
        ClientError::Broken { socket: self.socket.as_path().into(), cause: cause.to_string().into() }
    }
}

fn query_string(query: &BansQuery) -> String {
    let after = query.after.map(|after| format!("after={after}"));
    let limit = query.limit.map(|limit| format!("limit={limit}"));
    let jail = query.jail.as_ref().map(|jail| format!("jail={}", percent_encoded(jail.as_str())));
    let list = query.list.as_ref().map(|list| format!("list={}", percent_encoded(list.as_str())));
    [after, limit, jail, list].into_iter().flatten().collect::<Vec<_>>().join("&")
}

/// RFC 3986, section 2.1: everything but its unreserved characters.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Ends the task that moves a connection's bytes with the call that it serves.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
