//! What was measured on.

use std::fs;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// A machine, as its kernel tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The name of its first processor.
    pub processor: String,
    /// How many of them.
    pub processors: usize,
    /// In megabytes.
    pub memory: u64,
    /// The release of the kernel.
    pub kernel: String,
    /// The distribution.
    pub system: String,
    /// Processes that wanted to run, on average over the minute before: above 0 something else was measured, too.
    pub load: f64,
}

impl Machine {
    /// The one that this runs on.
    ///
    /// # Errors
    /// /proc is not there.
    pub fn this() -> anyhow::Result<Self> {
        let processors = read("/proc/cpuinfo")?;
        let value =
            |line: &str| line.split_once([':', '=']).map(|(_, value)| value.trim().trim_matches('"').to_owned());
        let named = |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).and_then(value);
        let memory = named(&read("/proc/meminfo")?, "MemTotal").unwrap_or_default();
        let load = read("/proc/loadavg")?;
        Ok(Self {
            processor: named(&processors, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            processors: processors.lines().filter(|line| line.starts_with("processor")).count(),
            memory: memory.trim_end_matches(" kB").parse::<u64>().context("the memory of this machine")? / 1_000,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            system: named(&read("/etc/os-release").unwrap_or_default(), "PRETTY_NAME").unwrap_or_default(),
            load: load.split_whitespace().next().and_then(|load| load.parse().ok()).context("/proc/loadavg")?,
        })
    }
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}
