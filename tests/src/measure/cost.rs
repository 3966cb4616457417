//! What processes have cost the machine.

use std::{
    fs,
    io::{Read as _, Seek as _},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use nix::{
    sys::resource::{UsageWho, getrusage},
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

use crate::process::Killed;

/// How long a command may take.
const LIFE_MAX: Duration = Duration::from_mins(10);

/// How often the memory of a command is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Lets time pass.
pub fn pause(length: Duration) {
    #[expect(clippy::disallowed_methods, reason = "a measurement keeps its pace; it waits for no condition")]
    thread::sleep(length);
}

/// A process that runs.
#[derive(Clone, Copy, Debug)]
pub struct Running(Pid);

impl Running {
    /// By its number.
    ///
    /// # Errors
    /// It is no number of a process.
    pub fn new(pid: u32) -> anyhow::Result<Self> {
        Ok(Self(Pid::from_raw(i32::try_from(pid)?)))
    }

    /// What all of its threads have used of processors, for itself and in the kernel; not what processes did that it started.
    ///
    /// # Errors
    /// It is gone.
    pub fn processor_time(self) -> anyhow::Result<Duration> {
        Ok(clock_gettime(clock_getcpuclockid(self.0)?)?.into())
    }

    /// A line of `/proc/PID/status` that tells bytes (proc_pid_status(5)): `VmRSS` is what it has of memory, `VmHWM` the most that it
    /// had, `RssFile` what of it are mapped files. What the kernel keeps for its BPF maps is in none of them.
    ///
    /// # Errors
    /// It is gone.
    pub fn memory(self, line: &str) -> anyhow::Result<u64> {
        Ok(number(&format!("/proc/{}/status", self.0), line)? * 1024)
    }

    /// How often one of its threads has gone to sleep by itself, to be woken again.
    ///
    /// # Errors
    /// It is gone.
    pub fn sleeps(self) -> anyhow::Result<u64> {
        let mut sleeps = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.0))? {
            let status = thread?.path().join("status");
            sleeps += number(&status.to_string_lossy(), "voluntary_ctxt_switches")?;
        }
        Ok(sleeps)
    }
}

fn number(path: &str, name: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = value.with_context(|| format!("{path} tells no {name}"))?;
    Ok(value.trim().trim_end_matches(" kB").parse()?)
}

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// From its start to its end.
    pub wall: Duration,
    /// Of it and of every process that it waited for, as the kernel accounts them when they are waited for (getrusage(2)).
    pub processor: Duration,
    /// The most memory that it had, itself, in bytes, as of its last two milliseconds.
    pub peak: u64,
    /// What of that were mapped files, at its last look.
    pub peak_file: u64,
    /// What it wrote.
    pub output: String,
}

impl Finished {
    /// Runs a command to its end. No other child of this process may end meanwhile: its time would be taken for the command's.
    ///
    /// # Errors
    /// It fails, or does not end within ten minutes.
    pub fn of(command: &mut Command) -> anyhow::Result<Self> {
        let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        let (before, begin) = (children()?, Instant::now());
        let mut child = Killed(command.spawn().with_context(|| format!("starting {command:?}"))?);
        let running = Running::new(child.0.id())?;
        let (mut peak, mut peak_file) = (0, 0);
        let status = loop {
            if let Some(status) = child.0.try_wait()? {
                break status;
            }
            // A process that has ended and is not yet waited for has no memory.
            peak = running.memory("VmHWM").unwrap_or_default().max(peak);
            peak_file = running.memory("RssFile").unwrap_or_default().max(peak_file);
            ensure!(begin.elapsed() < LIFE_MAX, "{command:?} does not end");
            pause(LOOK);
        };
        let wall = begin.elapsed();
        let processor = children()?.saturating_sub(before);
        let mut texts = [String::new(), String::new()];
        for (file, text) in [&mut stdout, &mut stderr].into_iter().zip(&mut texts) {
            let mut bytes = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        let [output, error] = texts;
        ensure!(status.success(), "{command:?}: {status}: {error}");
        Ok(Self { wall, processor, peak, peak_file, output })
    }

    /// The same, which reads a file on its standard input.
    ///
    /// # Errors
    /// As [`Finished::of`], and the file cannot be read.
    pub fn reading(command: &mut Command, input: &std::path::Path) -> anyhow::Result<Self> {
        let file = fs::File::open(input).with_context(|| format!("cannot read {}", input.display()))?;
        Self::of(command.stdin(Stdio::from(file)))
    }
}

/// What all children have used that were waited for.
fn children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Ok(Duration::from_micros(u64::try_from(micros.iter().sum::<i64>())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_used_is_told_with_what_its_own_children_did() {
        let spin = "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; echo done";
        let finished = Finished::of(Command::new("sh").args(["-c", spin])).unwrap();
        assert_eq!(finished.output, "done\n");
        assert!(finished.processor > Duration::from_millis(10), "{finished:?}");
        assert!(finished.wall * 3 > finished.processor && finished.peak > 100_000, "{finished:?}");
        assert!(Finished::of(Command::new("sh").args(["-c", "exit 3"])).is_err());
    }

    #[test]
    fn a_running_process_is_told_of() {
        let this = Running::new(std::process::id()).unwrap();
        let sleeps = this.sleeps().unwrap();
        pause(Duration::from_millis(1));
        assert!(this.sleeps().unwrap() > sleeps);
        assert!(this.processor_time().unwrap() > Duration::ZERO);
        assert!(this.memory("VmHWM").unwrap() >= this.memory("VmRSS").unwrap());
    }
}
