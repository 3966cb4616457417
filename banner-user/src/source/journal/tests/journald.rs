//! systemd's own journald, in a mount namespace with its own /run: it needs no systemd as process 1.

use std::{fs, os::unix::net::UnixDatagram, path::PathBuf, process::Child};

use jiff::tz::TimeZone;
use tokio::time::sleep;

use super::*;
use crate::{
    detect::{Detector, Filter},
    event::Event,
};

const SETTINGS: &str = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\n\
                        RuntimeMaxUse=1G\nRuntimeMaxFileSize=1M\nRuntimeMaxFiles=1000\n";

/// A journald, and the namespace that it lives in.
struct Journald {
    /// Keeps the namespace, until its input is closed.
    namespace: Child,
    journald: Child,
}

impl Journald {
    /// None, said in one line, where it cannot be had, except in CI.
    async fn start() -> Option<Self> {
        const PROGRAM: &str = "/lib/systemd/systemd-journald";
        if !Path::new(PROGRAM).exists() || !nix::unistd::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "systemd-journald is not installed, or not root");
            eprintln!("left out: journald needs to be installed, and root");
            return None;
        }
        let script = format!(
            "mount -t tmpfs tmpfs /run && mkdir -p /run/log/journal /run/systemd/journald.conf.d && \
             printf '{}' >/run/systemd/journald.conf.d/test.conf && echo ready && exec cat",
            SETTINGS.replace('\n', "\\n")
        );
        let mut namespace = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        io::Read::read_exact(namespace.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let journald = Self::run(&namespace);
        let mut journald = Self { namespace, journald };
        journald.is_up().await;
        Some(journald)
    }

    fn run(namespace: &Child) -> Child {
        let target = format!("--target={}", namespace.id());
        Command::new("nsenter").args([&target, "--mount", "/lib/systemd/systemd-journald"]).spawn().unwrap()
    }

    fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/run/{inside}", self.namespace.id()))
    }

    fn socket(&self) -> PathBuf {
        self.path("systemd/journal/dev-log")
    }

    /// Waits until it takes messages.
    async fn is_up(&mut self) {
        for _ in 0..1000 {
            let socket = UnixDatagram::unbound().unwrap();
            if socket.connect(self.socket()).is_ok() {
                return;
            }
            assert_eq!(self.journald.try_wait().unwrap(), None, "journald ended");
            sleep(Duration::from_millis(10)).await;
        }
        panic!("journald does not listen");
    }

    async fn restart(&mut self) {
        self.journald.kill().unwrap();
        self.journald.wait().unwrap();
        self.journald = Self::run(&self.namespace);
        self.is_up().await;
    }

    fn journal(&self, position: Option<JournalPosition>) -> Journal {
        journal(&self.path("log/journal"), position)
    }

    /// Sends as another account, by a copy of logger of this name.
    fn log_as(&self, uid: u32, program: &Path, message: &str) {
        // Another account may not go through /proc to the socket: inside, it is where every program looks for it.
        let target = format!("--target={}", self.namespace.id());
        let ids = [format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".to_owned()];
        let status = Command::new("nsenter")
            .args([&target, "--mount", "setpriv"])
            .args(ids)
            .arg(program)
            .args(["--socket", "/run/systemd/journal/dev-log"])
            .args(["--id", "--tag", "postfix/smtpd", message])
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        for child in [&mut self.journald, &mut self.namespace] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_through_rotations_and_restarts_of_everything() {
    const MESSAGES: usize = 5000;
    let Some(mut journald) = Journald::start().await else { return };
    let mut journal = journald.journal(None);
    let (mut heard, mut socket) = (Heard::default(), UnixDatagram::unbound().unwrap());
    socket.connect(journald.socket()).unwrap();
    let ours = |heard: &Heard| heard.lines.iter().filter(|line| line.contains(" test[")).count();
    for number in 0..MESSAGES {
        socket.send(format!("<22>test[1]: {number} {}", "x".repeat(number % 700)).as_bytes()).unwrap();
        match number % 2500 {
            // journalctl is killed, and started again.
            500 => {
                heard.until(&mut journal, |heard| !heard.lines.is_empty()).await;
                let State::Running(run) = &mut journal.state else { panic!() };
                run.process.stop();
            }
            // The daemon is started again.
            1000 => journal = journald.journal(journal.position()),
            // journald rotates (systemd-journald.service(8)).
            1500 => {
                let kill = format!("kill -USR2 {}", journald.journald.id());
                assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
            }
            // journald is killed, when it has taken in what was sent.
            2000 => {
                heard.until(&mut journal, |heard| ours(heard) == number + 1).await;
                journald.restart().await;
                socket = UnixDatagram::unbound().unwrap();
                socket.connect(journald.socket()).unwrap();
            }
            250 => while heard.poll(&mut journal) == Progress::More {},
            _ => {}
        }
    }
    heard.until(&mut journal, |heard| ours(heard) == MESSAGES).await;
    let numbers = heard.lines.iter().filter_map(|line| line.split_once(" test[")?.1.split(' ').nth(1)?.parse().ok());
    assert_eq!(numbers.collect::<Vec<usize>>(), (0..MESSAGES).collect::<Vec<_>>());
    assert!(heard.lines.len() - MESSAGES < 100 && heard.live.iter().any(|live| *live));
    for notice in &heard.notices {
        assert!(matches!(notice, Notice::Ended { .. } | Notice::Resumed | Notice::Said(_)), "{notice}");
    }
    let files = fs::read_dir(journald.path("log/journal")).unwrap().flatten();
    let files: usize = files.map(|directory| fs::read_dir(directory.path()).unwrap().count()).sum();
    assert!(files > 5, "{files} files: nothing was rotated");
}

#[tokio::test]
async fn a_local_user_cannot_forge_an_entry() {
    let Some(journald) = Journald::start().await else { return };
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(0), Some(0)).unwrap();
    fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let smtpd = directory.path().join("smtpd");
    install_program(Path::new("/usr/bin/logger"), &smtpd);
    let failure = |number: u32| format!("failed 192.0.2.{number}");
    // A person's, under the server's name, and with a program of its name; then an account of the system that is not the
    // server's; then the server.
    journald.log_as(1000, Path::new("logger"), &failure(1));
    journald.log_as(1000, &smtpd, &failure(2));
    journald.log_as(33, &smtpd, &failure(3));
    journald.log_as(0, &smtpd, &failure(4));
    let filter = "ident=['postfix/smtpd']\n[journal]\naccounts=['postfix']\nexecutables=['smtpd']\n\
                  [[rule]]\nkind='failure'\nstart='failed '\npattern='<ADDR>'\nexample='failed 192.0.2.1'";
    let mut detector = Detector::new(vec![Filter::parse("mine", filter).unwrap()], TimeZone::UTC);
    let (mut journal, mut counted, mut entries) = (journald.journal(None), Vec::new(), 0);
    let deadline = Instant::now() + PATIENCE;
    while entries < 4 {
        let now = Now::read();
        let mut sink = |entry: Entry<'_>| {
            entries += usize::from(entry.bytes.windows(7).any(|bytes| bytes == b"failed "));
            for event in detector.handle_entry(entry.bytes, now.wall, &entry.writer) {
                let Event::Failure(attempt) = event else { panic!("{event:?}") };
                counted.push(attempt.source.to_string());
            }
        };
        journal.poll(now, usize::MAX, &mut sink, &mut |notice| panic!("{notice}"));
        timeout_at(deadline, journal.wait()).await.unwrap();
    }
    assert_eq!((counted, detector.refused()), (vec!["192.0.2.4".to_owned()], 3));
    let refusals = detector.take_refusals();
    let [refusal] = &*refusals else { panic!("{refusals:?}") };
    assert!(refusal.to_string().contains("filter `mine`, and were written by the account "), "{refusal}");
    assert!(refusal.to_string().contains("1000"), "{refusal}");
}
