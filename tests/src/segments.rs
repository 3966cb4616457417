//! How many segments a host's TCP got: what an attacker's packets come to when nothing keeps them away.

use std::{
    fs::File,
    io::{Read as _, Seek as _},
};

use anyhow::Context as _;

use crate::namespace::Namespace;

/// `InSegs` of `/proc/net/snmp`, which the kernel counts first of all in `tcp_v4_rcv` and `tcp_v6_rcv`, for any port and
/// whatever becomes of the segment.
#[derive(Debug)]
pub struct Segments(File);

impl Segments {
    /// Those of a namespace; the file shows it from wherever it is read.
    ///
    /// # Errors
    /// The kernel's.
    pub fn of(namespace: &Namespace) -> anyhow::Result<Self> {
        let _inside = namespace.enter()?;
        Ok(Self(File::open("/proc/thread-self/net/snmp").context("opening the TCP statistics")?))
    }

    /// The count since the namespace was made.
    ///
    /// # Errors
    /// Where the kernel writes the file otherwise.
    pub fn count(&mut self) -> anyhow::Result<u64> {
        let mut text = String::new();
        self.0.rewind()?;
        self.0.read_to_string(&mut text)?;
        // Two lines begin with "Tcp:": the names of the columns, and their values.
        let mut rows = text.lines().filter_map(|line| line.strip_prefix("Tcp:")).map(str::split_whitespace);
        let (names, mut values) = (rows.next().context("no TCP names")?, rows.next().context("no TCP values")?);
        let column = names.into_iter().position(|name| name == "InSegs").context("no InSegs")?;
        Ok(values.nth(column).context("InSegs has no value")?.parse()?)
    }
}
