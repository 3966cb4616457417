//! Who failed when, as mail.log has it, read here by other means than banner's.

use std::{collections::BTreeMap, fs, net::IpAddr, path::Path};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;

/// The times of each source's failures, in their order.
pub(super) struct Ledger(BTreeMap<IpAddr, Vec<Timestamp>>);

impl Ledger {
    pub(super) fn read(log: &Path) -> anyhow::Result<Self> {
        let mut failures: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for line in fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?.lines() {
            if let Some((source, at)) = failure(line).with_context(|| format!("reading \"{line}\""))? {
                failures.entry(source).or_default().push(at);
            }
        }
        for (source, times) in &failures {
            ensure!(times.is_sorted(), "the failures of {source} are stamped in another order than written: {times:?}");
        }
        Ok(Self(failures))
    }

    /// When a source failed for the third time.
    pub(super) fn third(&self, source: &IpAddr) -> Option<Timestamp> {
        self.0.get(source)?.get(2).copied()
    }
}

/// The source of a failure, and its stamp; None for any other line. What Postfix and Cyrus write of clients that are as good as
/// these bots:
///
/// ```text
/// 2026-11-22T22:00:00.123456+00:00 mail postfix/smtpd[7]: warning: unknown[198.18.0.1]: SASL PLAIN authentication failed: ...
/// 2026-11-22T22:00:00.123456+00:00 mail cyrus/imap[8]: badlogin: [198.18.0.1] plaintext (alice) [SASL(-13): ...
/// ```
fn failure(line: &str) -> anyhow::Result<Option<(IpAddr, Timestamp)>> {
    let (stamp, rest) = line.split_once(' ').context("there is no stamp")?;
    let (_, message) = rest.split_once("]: ").unwrap_or_default();
    let is_failure = message.starts_with("badlogin: ") || message.contains(": SASL PLAIN authentication failed: ");
    if !is_failure {
        return Ok(None);
    }
    let (_, address) = message.split_once('[').context("there is no address")?;
    let (address, _) = address.split_once(']').context("the address has no end")?;
    let source = match address.parse()? {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    };
    Ok(Some((source, stamp.parse()?)))
}
