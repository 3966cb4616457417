//! banner as an operator has it: the binary with a configuration, files and a bpffs directory of its own, on the mail server of
//! a [`Network`].

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{Read as _, Write as _},
    mem,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context as _, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    command_line::{Answer, CommandLine},
    mail_log::MailLog,
    network::{INTERFACE, Network},
    patience::{PATIENCE, until},
    privilege::BPFFS,
    process::Killed,
};

/// Names the binary under test.
pub const BINARY: &str = "BANNER_BIN";

/// The binary under test.
///
/// # Errors
/// The variable [`BINARY`] does not name one.
pub fn binary() -> anyhow::Result<PathBuf> {
    let binary = std::env::var_os(BINARY).map(PathBuf::from).with_context(|| {
        format!(
            "{BINARY} does not name the binary to test; `cargo xtask test` sets it, or: \
             cargo build -p banner-user && {BINARY}=$PWD/target/debug/banner cargo test -p banner-tests"
        )
    })?;
    ensure!(binary.is_file(), "{BINARY} names {}, which is no file", binary.display());
    Ok(binary)
}

/// What a test configures; the rest are the files of its [`Installation`].
#[derive(Clone, Debug)]
pub struct Configuration {
    /// `interface`, as TOML.
    pub interface: String,
    /// `ignoreip`, as TOML.
    pub ignoreip: String,
    /// `findtime` of the jail.
    pub findtime: String,
    /// `bantime` of the jail.
    pub bantime: String,
    /// `source` of the jail, as TOML; the log of the installation where there is none.
    pub source: Option<String>,
    /// `limits.bans_v4`.
    pub bans_v4: u32,
    /// Further top-level keys.
    pub more: String,
}

impl Default for Configuration {
    /// The defaults of banner, but for the interface, and maps that are quickly made.
    fn default() -> Self {
        Self {
            interface: format!("\"{INTERFACE}\""),
            ignoreip: "[]".to_owned(),
            findtime: "10m".to_owned(),
            bantime: "10m".to_owned(),
            source: None,
            bans_v4: 1024,
            more: String::new(),
        }
    }
}

/// The binary and its files. Dropping it removes them, with what is pinned.
#[derive(Debug)]
pub struct Installation<'n> {
    network: &'n Network,
    binary: PathBuf,
    folder: TempDir,
    bpffs: PathBuf,
    launcher: Vec<OsString>,
    /// The log that the jail reads.
    pub log: MailLog,
}

impl<'n> Installation<'n> {
    /// Makes the files, with an empty log.
    ///
    /// # Errors
    /// There is no binary to test, or the system's.
    pub fn new(network: &'n Network, configuration: &Configuration) -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let binary = binary()?;
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let bpffs = Path::new(BPFFS).join(format!("banner-test-binary-{}-{number}", std::process::id()));
        let log = MailLog::create(&folder.path().join("mail.log"))?;
        let installation = Self { network, binary, folder, bpffs, launcher: Vec::new(), log };
        installation.configure(configuration)?;
        Ok(installation)
    }

    /// Writes the configuration.
    ///
    /// # Errors
    /// The system's.
    pub fn configure(&self, configuration: &Configuration) -> anyhow::Result<()> {
        let Configuration { interface, ignoreip, findtime, bantime, source, bans_v4, more } = configuration;
        let source = source.clone().unwrap_or_else(|| format!("{:?}", self.log.path()));
        self.write_configuration(&format!(
            "interface = {interface}\nignoreip = {ignoreip}\nsocket = {:?}\nstate_dir = {:?}\nbpffs = {:?}\n{more}\n\
             [limits]\nbans_v4 = {bans_v4}\nbans_v6 = 1024\nprefixes = 1024\n\
             [jail.mail]\nsource = {source}\nfindtime = \"{findtime}\"\nbantime = \"{bantime}\"\n",
            self.socket(),
            self.path("state"),
            self.bpffs,
        ))
    }

    /// Writes any text as the configuration.
    ///
    /// # Errors
    /// The system's.
    pub fn write_configuration(&self, text: &str) -> anyhow::Result<()> {
        fs::write(self.path("banner.toml"), text).context("writing the configuration")
    }

    /// The binary under test.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// From now on this is the binary under test.
    pub fn replace_binary(&mut self, binary: PathBuf) {
        self.binary = binary;
    }

    /// From now on a daemon is started by these words with its own command line behind them, as `env` takes it.
    pub fn launch_with(&mut self, words: impl IntoIterator<Item = impl Into<OsString>>) {
        self.launcher = words.into_iter().map(Into::into).collect();
    }

    /// A file of this installation.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path("banner.sock")
    }

    /// Where banner pins.
    #[must_use]
    pub fn bpffs(&self) -> &Path {
        &self.bpffs
    }

    /// The command line with its configuration, to be run on the server.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(self.path("banner.toml")).args(arguments).stdin(Stdio::null());
        command
    }

    /// Waits until the daemon has read everything that is in the log now.
    ///
    /// # Errors
    /// It has not.
    pub fn await_log_read(&self) -> anyhow::Result<()> {
        let length = self.log.length()?;
        let is_read = |file: &Value| file.get("offset").and_then(Value::as_u64).is_some_and(|offset| offset >= length);
        until("the log is read", || Ok(is_read(&self.file()?).then_some(())))
    }

    /// What `banner status --json` says, asked without starting a process.
    ///
    /// # Errors
    /// There is no daemon.
    pub fn status(&self) -> anyhow::Result<Value> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: banner\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {answer}"))?;
        Ok(serde_json::from_str(body)?)
    }

    /// What `banner status` says of the log.
    ///
    /// # Errors
    /// There is no daemon, or it does not know the log.
    pub fn file(&self) -> anyhow::Result<Value> {
        let status = self.json("status --json")?;
        let path = self.log.path().to_string_lossy();
        let mut files = status.get("files").and_then(Value::as_array).into_iter().flatten();
        let text = |file: &Value, key: &str| file.get(key).and_then(Value::as_str).map(str::to_owned);
        let file = files.find(|file| {
            text(file, "path").as_deref() == Some(&*path) && text(file, "state").as_deref() != Some("draining")
        });
        file.cloned().with_context(|| format!("`status` does not know {path}: {status}"))
    }

    /// Runs a command on the server, and waits for its end.
    ///
    /// # Errors
    /// As [`Answer::of`].
    pub fn run(&self, command: &mut Command) -> anyhow::Result<Answer> {
        let _inside = self.network.server.enter()?;
        Answer::of(command)
    }

    /// Starts the daemon, and waits until it follows its log.
    ///
    /// # Errors
    /// It ends by itself; the error has what it said.
    pub fn start(&self) -> anyhow::Result<Daemon> {
        let mut daemon = self.spawn()?;
        self.await_start(&mut daemon)?;
        Ok(daemon)
    }

    /// Waits until a daemon follows its log.
    ///
    /// # Errors
    /// It ends by itself; the error has what it said.
    pub fn await_start(&self, daemon: &mut Daemon) -> anyhow::Result<()> {
        until("the daemon follows its log", || {
            if let Some(status) = daemon.child.0.try_wait()? {
                anyhow::bail!("the daemon ended by itself: {status}");
            }
            let answer = self.banner("status --json")?;
            if answer.code != Some(0) {
                return Ok(None);
            }
            Ok((self.file()?.get("state") != Some(&"missing".into())).then_some(()))
        })
        .with_context(|| daemon.output())
    }

    /// Starts the daemon, and waits for nothing.
    ///
    /// # Errors
    /// The system's.
    pub fn spawn(&self) -> anyhow::Result<Daemon> {
        self.spawn_into(File::options().create(true).append(true).open(self.output())?)
    }

    /// Starts the daemon with another standard error, and waits for nothing.
    ///
    /// # Errors
    /// The system's.
    pub fn spawn_into(&self, stderr: impl Into<Stdio>) -> anyhow::Result<Daemon> {
        let run = self.command(&["run"]);
        let mut words = self.launcher.iter().map(OsString::as_os_str).chain([run.get_program()]).chain(run.get_args());
        let mut launched = Command::new(words.next().context("a command has a name")?);
        launched.args(words).stdin(Stdio::null());
        let inside = self.network.server.enter()?;
        let child = launched.stdout(Stdio::null()).stderr(stderr).spawn();
        drop(inside);
        let child = child.with_context(|| format!("starting {}", self.binary.display()))?;
        Ok(Daemon { child: Killed(child), output: self.output() })
    }

    /// Starts the daemon from a thread that has gone through `confine` on the server, and waits for nothing: what a thread gives
    /// away or moves to, the processes that it starts do without, or are in.
    ///
    /// # Errors
    /// `confine` fails, or the system does.
    pub fn spawn_confined(
        &self,
        command: &mut Command,
        confine: impl FnOnce() -> anyhow::Result<()> + Send,
    ) -> anyhow::Result<Daemon> {
        let stderr = File::options().create(true).append(true).open(self.output())?;
        let command = command.stdout(Stdio::null()).stderr(stderr);
        let spawned = thread::scope(|scope| {
            let confined = scope.spawn(|| {
                // The way back may be closed then; the thread ends inside.
                mem::forget(self.network.server.enter()?);
                confine()?;
                command.spawn().with_context(|| format!("starting {}", self.binary.display()))
            });
            confined.join()
        });
        let Ok(child) = spawned else { bail!("the confined thread panicked") };
        Ok(Daemon { child: Killed(child?), output: self.output() })
    }

    /// What the daemon writes to its standard error.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.path("daemon.out")
    }
}

impl CommandLine for Installation<'_> {
    fn banner(&self, arguments: &str) -> anyhow::Result<Answer> {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        self.run(&mut self.command(&arguments))
    }
}

impl Drop for Installation<'_> {
    fn drop(&mut self) {
        // The daemon is dead by now, or its test is wrong; what is pinned would outlive both.
        let _: std::io::Result<()> = fs::remove_dir_all(&self.bpffs);
    }
}

/// A running daemon. Dropping it kills it and shows what it said, which the test harness prints where the test fails.
#[derive(Debug)]
pub struct Daemon {
    child: Killed,
    output: PathBuf,
}

impl Daemon {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.pid())?), signal)?)
    }

    /// SIGKILL: it gets no chance to tidy anything up. Returns when it is gone.
    ///
    /// # Errors
    /// It was gone already.
    pub fn kill(mut self) -> anyhow::Result<()> {
        ensure!(self.child.0.try_wait()?.is_none(), "the daemon had ended by itself");
        self.child.0.kill()?;
        self.child.0.wait()?;
        Ok(())
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// It does not.
    pub fn await_end(&mut self) -> anyhow::Result<ExitStatus> {
        until("the daemon ends", || self.has_ended())
    }

    /// How it has ended, if it has.
    ///
    /// # Errors
    /// The system's.
    pub fn has_ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.0.try_wait()?)
    }

    /// What this daemon, and those before it, said.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        #[expect(clippy::print_stderr, reason = "captured by the harness, which shows it where the test fails")]
        {
            eprintln!("the daemon said:\n{}", self.output());
        }
    }
}
