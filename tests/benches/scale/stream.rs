//! Packets of banned sources, sent all the time.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use banner_tests::{
    frame::{Ipv4, Ipv6},
    installation::Installation,
    measure::pause,
    network::{Network, SERVER_V4, SERVER_V6},
    patience::until,
    pinned::PinnedBans,
    segments::Segments,
};

/// Between two packets of a source.
const PACE: Duration = Duration::from_millis(1);

/// Packets that have to be sent for a stream to mean anything.
const PACKETS_MIN: u64 = 500;

/// Two of the banned, which send.
pub(crate) const SENDER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);
pub(crate) const SENDER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xa, 0x66, 0, 0, 0, 0, 0x66);
const SENDER_NET: [u8; 8] = [0xfd, 0x00, 0x00, 0x0a, 0x00, 0x66, 0x00, 0x00];

pub(crate) struct Stream {
    stop: Sender<()>,
    sender: JoinHandle<anyhow::Result<u64>>,
    segments: Segments,
    segments_before: u64,
    bpffs: PathBuf,
    counted_before: u64,
}

impl Stream {
    pub(crate) fn start(network: &Network, installation: &Installation<'_>) -> anyhow::Result<Self> {
        let mut segments = Segments::of(&network.server)?;
        let segments_before = segments.count()?;
        let bpffs = installation.bpffs().to_owned();
        let counted_before = counted(&bpffs)?;
        let wire = network.wire()?;
        let frames = [
            Ipv4::new(SENDER_V4.octets(), SERVER_V4.octets()).tcp(25),
            Ipv6::new(SENDER_V6.octets(), SERVER_V6.octets()).tcp(25),
        ];
        let (stop, stopped) = mpsc::channel();
        let sender = thread::spawn(move || {
            let mut sent = 0;
            while sent < PACKETS_MIN || stopped.try_recv().is_err() {
                for frame in &frames {
                    wire.send(frame)?;
                    sent += 1;
                }
                pause(PACE);
            }
            Ok(sent)
        });
        Ok(Self { stop, sender, segments, segments_before, bpffs, counted_before })
    }

    /// How many reached TCP, after every other one was counted by its ban.
    pub(crate) fn finish(mut self) -> anyhow::Result<u64> {
        // Where the sender has failed, it tells why below.
        let _: Result<(), _> = self.stop.send(());
        let Ok(sent) = self.sender.join() else { bail!("the sender panicked") };
        let sent = sent?;
        until("every packet is counted", || {
            let passed = self.segments.count()? - self.segments_before;
            let dropped = counted(&self.bpffs)? - self.counted_before;
            ensure!(dropped <= sent, "{dropped} packets were dropped of {sent}");
            Ok((dropped + passed >= sent).then_some(passed))
        })
    }
}

/// What the bans of the senders have dropped.
fn counted(bpffs: &Path) -> anyhow::Result<u64> {
    let pinned = PinnedBans::open(bpffs)?;
    let bans = [pinned.v4(SENDER_V4.octets())?, pinned.v6(SENDER_NET)?];
    bans.into_iter().map(|ban| ban.map(|ban| ban.packets)).sum::<Option<u64>>().context("a sender is not banned")
}
