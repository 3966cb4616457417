//! Which processor something runs on, before whom, and for how long.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, ensure};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::{Pid, gettid},
};

/// Where packets come from.
pub(super) const GENERATOR: usize = 0;
/// Where they are received; a machine of one processor does both on it.
pub(super) const RECEIVER: usize = 1;

/// Of the generator: it must not starve the receiver on a machine of one processor.
const PRIORITY: u8 = 30;

/// Keeps a thread on one processor, before everything that is not of real time, so that other work on the machine does not stand
/// in the middle of a measurement.
pub(super) fn reserve(thread: Pid, processor: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    let last = std::thread::available_parallelism()?.get() - 1;
    set.set(processor.min(last))?;
    sched_setaffinity(thread, &set).context("keeping a thread on one processor")?;
    let output = Command::new("chrt")
        .args(["--fifo", "--pid", &PRIORITY.to_string(), &thread.to_string()])
        .output()
        .context("running chrt, of the package util-linux")?;
    ensure!(output.status.success(), "chrt: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Does something on a thread of its own, which is reserved for it.
pub(super) fn alone_on<T: Send>(
    processor: usize,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            reserve(gettid(), processor)?;
            work()
        });
        worker.join().map_err(|_| anyhow::anyhow!("the thread that measures panicked"))?
    })
}

/// What the calling thread has used of any processor.
pub(super) fn used() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// What a thread has used, up to when it last slept (`Documentation/scheduler/sched-stats.rst`).
pub(super) fn used_by(thread: Pid) -> anyhow::Result<Duration> {
    let path = format!("/proc/{thread}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let nanoseconds = text.split_whitespace().next().with_context(|| format!("{path} is empty"))?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
