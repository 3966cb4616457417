//! The server with a loop that answers at once, over a real socket. The clock is stopped: a timeout passes as soon as nothing
//! else can happen.

use std::{net::IpAddr, num::NonZeroU32, path::PathBuf};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::{JoinHandle, yield_now},
    time::Instant,
};

use super::*;
use crate::control::{
    Request, SLICE_MAX,
    client::{Client, ClientError},
    protocol::{
        Ban, BanRequest, BanTime, Banned, BansPage, BansQuery, Detached, ErrorBody, ErrorKind, FuseAnswer, Origin,
        PAGE_MAX, Prefix, Reloaded, Status, Time, UnbanRequest, Unbanned, Why,
    },
    queue::ANSWERED_WITHIN,
};

/// A served socket, and the queue that the daemon's loop would read.
struct Served {
    directory: TempDir,
    requests: Requests,
    phase: watch::Sender<Phase>,
    server: JoinHandle<()>,
}

impl Served {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = Socket::bind(&directory.path().join("banner.sock")).unwrap();
        let (phase, phases) = watch::channel(Phase::Running);
        let (daemon, requests) = queue(phases);
        let server = tokio::spawn(serve(socket, daemon));
        Self { directory, requests, phase, server }
    }

    /// Answers every request as a daemon would that bans nobody but 192.0.2.1; gives the socket, and its directory to keep.
    fn answering() -> (PathBuf, TempDir) {
        let Self { directory, mut requests, phase, .. } = Self::start();
        let socket = directory.path().join("banner.sock");
        tokio::spawn(async move {
            let _serving = phase;
            while let Some(request) = requests.recv().await {
                answer(request);
            }
        });
        (socket, directory)
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("banner.sock")
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).await.unwrap()
    }
}

/// What is said to a request that is not answered as it should be, and after how long.
async fn refusal(socket: PathBuf, request: &str) -> (u16, ErrorBody, Duration) {
    let before = Instant::now();
    let answer = raw(UnixStream::connect(socket).await.unwrap(), request.as_bytes()).await;
    let (status, body) = parsed(&answer);
    (status, serde_json::from_str(body).unwrap(), before.elapsed())
}

fn answer(request: Request) {
    match request {
        Request::Status(reply) => reply.send(Ok(Status::default())).unwrap(),
        Request::Bans(query, reply) => {
            // Three pages: two that say what comes next, and the last.
            let octet = |prefix: Prefix| match prefix.net().addr() {
                IpAddr::V4(address) => address.octets()[3],
                IpAddr::V6(_) => 0,
            };
            let number = query.after.map_or(1, |after| octet(after) + 1);
            let prefix = Prefix::from(IpAddr::from([192, 0, 2, number]));
            reply.send(Ok(BansPage { bans: vec![ban_of(prefix)], next: (number < 3).then_some(prefix) })).unwrap();
        }
        Request::Why(address, reply) => {
            let why = Why {
                address,
                source: address.into(),
                protected: None,
                bans: vec![ban_of(address.into())],
                tally: Vec::new(),
                failures: Vec::new(),
                newest_line: None,
                failures_while_banned: 0,
                history: Vec::new(),
                history_unknown: None,
                causes: Vec::new(),
                standing: crate::control::protocol::Standing::default(),
                network: None,
                remedies: Vec::new(),
            };
            reply.send(Ok(why)).unwrap();
        }
        Request::Ban(request, reply) => {
            let BanRequest { prefix, services, .. } = request;
            let banned = Banned {
                prefix,
                until: None,
                services,
                except: Vec::new(),
                overridden: Vec::new(),
                waits: false,
                not_saved: None,
            };
            reply.send(Ok(banned)).unwrap();
        }
        Request::Unban(UnbanRequest { prefix }, reply) => {
            let not_banned = || ErrorBody::new(ErrorKind::NotBanned, format!("{prefix} is not banned"));
            let banned = prefix == "192.0.2.1".parse().unwrap();
            let unbanned =
                Unbanned { prefix, lifted: 1, instead: Vec::new(), still_banned_by: Vec::new(), not_saved: None };
            reply.send(if banned { Ok(unbanned) } else { Err(not_banned()) }).unwrap();
        }
        Request::Fuse(_, reply) => reply.send(Ok(FuseAnswer::default())).unwrap(),
        Request::Reload(reply) => reply.send(Ok(Reloaded::default())).unwrap(),
        Request::Detach(reply) => {
            reply.send(Ok(Detached { interfaces: vec!["eth0".into()], entries: 3, not_saved: None })).unwrap();
        }
    }
}

fn ban_of(prefix: Prefix) -> Ban {
    Ban {
        prefix,
        origin: Origin::Jail,
        jail: Some("mail".into()),
        list: None,
        services: vec!["smtp".into()],
        since: Some(Time("2026-11-22T12:00:00Z".parse().unwrap())),
        until: None,
        remaining: None,
        packets: 0,
        bytes: 0,
        last_seen: None,
        observe: false,
        waits: false,
    }
}

/// Sends bytes, and reads until the server closes.
async fn raw(mut stream: UnixStream, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The status line's number and the body.
fn parsed(answer: &str) -> (u16, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

fn post(path: &str, body: &str) -> String {
    // As `curl -d` sends it.
    format!(
        "POST {path} HTTP/1.1\r\nHost: banner\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    )
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: banner\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n")
}

#[tokio::test(start_paused = true)]
async fn the_client_and_the_server_understand_each_other() {
    let (socket, _directory) = Served::answering();
    let client = Client::new(&socket);
    assert_eq!(client.status().await.unwrap(), Status::default());
    assert_eq!(client.reload().await.unwrap(), Reloaded::default());
    assert_eq!(client.detach().await.unwrap().entries, 3);
    for address in ["192.0.2.1", "2001:db8::1"] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(client.why(address).await.unwrap().bans, [ban_of(address.into())]);
    }
    let request = BanRequest {
        prefix: "2001:db8::/64".parse().unwrap(),
        bantime: Some(BanTime::Permanent),
        services: vec!["smtp".into()],
        jail: None,
        force: false,
    };
    let banned = client.ban(&request).await.unwrap();
    assert_eq!((banned.prefix, banned.services), (request.prefix, request.services));

    let unban = |prefix: &str| UnbanRequest { prefix: prefix.parse().unwrap() };
    assert_eq!(client.unban(&unban("192.0.2.1")).await.unwrap().lifted, 1);
    let refused = ErrorBody::new(ErrorKind::NotBanned, "192.0.2.2 is not banned");
    assert_eq!(client.unban(&unban("192.0.2.2")).await, Err(ClientError::Answered(refused)));
}

#[tokio::test(start_paused = true)]
async fn the_pages_of_a_listing_join_up() {
    let (socket, _directory) = Served::answering();
    let client = Client::new(&socket);
    let mut query = BansQuery { limit: Some(1), ..BansQuery::default() };
    let mut listed = Vec::new();
    loop {
        let page = client.bans::<Ban>(&query).await.unwrap();
        listed.extend(page.bans.iter().map(|ban| ban.prefix.to_string()));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(listed, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_has_as_many_slices_as_it_takes() {
    let (socket, _directory) = Served::answering();
    let client = Client::new(&socket);
    for (limit, bans, next) in [(Some(2), 2, Some("192.0.2.2")), (Some(3), 3, None), (None, 3, None)] {
        let page = client.bans::<Ban>(&BansQuery { limit, ..BansQuery::default() }).await.unwrap();
        assert_eq!(page.bans.len(), bans, "{limit:?}");
        assert_eq!(page.next.map(|next| next.to_string()).as_deref(), next, "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_ends_where_the_loop_is_slow_or_gives_no_more() {
    for (delay, is_refused) in [(Duration::from_millis(1100), false), (Duration::ZERO, true)] {
        let mut served = Served::start();
        let socket = served.socket();
        let asking = tokio::spawn(async move { Client::new(&socket).bans::<Ban>(&BansQuery::default()).await });
        let first: Prefix = "192.0.2.1".parse().unwrap();
        let Some(Request::Bans(_, reply)) = served.requests.recv().await else { panic!("another request") };
        sleep(delay).await;
        reply.send(Ok(BansPage { bans: vec![ban_of(first)], next: Some(first) })).unwrap();
        if is_refused {
            let Some(Request::Bans(query, reply)) = served.requests.recv().await else { panic!("another request") };
            assert_eq!(query.after, Some(first));
            reply.send(Err(ErrorBody::new(ErrorKind::Kernel, "the map cannot be read"))).unwrap();
        }
        let page = asking.await.unwrap().unwrap();
        assert_eq!((page.bans.len(), page.next), (1, Some(first)), "{delay:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_reaches_the_loop_as_it_was_meant() {
    let mut served = Served::start();
    let socket = served.socket();
    let query = BansQuery {
        jail: Some("a b&c=\u{e9}".into()),
        list: Some("drop".into()),
        after: Some("2001:db8::/64".parse().unwrap()),
        limit: Some(PAGE_MAX),
    };
    let asked = query.clone();
    let asking = tokio::spawn(async move { Client::new(&socket).bans::<Ban>(&asked).await });
    let request = tokio::select! {
        request = served.requests.recv() => request,
        refused = asking => panic!("{refused:?}"),
    };
    let Some(Request::Bans(received, _)) = request else { panic!("another request") };
    assert_eq!(received, BansQuery { limit: Some(SLICE_MAX), ..query });

    let mut stream = served.connect().await;
    let body = r#"{"prefix": "::ffff:192.0.2.1", "bantime": 600, "services": ["smtp"], "jail": "mail", "force": true}"#;
    stream.write_all(post("/v1/ban", body).as_bytes()).await.unwrap();
    let Some(Request::Ban(received, _)) = served.requests.recv().await else { panic!("another request") };
    let meant = BanRequest {
        prefix: "192.0.2.1".parse().unwrap(),
        bantime: Some(BanTime::Seconds(NonZeroU32::new(600).unwrap())),
        services: vec!["smtp".into()],
        jail: Some("mail".into()),
        force: true,
    };
    assert_eq!(received, meant);
}

#[tokio::test(start_paused = true)]
async fn every_answer_is_json_with_its_status() {
    let (socket, _directory) = Served::answering();
    for (request, status, part) in [
        (get("/v1/status"), 200, r#""daemon":null"#),
        (get("/v1/bans?limit=1"), 200, r#""next":"192.0.2.1""#),
        (get("/v1/why/2001:db8::1"), 200, r#""source":"2001:db8::1""#),
        (get("/v1/why/2001%3Adb8%3A%3A1"), 200, r#""since":"2026-11-22T12:00:00Z""#),
        (post("/v1/ban", r#"{"prefix":"192.0.2.0/24"}"#), 200, r#""prefix":"192.0.2.0/24""#),
        (post("/v1/unban", r#"{"prefix":"192.0.2.1"}"#), 200, r#""lifted":1"#),
        (post("/v1/reload", ""), 200, r#""warnings":[]"#),
        (post("/v1/detach", ""), 200, r#""interfaces":["eth0"]"#),
        (post("/v1/unban", r#"{"prefix":"192.0.2.2"}"#), 404, r#""kind":"not_banned""#),
        (get("/v1/why/mail.example.com"), 400, "is a host name"),
        (get("/v1/why/%ff"), 400, r#""kind":"invalid""#),
        (get("/v1/bans?limit=0"), 400, "a page holds 1 to 10000 bans"),
        (get("/v1/bans?limit=10001"), 400, "a page holds 1 to 10000 bans"),
        (get("/v1/bans?after=example"), 400, "is a host name"),
        (get("/v1/bans?jial=mail"), 400, "unknown field `jial`"),
        (post("/v1/ban", ""), 400, r#""kind":"invalid""#),
        (post("/v1/ban", "{"), 400, r#""kind":"invalid""#),
        (post("/v1/ban", r#"{"prefix":"192.0.2.1/24"}"#), 400, "write 192.0.2.0/24"),
        (post("/v1/ban", r#"{"prefix":"192.0.2.1","bantime":0}"#), 400, "at least 1"),
        (post("/v1/ban", r#"{"prefix":"192.0.2.1","time":600}"#), 400, "unknown field `time`"),
        (post("/v1/ban", "{\"prefix\":\"a\\u001b[2Jb\"}"), 400, r"a\\u{1b}[2Jb"),
        (get("/v1/ban"), 405, r#""kind":"method_not_allowed""#),
        (post("/v1/status", ""), 405, r#""kind":"method_not_allowed""#),
        (get("/"), 404, r#""kind":"not_found""#),
        (get("/v2/status"), 404, r#""kind":"not_found""#),
    ] {
        let answer = raw(UnixStream::connect(&socket).await.unwrap(), request.as_bytes()).await;
        let (got, body) = parsed(&answer);
        assert_eq!(got, status, "{request}: {answer}");
        assert!(body.contains(part), "{request}: {body}");
        assert!(answer.to_ascii_lowercase().contains("content-type: application/json"), "{answer}");
        if status != 200 {
            serde_json::from_str::<ErrorBody>(body).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_64_kib_is_refused() {
    let (socket, _directory) = Served::answering();
    let fits = format!(r#"{{"prefix":"192.0.2.1"{}}}"#, " ".repeat(BODY_MAX - 22));
    assert_eq!(fits.len(), BODY_MAX);
    let answer = raw(UnixStream::connect(&socket).await.unwrap(), post("/v1/ban", &fits).as_bytes()).await;
    assert_eq!(parsed(&answer).0, 200, "{answer}");

    // Announced: refused before a byte of it is read.
    let announced = "POST /v1/ban HTTP/1.1\r\nHost: banner\r\nContent-Length: 65537\r\n\r\n";
    let answer = raw(UnixStream::connect(&socket).await.unwrap(), announced.as_bytes()).await;
    let (status, body) = parsed(&answer);
    assert_eq!(status, 413, "{answer}");
    assert_eq!(serde_json::from_str::<ErrorBody>(body).unwrap().kind, ErrorKind::TooLarge);

    // Not announced: refused once it is too long.
    let chunk = format!("{:x}\r\n{}\r\n", BODY_MAX, " ".repeat(BODY_MAX));
    let chunked =
        format!("POST /v1/ban HTTP/1.1\r\nHost: banner\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}1\r\n \r\n");
    let answer = raw(UnixStream::connect(&socket).await.unwrap(), chunked.as_bytes()).await;
    assert_eq!(parsed(&answer).0, 413, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn the_seventeenth_connection_waits_for_a_place() {
    let mut served = Served::start();
    let mut busy = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = served.connect().await;
        stream.write_all(get("/v1/status").as_bytes()).await.unwrap();
        let Some(Request::Status(reply)) = served.requests.recv().await else { panic!("another request") };
        busy.push((stream, reply));
    }
    let mut waiting = served.connect().await;
    waiting.write_all(get("/v1/status").as_bytes()).await.unwrap();
    assert!(timeout(Duration::from_secs(1), served.requests.recv()).await.is_err(), "it was served at once");

    let (stream, reply) = busy.pop().unwrap();
    reply.send(Ok(Status::default())).unwrap();
    assert_eq!(parsed(&raw(stream, b"").await).0, 200);
    let request = timeout(Duration::from_secs(1), served.requests.recv()).await.expect("it got no place");
    answer(request.unwrap());
    assert_eq!(parsed(&raw(waiting, b"").await).0, 200);
}

#[tokio::test(start_paused = true)]
async fn clients_that_send_nothing_more_are_cut_off() {
    let (socket, _directory) = Served::answering();
    let body = "POST /v1/ban HTTP/1.1\r\nHost: banner\r\nContent-Length: 10\r\n\r\n{";
    for (sent, status) in [("", None), ("GET /v1/status HTT", None), (body, Some(408))] {
        let before = Instant::now();
        let answer = raw(UnixStream::connect(&socket).await.unwrap(), sent.as_bytes()).await;
        let took = before.elapsed();
        assert!(took >= IDLE_MAX && took < IDLE_MAX + Duration::from_millis(100), "{sent:?}: {took:?}");
        assert_eq!((!answer.is_empty()).then(|| parsed(&answer).0), status, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_serves_one_request() {
    let (socket, _directory) = Served::answering();
    let twice = get("/v1/status").repeat(2);
    let before = Instant::now();
    let answer = raw(UnixStream::connect(&socket).await.unwrap(), twice.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1);
    assert!(before.elapsed() < IDLE_MAX, "it idled: {:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_loses_its_place() {
    let mut served = Served::start();
    let mut stream = served.connect().await;
    stream.write_all(get("/v1/bans").as_bytes()).await.unwrap();
    let Some(Request::Bans(_, reply)) = served.requests.recv().await else { panic!("another request") };
    let ban = ban_of("192.0.2.1".parse().unwrap());
    // More than the socket's buffers hold.
    reply.send(Ok(BansPage { bans: vec![ban; 50_000], next: None })).unwrap();
    sleep(EXCHANGE_MAX + Duration::from_millis(100)).await;
    let mut answer = Vec::new();
    // Reset or ended early: either way it is not the whole answer.
    drop(stream.read_to_end(&mut answer).await);
    assert!(answer.starts_with(b"HTTP/1.1 200") && !answer.ends_with(b"}"), "{} bytes", answer.len());
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_takes_nothing_is_told_within_five_seconds_and_does_nothing_later() {
    let mut served = Served::start();
    let ban = post("/v1/ban", r#"{"prefix":"192.0.2.1"}"#);
    for request in [get("/v1/why/192.0.2.1"), ban, post("/v1/reload", ""), post("/v1/detach", "")] {
        let (status, error, took) = refusal(served.socket(), &request).await;
        assert_eq!((status, error.kind), (504, ErrorKind::Unresponsive), "{request}");
        assert_eq!(error.cause, ["it did not take the request within 4 s; nothing was done".into()], "{request}");
        assert!(took >= ANSWERED_WITHIN && took < Duration::from_secs(5), "{request}: {took:?}");
    }
    // A reload is two requests.
    let before = Instant::now();
    let reloaded = Client::new(&served.socket()).reload().await;
    assert!(matches!(reloaded, Err(ClientError::Answered(error)) if error.kind == ErrorKind::Unresponsive));
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());

    let mut stream = served.connect().await;
    stream.write_all(get("/v1/status").as_bytes()).await.unwrap();
    let next = served.requests.recv().await;
    assert!(matches!(next, Some(Request::Status(_))), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_takes_nobodys_place() {
    let mut served = Served::start();
    // More than the queue holds.
    for _ in 0..4 {
        let asking: JoinSet<_> = (0..CONNECTIONS_MAX)
            .map(|_| {
                let socket = served.socket();
                async move { raw(UnixStream::connect(socket).await.unwrap(), get("/v1/bans").as_bytes()).await }
            })
            .collect();
        for answer in asking.join_all().await {
            assert_eq!(parsed(&answer).0, 504, "{answer}");
        }
    }
    let client = Client::new(&served.socket());
    let asking = tokio::spawn(async move { client.status().await });
    answer(served.requests.recv().await.unwrap());
    assert_eq!(asking.await.unwrap(), Ok(Status::default()));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_took_a_request_is_waited_for_as_long_as_it_may_take() {
    let mut served = Served::start();
    for (request, within) in [(get("/v1/status"), 4), (post("/v1/detach", ""), 4), (post("/v1/reload", ""), 30)] {
        let mut kept = None;
        let (status, error, took) = tokio::select! {
            refused = refusal(served.socket(), &request) => refused,
            never = async { kept = served.requests.recv().await; std::future::pending().await } => never,
        };
        assert!(kept.is_some(), "{request}");
        assert_eq!((status, error.kind), (504, ErrorKind::Unresponsive), "{request}");
        assert!(error.cause[0].as_str().contains("took the request"), "{error}");
        assert_eq!(took.as_secs(), within, "{request}");
    }
    // And one that takes its time answers.
    let client = Client::new(&served.socket());
    let reloading = tokio::spawn(async move { client.reload().await });
    answer(served.requests.recv().await.unwrap());
    let request = served.requests.recv().await.unwrap();
    sleep(Duration::from_secs(29)).await;
    answer(request);
    assert_eq!(reloading.await.unwrap(), Ok(Reloaded::default()));
}

#[tokio::test(start_paused = true)]
async fn a_starting_and_a_stopping_daemon_say_so_at_once() {
    let served = Served::start();
    for (phase, kind, said) in [
        (Phase::Starting, ErrorKind::Starting, "the daemon is starting"),
        (Phase::Stopping, ErrorKind::Unavailable, "the daemon is stopping"),
    ] {
        served.phase.send_replace(phase);
        for request in [get("/v1/status"), get("/v1/bans"), post("/v1/reload", ""), post("/v1/detach", "")] {
            let (status, error, took) = refusal(served.socket(), &request).await;
            assert_eq!((status, error.kind, error.error.as_str()), (503, kind, said), "{request}");
            assert!(took < Duration::from_millis(100), "{request}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_loop_did_not_take_before_its_end_is_told_of_the_end() {
    let served = Served::start();
    let socket = served.socket();
    let asking = tokio::spawn(async move { refusal(socket, &get("/v1/status")).await });
    sleep(Duration::from_secs(1)).await;
    drop(served.requests);
    let (status, error, took) = asking.await.unwrap();
    assert_eq!((status, error.kind, took.as_secs()), (503, ErrorKind::Unavailable, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_has_hung_up_is_not_carried_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("banner.sock");
    let socket = Socket::bind(&path).unwrap();
    // The server does not run yet, as in a process that is stopped.
    for request in [get("/v1/status"), post("/v1/ban", r#"{"prefix":"192.0.2.1"}"#), post("/v1/detach", "")] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
    }
    let (_phase, phases) = watch::channel(Phase::Running);
    let (daemon, mut requests) = queue(phases);
    tokio::spawn(serve(socket, daemon));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(get("/v1/bans").as_bytes()).await.unwrap();
    let first = requests.recv().await;
    assert!(matches!(first, Some(Request::Bans(..))), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_withdrawn_when_its_client_hangs_up_before_the_loop_took_it() {
    let mut served = Served::start();
    for request in [get("/v1/status"), post("/v1/ban", r#"{"prefix":"192.0.2.1"}"#)] {
        let mut stream = served.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        drop(stream);
        sleep(Duration::from_millis(1)).await;
    }
    let mut stream = served.connect().await;
    stream.write_all(get("/v1/bans").as_bytes()).await.unwrap();
    let first = served.requests.recv().await;
    assert!(matches!(first, Some(Request::Bans(..))), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_was_removed_is_made_anew() {
    let (path, _directory) = Served::answering();
    let client = Client::new(&path);
    std::fs::remove_file(&path).unwrap();
    let not_running = ClientError::NotRunning { socket: path.as_path().into() };
    assert_eq!(client.status().await, Err(not_running));
    sleep(LOOK_EVERY * 2).await;
    assert_eq!(client.status().await, Ok(Status::default()));
}

#[test]
fn the_server_answers_from_its_own_thread_until_it_is_let_go_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("banner.sock");
    let (server, mut requests) = Server::start(&path, || {}).unwrap();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = Client::new(&path);
    // This thread, which would be the loop's, does nothing else meanwhile.
    let kind = || match runtime.block_on(client.status()) {
        Err(ClientError::Answered(error)) => error.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(), ErrorKind::Starting);
    server.running();
    let (status, ()) =
        runtime.block_on(async { tokio::join!(client.status(), async { answer(requests.recv().await.unwrap()) }) });
    assert_eq!(status, Ok(Status::default()));
    server.stopping();
    assert_eq!(kind(), ErrorKind::Unavailable);
    assert!(matches!(Server::start(&path, || {}), Err(BindError::AlreadyRunning { .. })));
    drop(server);
    assert!(!path.exists());
    assert!(runtime.block_on(requests.recv()).is_none());
}

#[tokio::test(start_paused = true)]
async fn stopping_answers_what_is_under_way_and_takes_nothing_new() {
    let mut served = Served::start();
    let socket = served.socket();
    let mut stream = served.connect().await;
    let idle = served.connect().await;
    stream.write_all(post("/v1/detach", "").as_bytes()).await.unwrap();
    let request = served.requests.recv().await.unwrap();
    drop(served.phase);
    yield_now().await;
    answer(request);
    assert_eq!(parsed(&raw(stream, b"").await).0, 200);
    let before = Instant::now();
    served.server.await.unwrap();
    assert!(before.elapsed() <= STOP_MAX, "it waited for an idle connection: {:?}", before.elapsed());
    drop(idle);
    let not_running = ClientError::NotRunning { socket: socket.as_path().into() };
    assert_eq!(Client::new(&socket).status().await, Err(not_running));
}

#[tokio::test]
async fn a_dead_daemons_socket_means_not_running() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("banner.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let error = Client::new(&socket).status().await.unwrap_err();
    assert_eq!(error, ClientError::NotRunning { socket: socket.as_path().into() });
}

#[test]
fn only_root_and_the_daemons_user_may_talk() {
    assert!(user_may_talk(0, 0) && user_may_talk(0, 990) && user_may_talk(990, 990));
    assert!(!user_may_talk(1000, 0) && !user_may_talk(1000, 990) && !user_may_talk(65534, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_gets_nothing_but_a_refusal() {
    let (stream, peer) = UnixStream::pair().unwrap();
    let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
    tokio::spawn(exchange(peer, routes::forbidden(), place));
    let answer = raw(stream, post("/v1/detach", "").as_bytes()).await;
    let (status, body) = parsed(&answer);
    assert_eq!(status, 403);
    assert_eq!(serde_json::from_str::<ErrorBody>(body).unwrap().kind, ErrorKind::Forbidden);
}
