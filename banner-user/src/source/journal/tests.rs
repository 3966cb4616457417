//! With real journal files, which systemd-journal-remote writes of any text, and with systemd's own journald.

mod files;
mod journald;
mod process;

use std::{
    fmt::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Copies a program to where anybody may run it. Another process writes it: what a thread of this one has open for writing, a
/// child that another thread forks meanwhile holds open too, and Linux runs nothing that is (ETXTBSY, execve(2)).
fn install_program(from: &Path, to: &Path) {
    assert!(Command::new("install").arg("--mode=755").args([from, to]).status().unwrap().success());
}

/// What a journal handed on.
#[derive(Debug, Default)]
struct Heard {
    lines: Vec<String>,
    live: Vec<bool>,
    offsets: Vec<u64>,
    /// Account, executable and unit.
    writers: Vec<String>,
    notices: Vec<Notice>,
}

impl Heard {
    /// Polls and waits as the daemon does, until it has heard enough.
    async fn until(&mut self, journal: &mut Journal, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            self.poll(journal);
            // As in a `select!` whose other branch was faster.
            let _ = timeout_at(Instant::now() + Duration::from_micros(50), journal.wait()).await;
            timeout_at(deadline, journal.wait()).await.unwrap_or_else(|_| panic!("{self:?}"));
            assert!(Instant::now() < deadline, "{self:?}");
        }
    }

    fn poll(&mut self, journal: &mut Journal) -> Progress {
        let Self { lines, live, offsets, writers, notices } = self;
        journal.poll(
            Now::read(),
            4096,
            &mut |entry| {
                assert_eq!(entry.position.file, FileId::JOURNAL);
                lines.push(String::from_utf8_lossy(entry.bytes).into_owned());
                live.push(entry.live);
                offsets.push(entry.position.offset);
                let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                let Writer { uid, account, executable, unit } = entry.writer;
                writers.push(format!("{uid:?} {account:?} {:?} {:?}", text(executable), text(unit)));
            },
            &mut |notice| notices.push(notice),
        )
    }

    /// What stands behind the tag of each line.
    fn messages(&self) -> Vec<&str> {
        self.lines.iter().filter_map(|line| Some(line.split_once("]: ")?.1)).collect()
    }
}

/// An entry of smtpd's in the export format, so many milliseconds after all others.
fn entry(number: u64, message: &str) -> String {
    let mut entry = format!(
        "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n_TRANSPORT=syslog\n\
         _UID=0\n_PID=4711\n_HOSTNAME=mail\n_EXE=/usr/lib/postfix/sbin/smtpd\n_SYSTEMD_UNIT=postfix@-.service\n\
         SYSLOG_IDENTIFIER=postfix/smtpd\n",
        1_795_370_000_000_000 + number * 1000,
        1_000_000 + number * 1000,
    );
    writeln!(entry, "MESSAGE={message}\n").unwrap();
    entry
}

/// Writes a journal file of entries; false, said in one line, where the program for it is not installed, except in CI.
fn write_journal(directory: &Path, name: &str, entries: &str) -> bool {
    const WRITER: &str = "/lib/systemd/systemd-journal-remote";
    if !Path::new(WRITER).exists() {
        assert!(std::env::var_os("CI").is_none(), "systemd-journal-remote is not installed");
        eprintln!("left out: Debian's package systemd-journal-remote is not installed");
        return false;
    }
    let mut writer = Command::new(WRITER)
        .args(["--split-mode=none", "--output", directory.join(name).to_str().unwrap(), "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    io::Write::write_all(&mut writer.stdin.take().unwrap(), entries.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
    true
}

fn journal(directory: &Path, position: Option<JournalPosition>) -> Journal {
    let day = Duration::from_secs(86_400 * 365);
    Journal::new(Journalctl::system().of_directory(directory), position, day * 10, Now::read())
}

#[test]
fn an_entry_that_is_read_late_counts_when_it_was_written() {
    let wall = WallTime(1_700_000_000_000_000);
    for (age, late) in [(0, false), (30, false), (31, true), (-5, false)] {
        let written = wall.0 - age * 1_000_000;
        let position = format!("s={0:032x};i=1;b={0:032x};m=1;t={written:x};x=1", 1).parse().unwrap();
        assert_eq!(is_late(&position, Now { boot: BootTime(1), wall }), late, "{age} s ago");
    }
}
