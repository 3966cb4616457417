//! The same of fail2ban.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use banner_tests::{
    fail2ban::Fail2ban,
    frame::Ipv4,
    mail_log::{MailLog, postfix},
    measure::pause,
    network::{Network, SERVER_V4},
    patience::{PATIENCE, until},
    segments::Segments,
    wire::Wire,
};

use crate::{sources, stray};

/// Between two frames, and as long as a frame has to reach TCP.
const PACE: Duration = Duration::from_millis(1);

/// So many in a row that do not reach TCP have been dropped.
const IN_A_ROW: u32 = 5;

pub(crate) fn latencies(network: &Network, bans: u32) -> anyhow::Result<Vec<Duration>> {
    let folder = tempfile::tempdir()?;
    let log = MailLog::create(&folder.path().join("mail.log"))?;
    let jail = format!(
        "[DEFAULT]\nbantime = 10m\nfindtime = 10m\nmaxretry = 3\nbackend = auto\n\
         [postfix-sasl]\nenabled = true\nfilter = postfix[mode=auth]\nlogpath = {}\nport = smtp,465,submission,imap,imaps,pop3,pop3s\n\
         banaction = nftables\nblocktype = drop\n",
        log.path().display()
    );
    let mut fail2ban = Fail2ban::new(network, &jail)?;
    fail2ban.start()?;
    let sources = sources(0, bans);
    let line = |source: Ipv4Addr| postfix(source.into(), &format!("user{source}"));
    for source in sources.clone() {
        log.append(&line(source).repeat(2))?;
    }
    until("fail2ban has read the log", || {
        Ok((fail2ban.count("postfix-sasl", "Total failed")? >= u64::from(2 * bans)).then_some(()))
    })?;
    let (wire, mut segments) = (network.wire()?, Segments::of(&network.server)?);
    let mut latencies = Vec::new();
    for (index, source) in sources.enumerate() {
        // It looks at its log once a second or so.
        pause(stray(index) * 37);
        let line = line(source);
        let before = Instant::now();
        log.append(&line)?;
        latencies.push(first_dropped(&wire, &mut segments, source)?.saturating_duration_since(before));
    }
    ensure!(fail2ban.count("postfix-sasl", "Total banned")? >= u64::from(bans), "fail2ban has not banned everybody");
    Ok(latencies)
}

/// When the first frame was sent that did not reach TCP, nor did those after it.
fn first_dropped(wire: &Wire, segments: &mut Segments, source: Ipv4Addr) -> anyhow::Result<Instant> {
    let syn = Ipv4::new(source.octets(), SERVER_V4.octets()).tcp(25);
    let begin = Instant::now();
    let mut row = None;
    while begin.elapsed() < PATIENCE {
        let (before, sent) = (segments.count()?, Instant::now());
        wire.send(&syn)?;
        pause(PACE);
        row = match row {
            _ if segments.count()? > before => None,
            None => Some((sent, 1)),
            Some((first, length)) if length + 1 >= IN_A_ROW => return Ok(first),
            Some((first, length)) => Some((first, length + 1)),
        };
    }
    bail!("no packet of {source} was dropped within {PATIENCE:?}")
}
