//! Packets that flow while something happens to the daemon.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{bail, ensure};
use banner_tests::{
    frame::{Frame, Ipv4, Ipv6},
    network::{Network, SERVER_V4, SERVER_V6},
    patience::until,
    segments::Segments,
};

/// The guarded port that the frames go to.
const SMTP: u16 = 25;

/// One round a millisecond, as far as the machine keeps up.
const PACE: Duration = Duration::from_millis(1);

/// Rounds that have to be sent for the stream to mean anything.
const ROUNDS_MIN: u64 = 50;

/// Innocent sources. Nobody has these addresses, so the server's answers come to nothing.
const INNOCENT_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 67);
const INNOCENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x67, 0, 0, 0, 0, 0, 0x67);

/// A stream of SYNs, over both families.
pub(crate) struct Stream {
    stop: Sender<()>,
    sender: JoinHandle<anyhow::Result<u64>>,
    segments: Segments,
    before: u64,
}

/// What a stream came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    /// Rounds sent: two frames of banned and two of innocent sources each.
    pub(crate) rounds: u64,
}

impl Stream {
    /// Begins. Nothing else may talk TCP to the server meanwhile.
    pub(crate) fn start(network: &Network, banned: (Ipv4Addr, Ipv6Addr)) -> anyhow::Result<Self> {
        let mut segments = Segments::of(&network.server)?;
        let before = segments.count()?;
        let wire = network.wire()?;
        let round = [syn_v4(banned.0), syn_v4(INNOCENT_V4), syn_v6(banned.1), syn_v6(INNOCENT_V6)];
        let (stop, stopped) = mpsc::channel();
        let sender = thread::spawn(move || {
            let mut rounds = 0;
            while stopped.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
                for frame in &round {
                    wire.send(frame)?;
                }
                rounds += 1;
            }
            Ok(rounds)
        });
        Ok(Self { stop, sender, segments, before })
    }

    /// Ends, and sees that the innocent frames came through and no other.
    pub(crate) fn finish(self) -> anyhow::Result<Delivered> {
        let Self { stop, sender, mut segments, before } = self;
        stop.send(())?;
        let Ok(rounds) = sender.join() else { bail!("the sender panicked") };
        let rounds = rounds?;
        let innocent = 2 * rounds;
        let arrived = until("the innocent frames arrive", || {
            let arrived = segments.count()? - before;
            Ok((arrived >= innocent).then_some(arrived))
        })?;
        ensure!(
            arrived == innocent,
            "{} frames of banned sources came through, in {rounds} rounds",
            arrived - innocent
        );
        ensure!(rounds >= ROUNDS_MIN, "only {rounds} rounds were sent");
        Ok(Delivered { rounds })
    }
}

pub(crate) fn syn_v4(from: Ipv4Addr) -> Frame {
    Ipv4::new(from.octets(), SERVER_V4.octets()).tcp(SMTP)
}

pub(crate) fn syn_v6(from: Ipv6Addr) -> Frame {
    Ipv6::new(from.octets(), SERVER_V6.octets()).tcp(SMTP)
}
