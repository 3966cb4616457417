//! Every command against a daemon that answers from a table, and against none.

use std::{
    cell::RefCell, fs, io::Write, num::NonZeroU32, os::unix::net::UnixListener, path::Path, rc::Rc, thread::JoinHandle,
};

use clap::Parser;
use tempfile::TempDir;

use super::*;
use crate::{
    cli::{Finding, Verdict},
    control::{
        Request,
        protocol::{
            BanTime, Banned, BansPage, Daemon, Detached, ErrorBody, ErrorKind, FuseAnswer, Jail, Origin, Prefix,
            Reloaded, Time, Unbanned, Why,
        },
        server::Server,
    },
};

/// A machine whose kernel still enforces one ban, or nothing.
struct Machine {
    pinned: bool,
}

impl Platform for Machine {
    fn run_daemon(&self, config: Config, path: Option<&Path>) -> Result<(), Failure> {
        assert_eq!(path.unwrap().file_name().unwrap(), "banner.toml");
        Err(Failure::new(Exit::Kernel, &format_args!("ran with {}", config.socket.file_name().unwrap().display())))
    }

    fn check(&self, _: &Config) -> Vec<Finding> {
        vec![Finding { subject: "kernel".into(), verdict: Verdict::Refused, note: "too old".into() }]
    }

    fn offline_status(&self, _: &Config) -> Result<Option<Status>, Failure> {
        Ok(self.pinned.then(Status::default))
    }

    fn offline_bans(&self, _: &Config) -> Result<Option<Box<dyn Iterator<Item = Ban>>>, Failure> {
        Ok(self.pinned.then(|| Box::new([ban("203.0.113.7")].into_iter()) as Box<_>))
    }

    fn offline_detach(&self, _: &Config) -> Result<Option<Detached>, Failure> {
        Ok(self.pinned.then(|| Detached { interfaces: vec!["eth0".into()], entries: 1, not_saved: None }))
    }
}

/// What a daemon says that bans 192.0.2.1 and 192.0.2.2 in pages of one, and refuses 198.51.100.1.
fn reply(request: Request) {
    match request {
        Request::Status(reply) => drop(reply.send(Ok(status_of_a_daemon()))),
        Request::Bans(query, reply) => {
            let first = prefix("192.0.2.1");
            let page = match query.after {
                None => BansPage { bans: vec![ban("192.0.2.1")], next: Some(first) },
                Some(after) => {
                    assert_eq!(after, first);
                    BansPage { bans: vec![ban("192.0.2.2")], next: None }
                }
            };
            drop(reply.send(Ok(page)));
        }
        Request::Why(address, reply) => {
            let source = Prefix::from(address);
            let banned = source == prefix("192.0.2.1");
            drop(reply.send(Ok(Why {
                address,
                source,
                protected: None,
                bans: if banned { vec![ban("192.0.2.1")] } else { Vec::new() },
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
            })));
        }
        Request::Ban(request, reply) => drop(reply.send(if request.prefix == prefix("198.51.100.1") {
            Err(ErrorBody::new(ErrorKind::Refused, "198.51.100.1 is not banned: it is protected")
                .because("it is this host's default gateway"))
        } else {
            let BanRequest { prefix, services, .. } = request;
            Ok(Banned {
                prefix,
                until: None,
                services,
                except: Vec::new(),
                overridden: Vec::new(),
                waits: false,
                not_saved: None,
            })
        })),
        Request::Unban(UnbanRequest { prefix: asked }, reply) => drop(reply.send(if asked == prefix("192.0.2.1") {
            Ok(Unbanned { prefix: asked, lifted: 1, instead: Vec::new(), still_banned_by: Vec::new(), not_saved: None })
        } else {
            Err(ErrorBody::new(ErrorKind::NotBanned, format!("{asked} is not banned")))
        })),
        Request::Fuse(request, reply) => {
            let reset = u64::from(request == FuseRequest::Reset);
            drop(reply.send(Ok(FuseAnswer { tripped: Vec::new(), reset })));
        }
        Request::Reload(reply) => {
            let error = ErrorBody::new(ErrorKind::Configuration, "the configuration has errors; the old one stays");
            drop(reply.send(Err(error.because("banner.toml:7:1: unknown key `maxretyr`"))));
        }
        Request::Detach(reply) => {
            drop(reply.send(Err(ErrorBody::new(ErrorKind::Kernel, "cannot detach from eth0").remedy("try again"))));
        }
    }
}

fn status_of_a_daemon() -> Status {
    let daemon = Daemon { version: "0.1.0".into(), pid: 812, since: Time("2026-11-22T12:00:00Z".parse().unwrap()) };
    let jail = Jail {
        name: "mail".into(),
        currently_failed: 0,
        total_failed: 0,
        currently_banned: 2,
        total_banned: 2,
        maxretry: 3,
        findtime: 600,
        bantime: BanTime::Seconds(NonZeroU32::new(600).unwrap()),
        services: Vec::new(),
        filter: Vec::new(),
        source: Vec::new(),
        observe: false,
    };
    Status { daemon: Some(daemon), jails: vec![jail], ..Status::default() }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn ban(text: &str) -> Ban {
    Ban {
        prefix: prefix(text),
        origin: Origin::Hand,
        jail: None,
        list: None,
        services: vec!["smtp".into()],
        since: None,
        until: None,
        remaining: None,
        packets: 0,
        bytes: 0,
        last_seen: None,
        observe: false,
        waits: false,
    }
}

/// A configuration in a directory of its own, and perhaps a daemon on its socket.
struct Installation {
    directory: TempDir,
    daemon: Option<(Server, JoinHandle<()>)>,
}

impl Installation {
    fn without_daemon() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("banner.sock");
        fs::write(directory.path().join("banner.toml"), format!("socket = {:?}\n", socket.to_str().unwrap())).unwrap();
        Self { directory, daemon: None }
    }

    fn with_daemon() -> Self {
        Self::with_daemon_that(reply)
    }

    fn with_daemon_that(replies: fn(Request)) -> Self {
        let mut installation = Self::without_daemon();
        let (server, mut requests) = Server::start(&installation.directory.path().join("banner.sock"), || {}).unwrap();
        server.running();
        let answering = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().build().unwrap();
            while let Some(request) = runtime.block_on(requests.recv()) {
                replies(request);
            }
        });
        installation.daemon = Some((server, answering));
        installation
    }

    /// Exit code, stdout and stderr.
    fn run(&self, line: &str, pinned: bool) -> (Exit, String, String) {
        let config = self.directory.path().join("banner.toml");
        let words = ["banner", "--config", config.to_str().unwrap()].into_iter().chain(line.split_whitespace());
        let arguments = Arguments::try_parse_from(words).unwrap();
        let (written, noted) = (Shared::default(), Shared::default());
        let mut output = Output::to(written.clone(), noted.clone());
        let exit = match execute(&arguments, &Machine { pinned }, &mut output) {
            Ok(exit) => exit,
            Err(failure) => {
                output.note(&failure.message().unwrap());
                failure.exit()
            }
        };
        (exit, written.text(), noted.text())
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Some((server, answering)) = self.daemon.take() {
            drop(server);
            answering.join().unwrap();
        }
    }
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_daemon_answers_and_the_exit_code_says_what_it_was() {
    let installation = Installation::with_daemon();
    for (line, exit, written, message) in [
        ("status", Exit::Done, "banner 0.1.0, process 812", ""),
        ("status mail", Exit::Done, "jail mail\n", ""),
        ("status mial", Exit::Usage, "", "error: there is no jail `mial`\n  remedy: did you mean `mail`?"),
        ("status ma\u{1b}[2Jil", Exit::Usage, "", r"there is no jail `ma\u{1b}[2Jil`"),
        ("status web", Exit::Usage, "", "the jails are: mail"),
        ("status mail --json", Exit::Done, r#"{"name":"mail","currently_failed":0,"#, ""),
        ("status --json", Exit::Done, r#"{"daemon":{"version":"0.1.0","pid":812,"since":"2026-11-22T12:00:00Z"}"#, ""),
        ("ban 203.0.113.0/24 --services smtp", Exit::Done, "203.0.113.0/24 is banned permanently from smtp\n", ""),
        ("ban 203.0.113.9 --json", Exit::Done, r#"{"prefix":"203.0.113.9","until":null"#, ""),
        ("ban 198.51.100.1", Exit::No, "", "it is protected\n  cause: it is this host's default gateway"),
        ("unban 192.0.2.1", Exit::Done, "192.0.2.1: 1 ban lifted", ""),
        ("unban 192.0.2.9", Exit::No, "", "error: 192.0.2.9 is not banned"),
        ("why 192.0.2.1", Exit::Done, "192.0.2.1 is banned\n", ""),
        ("why 192.0.2.9", Exit::No, "192.0.2.9 is not banned\n", ""),
        ("why 192.0.2.9 --json", Exit::No, r#"{"address":"192.0.2.9","source":"192.0.2.9""#, ""),
        ("fuse reset", Exit::Done, "the fuse is reset: every failure counts again\n", ""),
        ("fuse trip --for 2h", Exit::Done, "the fuse was not tripped", ""),
        ("health", Exit::No, "warning: no interface is guarded\n", ""),
        ("reload", Exit::Usage, "", "the old one stays\n  cause: banner.toml:7:1: unknown key `maxretyr`"),
        ("detach", Exit::Kernel, "", "error: cannot detach from eth0\n  remedy: try again"),
    ] {
        let (got, stdout, stderr) = installation.run(line, true);
        assert_eq!(got, exit, "{line}: {stdout}{stderr}");
        assert!(stdout.contains(written) && (written.is_empty() == stdout.is_empty()), "{line}: {stdout}");
        assert!(stderr.contains(message) && (message.is_empty() == stderr.is_empty()), "{line}: {stderr}");
    }
}

#[test]
fn a_reload_tells_what_the_new_configuration_leaves_unguarded() {
    let mistyped = |request| match request {
        Request::Reload(reply) => {
            drop(reply.send(Ok(Reloaded { lifted: 0, warnings: vec!["odd".into(), "no eth1".into()] })));
        }
        Request::Status(reply) => {
            let warnings = vec!["no eth1".into(), "no route".into()];
            drop(reply.send(Ok(Status { warnings, ..status_of_a_daemon() })));
        }
        Request::Bans(..)
        | Request::Why(..)
        | Request::Ban(..)
        | Request::Unban(..)
        | Request::Fuse(..)
        | Request::Detach(_) => {
            unreachable!("not asked for");
        }
    };
    let installation = Installation::with_daemon_that(mistyped);
    let told = "the configuration is read again\n\
                warning: odd\n\
                warning: no eth1\n\
                warning: no route\n";
    assert_eq!(installation.run("reload", true), (Exit::Done, told.to_owned(), String::new()));
}

#[test]
fn all_pages_of_bans_are_listed() {
    let installation = Installation::with_daemon();
    let (exit, listed, _) = installation.run("bans", false);
    let first_words: Vec<_> = listed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!((exit, first_words.as_slice()), (Exit::Done, &["PREFIX", "192.0.2.1", "192.0.2.2"][..]));

    let (_, listed, _) = installation.run("bans --json", false);
    let bans: Vec<Ban> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(bans, [ban("192.0.2.1"), ban("192.0.2.2")]);
}

#[test]
fn without_a_daemon_the_kernel_answers_what_it_can() {
    let installation = Installation::without_daemon();
    let enforced = "warning: the daemon is not running; this is what the kernel enforces";
    let not_running = "error: the daemon is not running\n  cause: nothing listens on ";
    for (line, pinned, exit, written, message) in [
        ("status", true, Exit::Unreachable, "banner is not running\n", enforced),
        ("status --json", true, Exit::Unreachable, r#"{"daemon":null"#, enforced),
        ("status", false, Exit::Unreachable, "", not_running),
        ("status mail", true, Exit::Unreachable, "", not_running),
        ("bans", true, Exit::Done, "203.0.113.7", enforced),
        ("bans --json", true, Exit::Done, r#"{"prefix":"203.0.113.7""#, enforced),
        ("bans", false, Exit::Unreachable, "", not_running),
        ("bans mail", true, Exit::Unreachable, "", not_running),
        ("detach", true, Exit::Done, "detached from eth0; 1 ban removed", ""),
        ("detach", false, Exit::Done, "nothing was attached\n", ""),
        ("why 192.0.2.1", true, Exit::Unreachable, "", not_running),
        ("ban 192.0.2.1", true, Exit::Unreachable, "", not_running),
        ("unban 192.0.2.1", true, Exit::Unreachable, "", not_running),
        ("fuse reset", true, Exit::Unreachable, "", not_running),
        ("health", true, Exit::Unreachable, "", not_running),
        ("reload", true, Exit::Unreachable, "", not_running),
        ("run", true, Exit::Kernel, "", "error: ran with banner.sock"),
    ] {
        let (got, stdout, stderr) = installation.run(line, pinned);
        assert_eq!(got, exit, "{line}: {stdout}{stderr}");
        assert!(stdout.contains(written) && (written.is_empty() == stdout.is_empty()), "{line}: {stdout}");
        assert!(stderr.contains(message) && (message.is_empty() == stderr.is_empty()), "{line}: {stderr}");
    }
}

#[test]
fn a_daemon_that_is_there_and_broken_is_not_taken_for_a_dead_one() {
    let installation = Installation::without_daemon();
    let listener = UnixListener::bind(installation.directory.path().join("banner.sock")).unwrap();
    let lines = ["status", "bans", "detach"];
    let hanging_up = thread::spawn(move || lines.map(|_| drop(listener.accept().unwrap())));
    for line in lines {
        let (exit, stdout, stderr) = installation.run(line, true);
        assert_eq!((exit, stdout.as_str()), (Exit::Unreachable, ""), "{line}");
        assert!(stderr.starts_with("error: the daemon does not answer\n  cause: "), "{line}: {stderr}");
    }
    hanging_up.join().unwrap();
}

#[test]
fn check_shows_what_is_wrong_where() {
    let installation = Installation::without_daemon();
    let (exit, stdout, _) = installation.run("check", false);
    assert_eq!((exit, stdout.as_str()), (Exit::Kernel, "failed   kernel  too old\n"));
    let (exit, stdout, _) = installation.run("check --json", false);
    let json = r#"{"problems":[],"findings":[{"subject":"kernel","verdict":"refused","note":"too old"}]}"#;
    assert_eq!((exit, stdout.trim_end()), (Exit::Kernel, json));

    fs::write(installation.directory.path().join("banner.toml"), "soket = 1\n").unwrap();
    let (exit, stdout, stderr) = installation.run("check", false);
    assert_eq!((exit, stdout.as_str()), (Exit::Usage, ""));
    assert!(stderr.starts_with("error: unknown key `soket`") && stderr.contains("banner.toml:1:1"), "{stderr}");
    let (exit, stdout, _) = installation.run("check --json", false);
    assert_eq!(exit, Exit::Usage);
    assert!(stdout.contains(r#""line":1,"column":1}],"findings":[]"#), "{stdout}");
    for line in ["status", "run", "detach"] {
        assert_eq!(installation.run(line, true).0, Exit::Usage, "{line}");
    }
}

#[test]
fn check_compiles_every_filter() {
    let installation = Installation::without_daemon();
    let filters = installation.directory.path().join("filters.d");
    fs::create_dir(&filters).unwrap();
    let rule =
        "[[rule]]\nkind = 'failure'\nstart = 'failed from '\npattern = '<ADDR>'\nexample = 'failed from 192.0.2.1'\n";
    fs::write(filters.join("idle.toml"), format!("ident = ['x']\n{rule}")).unwrap();
    let (exit, stdout, _) = installation.run("check", false);
    assert_eq!(exit, Exit::Kernel, "a filter that nobody uses is no error");
    assert!(stdout.starts_with("warning: no enabled jail uses the filter `idle`\n"), "{stdout}");

    fs::write(filters.join("broken.toml"), format!("ident = ['x']\n{}", rule.replace("'<ADDR>'", "'.*<ADDR>.*'")))
        .unwrap();
    let (exit, stdout, stderr) = installation.run("check", false);
    assert_eq!(exit, Exit::Usage);
    assert!(stdout.ends_with("failed   kernel  too old\n"), "the rest is told too: {stdout}");
    assert!(stderr.starts_with("error: filter `broken`: rule 1: ") && stderr.contains("broken.toml:5:11"), "{stderr}");
    let (exit, stdout, _) = installation.run("check --json", false);
    assert_eq!(exit, Exit::Usage);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let [broken, idle] = &json["problems"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!((&broken["error"], &broken["line"], &broken["column"]), (&true.into(), &5.into(), &11.into()));
    assert!(broken["file"].as_str().unwrap().ends_with("filters.d/broken.toml"), "{broken}");
    assert!(broken["remedy"].as_str().unwrap().contains("<NAME>"), "{broken}");
    assert_eq!(idle["error"], false);

    // With errors in the configuration too, all are told, each once.
    fs::write(installation.directory.path().join("banner.toml"), "soket = 1\n").unwrap();
    let (exit, _, stderr) = installation.run("check", false);
    assert_eq!((exit, stderr.matches("error: ").count()), (Exit::Usage, 2), "{stderr}");
    assert_eq!(installation.run("status", true).0, Exit::Usage);
    // What no jail uses stops nothing else.
    fs::write(installation.directory.path().join("banner.toml"), "").unwrap();
    assert!(installation.run("run", false).2.starts_with("error: ran with"));
}
