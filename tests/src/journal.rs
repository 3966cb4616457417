//! A systemd journal for a test: `/var/log`, `/run`, the machine's identity and its accounts are the test's own, in a mount
//! namespace, for whatever is started [`within`](Journal::within). Its files are written by systemd-journal-remote, of entries
//! by anybody at any time; or by systemd's own journald, of what is sent to it.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    time::{ClockId, clock_gettime},
};
use tempfile::TempDir;

use crate::patience::until;

/// Writes journal files of any entries.
const REMOTE: &str = "/lib/systemd/systemd-journal-remote";
const JOURNALD: &str = "/lib/systemd/systemd-journald";

const MACHINE: &str = "5e3f00d15e3f00d15e3f00d15e3f00d1";

const ACCOUNTS: &str = "root:x:0:0:root:/root:/bin/sh\npostfix:x:106:115::/var/spool/postfix:/usr/sbin/nologin\n\
                        alice:x:1000:1000::/home/alice:/bin/sh\n";

/// The account that is Postfix's here.
const POSTFIX: u32 = 106;

const SETTINGS: &str = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\n";

/// The file that journald writes at present.
pub const ACTIVE: &str = "system.journal";

/// The journal. Dropping it removes its files.
#[derive(Debug)]
pub struct Journal {
    folder: TempDir,
}

impl Journal {
    /// Makes one without an entry. None, said in one line, where systemd's programs are not installed; a failure in CI.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> anyhow::Result<Option<Self>> {
        for (program, package) in [(REMOTE, "systemd-journal-remote"), (JOURNALD, "systemd")] {
            if !Path::new(program).exists() {
                ensure!(std::env::var_os("CI").is_none(), "there is no {program}; install the package {package}");
                // Straight to the descriptor: the test harness swallows what a passing test prints.
                writeln!(std::io::stderr(), "skipped: journals: there is no {program}; install the package {package}")?;
                return Ok(None);
            }
        }
        let journal = Self { folder: tempfile::tempdir().context("making a temporary folder")? };
        for directory in ["log", "run"] {
            fs::create_dir(journal.path(directory))?;
            // Other accounts go through them, to journald's socket.
            fs::set_permissions(journal.path(directory), fs::Permissions::from_mode(0o755))?;
        }
        fs::create_dir_all(journal.files())?;
        fs::write(journal.path("machine-id"), format!("{MACHINE}\n"))?;
        fs::write(journal.path("passwd"), ACCOUNTS)?;
        Ok(Some(journal))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The directory of its files: `/var/log/journal/<machine>`.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.path("log/journal").join(MACHINE)
    }

    /// Moves the calling thread to where this is the machine's journal, for good.
    ///
    /// # Errors
    /// Without root.
    pub fn enter(&self) -> anyhow::Result<()> {
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).context("making a mount namespace (needs root)")?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        for (own, place) in
            [("log", "/var/log"), ("run", "/run"), ("machine-id", "/etc/machine-id"), ("passwd", "/etc/passwd")]
        {
            mount(Some(&self.path(own)), place, none, MsFlags::MS_BIND, none)
                .with_context(|| format!("the test's own {place}"))?;
        }
        Ok(())
    }

    /// Does something on a thread that has [entered](Self::enter): the processes that it starts find this journal.
    ///
    /// # Errors
    /// Entering fails, or what is done.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let done = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter()?;
                act()
            });
            inside.join()
        });
        let Ok(done) = done else { bail!("the thread within the journal panicked") };
        done
    }

    /// Appends entries in the export format to its active file.
    ///
    /// # Errors
    /// systemd-journal-remote fails.
    pub fn append(&self, entries: &str) -> anyhow::Result<()> {
        let mut remote = Command::new(REMOTE)
            .args(["--split-mode=none", "--output"])
            .args([&self.files().join(ACTIVE), Path::new("-")])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting systemd-journal-remote")?;
        // Closed when it is written, which is the end of what is to be read.
        remote.stdin.take().context("its input")?.write_all(entries.as_bytes())?;
        let output = remote.wait_with_output()?;
        ensure!(output.status.success(), "{REMOTE}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Renames the active file, as journald does when it rotates; the next entry begins another one. Returns where it is.
    ///
    /// # Errors
    /// There is none.
    pub fn rotate(&self) -> anyhow::Result<PathBuf> {
        let number = fs::read_dir(self.files())?.count();
        let archived = self.files().join(format!("system@{:032x}-{number:016x}-{number:016x}.journal", 1));
        fs::rename(self.files().join(ACTIVE), &archived).context("there is no active file")?;
        Ok(archived)
    }

    /// Starts journald, which writes to `/run/log/journal`, and waits until it takes messages.
    ///
    /// # Errors
    /// It ends.
    pub fn start_journald(&self) -> anyhow::Result<Journald> {
        fs::create_dir_all(self.path("run/log/journal"))?;
        fs::create_dir_all(self.path("run/systemd/journald.conf.d"))?;
        fs::write(self.path("run/systemd/journald.conf.d/test.conf"), SETTINGS)?;
        let journald =
            self.within(|| Command::new(JOURNALD).stderr(Stdio::null()).spawn().context("starting journald"))?;
        let mut journald = Journald(journald);
        until("journald takes messages", || {
            if let Some(status) = journald.0.try_wait()? {
                bail!("journald ended by itself: {status}");
            }
            let socket = UnixDatagram::unbound()?;
            Ok(socket.connect(self.path("run/systemd/journal/dev-log")).is_ok().then_some(()))
        })?;
        Ok(journald)
    }

    /// Sends a message to journald as a local user does, under whatever name.
    ///
    /// # Errors
    /// `logger` fails.
    pub fn log_as(&self, user: u32, name: &str, message: &str) -> anyhow::Result<()> {
        let mut logger = Command::new("setpriv");
        logger.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).arg("--clear-groups");
        logger.args(["logger", "--socket", "/run/systemd/journal/dev-log", "--id", "--priority", "mail.warning"]);
        logger.args(["--tag", name, "--", message]);
        let status = self.within(|| logger.status().context("running logger"))?;
        ensure!(status.success(), "logger ended with {status}");
        Ok(())
    }
}

/// A running journald, killed when it is dropped.
#[derive(Debug)]
pub struct Journald(Child);

impl Drop for Journald {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _: std::io::Result<()> = self.0.kill();
        let _: std::io::Result<std::process::ExitStatus> = self.0.wait();
    }
}

/// Lines of a [mail log](crate::mail_log) as the entries that journald makes of them when Postfix sends them: written at their
/// stamps, in this boot.
///
/// # Errors
/// One is no line of that log.
pub fn entries(lines: &str) -> anyhow::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().replace('-', "");
    let monotonic = std::time::Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    let (monotonic, now) = (i64::try_from(monotonic.as_micros())?, Timestamp::now().as_microsecond());
    let entry = |line: &str| -> Option<String> {
        let (stamp, rest) = line.split_once(' ')?;
        let (host, rest) = rest.split_once(' ')?;
        let (tag, message) = rest.split_once("]: ")?;
        let (program, pid) = tag.split_once('[')?;
        let at = stamp.parse::<Timestamp>().ok()?.as_microsecond();
        let since_boot = (monotonic - (now - at)).max(1);
        Some(format!(
            "__REALTIME_TIMESTAMP={at}\n__MONOTONIC_TIMESTAMP={since_boot}\n_BOOT_ID={boot}\n_MACHINE_ID={MACHINE}\n\
             _HOSTNAME={host}\n_TRANSPORT=syslog\n_PID={pid}\n_UID={POSTFIX}\n_COMM=smtpd\n\
             _EXE=/usr/lib/postfix/sbin/smtpd\n_SYSTEMD_UNIT=postfix@-.service\nSYSLOG_IDENTIFIER={program}\n\
             MESSAGE={message}\n\n"
        ))
    };
    lines.lines().map(|line| entry(line).with_context(|| format!("`{line}` is no line of a mail log"))).collect()
}
