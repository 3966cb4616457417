//! The client against what is no daemon, or none that answers. The clock is stopped.

use std::os::unix::net::UnixListener as StdListener;

use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::{UnixListener, UnixSocket},
    time::Instant,
};

use super::*;

/// The longest that an operator waits for a daemon that does not answer.
const HANG_MAX: Duration = Duration::from_secs(5);

fn path() -> (PathBuf, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (directory.path().join("banner.sock"), directory)
}

/// Every call, without what it gives.
async fn calls(client: &Client) -> [(&'static str, Result<(), ClientError>, Duration); 7] {
    async fn timed<T>(
        name: &'static str,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> (&'static str, Result<(), ClientError>, Duration) {
        let before = Instant::now();
        (name, call.await.map(drop), before.elapsed())
    }
    let prefix = "192.0.2.1".parse().unwrap();
    let ban = BanRequest { prefix, bantime: None, services: Vec::new(), jail: None, force: false };
    [
        timed("status", client.status()).await,
        timed("bans", client.bans::<crate::control::protocol::Ban>(&BansQuery::default())).await,
        timed("why", client.why([192, 0, 2, 1].into())).await,
        timed("ban", client.ban(&ban)).await,
        timed("unban", client.unban(&UnbanRequest { prefix })).await,
        timed("reload", client.reload()).await,
        timed("detach", client.detach()).await,
    ]
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_says_nothing_is_waited_for_five_seconds() {
    let (path, _directory) = path();
    // As the kernel has it of a stopped process: it takes connections and what they send.
    let _listener = UnixListener::bind(&path).unwrap();
    for (call, answer, took) in calls(&Client::new(&path)).await {
        let error = answer.unwrap_err();
        assert_eq!(error, ClientError::Unresponsive { socket: path.as_path().into(), within: HANG_MAX }, "{call}");
        assert!(took < HANG_MAX + Duration::from_millis(50), "{call}: {took:?}");
        assert!(error.to_string().starts_with("the daemon is running but does not answer: hung or very busy\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stops_in_its_middle_is_waited_for_five_seconds() {
    let (path, _directory) = path();
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
            tokio::io::AsyncWriteExt::write_all(&mut stream, head).await.unwrap();
            kept.push(stream);
        }
    });
    for (call, answer, took) in calls(&Client::new(&path)).await {
        assert!(matches!(answer, Err(ClientError::Unresponsive { .. })), "{call}: {answer:?}");
        assert!(took < HANG_MAX + Duration::from_millis(50), "{call}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_listens_is_told_at_once() {
    let (path, _directory) = path();
    let not_running = ClientError::NotRunning { socket: path.as_path().into() };
    for _ in 0..2 {
        for (call, answer, took) in calls(&Client::new(&path)).await {
            assert_eq!(answer, Err(not_running.clone()), "{call}");
            assert!(took < Duration::from_millis(50), "{call}: {took:?}");
        }
        // And then with a dead daemon's socket.
        drop(StdListener::bind(&path));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_connections_is_waited_for_five_seconds() {
    let (path, _directory) = path();
    let socket = UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    let full = loop {
        match UnixStream::connect(&path).await {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10);
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    for (call, answer, took) in calls(&Client::new(&path)).await {
        assert!(matches!(answer, Err(ClientError::Unresponsive { .. })), "{call}: {answer:?}");
        assert!(took < HANG_MAX + Duration::from_millis(50), "{call}: {took:?}");
    }
    // A place in time is taken.
    let client = Client::new(&path);
    let asking = tokio::spawn(async move { client.status().await });
    sleep(Duration::from_secs(4)).await;
    for _ in &waiting {
        drop(listener.accept().await.unwrap());
    }
    let (mut stream, _) = timeout(Duration::from_secs(1), listener.accept()).await.unwrap().unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'G');
    asking.abort();
}
