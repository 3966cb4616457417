//! A lab that stays while no task runs: a process of its own holds it, and takes it away at a signal. Where that process is killed,
//! the kernel takes everything away but an empty control group and a folder of configuration, which go with the next `down` or `up`.

use std::{
    fs::{self, File, TryLockError},
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc,
};

use anyhow::{Context as _, Result, bail, ensure};
use banner_tests::{
    lab::{Lab, root::Roots},
    patience::until,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use super::last_words;

/// What is up, as its keeper wrote it down.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Running {
    /// The process that holds it.
    pub(super) keeper: u32,
    /// Process 1 of the mail server.
    pub(super) server: u32,
    /// The network namespace of everybody else.
    pub(super) internet: String,
}

impl Running {
    /// The one that is up.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn find() -> Result<Option<Self>> {
        let file = match File::open(record()) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", record().display())),
        };
        match file.try_lock_shared() {
            // Its keeper is dead.
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                // Empty while it boots.
                until("the lab is up", || {
                    let text = fs::read_to_string(record())?;
                    Ok((!text.is_empty()).then(|| serde_json::from_str(&text)).transpose()?)
                })
                .map(Some)
            }
            Err(TryLockError::Error(error)) => Err(error).context("cannot look whether a lab is up"),
        }
    }

    /// Takes it away, and waits until it is gone.
    ///
    /// # Errors
    /// It does not end.
    pub(super) fn end(&self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.keeper)?);
        kill(pid, Signal::SIGTERM).with_context(|| format!("cannot end process {pid}"))?;
        until("the lab is gone", || Ok(Self::find()?.is_none().then_some(())))
    }
}

/// Where a keeper writes down what is up; it holds a lock on the file while that is true.
fn record() -> PathBuf {
    Roots::new().folder().with_file_name("up.json")
}

/// What a keeper says.
fn log() -> PathBuf {
    Roots::new().folder().with_file_name("up.log")
}

/// Starts a keeper, and waits until its lab is up.
///
/// # Errors
/// It ends; the error has what it said.
pub(super) fn start(command: &mut Command) -> Result<()> {
    let output = File::create(log()).with_context(|| format!("cannot write {}", log().display()))?;
    // A Ctrl-C in this terminal is not meant for it.
    let keeper = command.process_group(0).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn();
    let mut keeper = keeper.context("cannot start the process that keeps the lab")?;
    until("the lab is up", || {
        if let Some(status) = keeper.try_wait()? {
            bail!("the lab did not come up ({status}); {}", last_words(&log()));
        }
        // The record of an earlier keeper is another's.
        let text = fs::read_to_string(record()).unwrap_or_default();
        let running = serde_json::from_str(&text).ok().filter(|running: &Running| running.keeper == keeper.id());
        Ok(running.map(|_| ()))
    })
}

/// This process, as the one that holds the lab.
pub(super) struct Keeper {
    record: File,
    end: mpsc::Receiver<()>,
}

impl Keeper {
    /// Makes it that.
    ///
    /// # Errors
    /// There is another one.
    pub(super) fn new() -> Result<Self> {
        let record =
            File::options().create(true).append(true).open(record()).context("cannot write down what is up")?;
        ensure!(record.try_lock().is_ok(), "another lab is up, or coming");
        record.set_len(0)?;
        let (sender, end) = mpsc::channel();
        let handler = move || {
            // Nobody receives once it is over.
            let _ = sender.send(());
        };
        ctrlc::set_handler(handler).context("cannot catch signals")?;
        Ok(Self { record, end })
    }

    /// Writes down what is up, waits for a signal, and takes it away.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn keep(mut self, lab: Lab) -> Result<()> {
        let running =
            Running { keeper: std::process::id(), server: lab.server.pid(), internet: lab.network.internet.path() };
        self.record.write_all(serde_json::to_string(&running)?.as_bytes())?;
        self.end.recv().context("signals are caught")?;
        // Before the lock, which says that nothing is left.
        drop(lab);
        Ok(())
    }
}
