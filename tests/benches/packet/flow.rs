//! What packets cost the host that receives them over a cable: dropped ones of banned sources, and connection requests of
//! everybody else.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::ensure;
use aya::programs::XdpMode;
use banner_tests::measure::{Bench, Better, Bound, Quantity};

use super::{
    cable::{Cable, Counted},
    filters::{Filter, Hook, Kept},
    generator::{Generator, Sources},
};

const DROP_COST: Quantity = Quantity {
    name: "drop_cost",
    title: "What a dropped packet costs the processor that receives it",
    unit: "ns a packet",
    size: Some("bans"),
    better: Better::Less,
};

const DROP_RATE: Quantity = Quantity {
    name: "drop_rate",
    title: "What one processor drops of all that another one sends",
    unit: "packets a second",
    size: Some("bans"),
    better: Better::More,
};

const REQUEST_COST: Quantity = Quantity {
    name: "request_cost",
    title: "What a connection request of a source without a ban costs, beside 1,000 bans",
    unit: "ns a packet",
    size: None,
    better: Better::Less,
};

/// How somebody is called, what he puts on the cable, and with how many bans at most: what takes him minutes is left out.
type Contestant = (&'static str, Filter, u32);

const DROPPING: [Contestant; 10] = [
    ("banner", Filter::Banner(XdpMode::Driver), u32::MAX),
    ("banner-generic", Filter::Banner(XdpMode::Skb), u32::MAX),
    ("drop", Filter::Drop, u32::MAX),
    ("reference", Filter::Reference, u32::MAX),
    ("xdp-filter", Filter::XdpTools("ipv4,ipv6"), 1_000),
    ("xdp-filter-ports", Filter::XdpTools("ipv4,ipv6,tcp"), 1_000),
    ("nft-ingress", Filter::Nft(Hook::Ingress), u32::MAX),
    ("nft-input", Filter::Nft(Hook::Input), u32::MAX),
    ("ipset", Filter::Ipset, u32::MAX),
    ("iptables", Filter::Iptables, 1_000),
];

/// Who lets requests of other sources through.
const PASSING: [Contestant; 11] = [
    ("nothing", Filter::Nothing, u32::MAX),
    ("banner", Filter::Banner(XdpMode::Driver), u32::MAX),
    ("banner-generic", Filter::Banner(XdpMode::Skb), u32::MAX),
    ("pass", Filter::Pass, u32::MAX),
    ("reference", Filter::Reference, u32::MAX),
    ("xdp-filter", Filter::XdpTools("ipv4,ipv6"), 1_000),
    ("xdp-filter-ports", Filter::XdpTools("ipv4,ipv6,tcp"), 1_000),
    ("nft-ingress", Filter::Nft(Hook::Ingress), u32::MAX),
    ("nft-input", Filter::Nft(Hook::Input), u32::MAX),
    ("ipset", Filter::Ipset, u32::MAX),
    ("iptables", Filter::Iptables, 1_000),
];

const SIZES: [u32; 4] = [1, 1_000, 100_000, 1_000_000];
/// Beside so many bans, requests are measured.
const BANS: u32 = 1_000;

const ROUNDS: usize = 15;
/// A request is compared with what differs by a few percent.
const REQUEST_ROUNDS: usize = 21;

/// How long everybody is measured in a round, in seconds.
const WINDOW: f64 = 0.5;

/// Private addresses: there are not enough for documentation.
const fn banned(count: u32) -> Sources {
    Sources { first: Ipv4Addr::new(10, 0, 0, 1), count }
}

/// Nearly all that there are for benchmarks (RFC 2544).
const OTHERS: Sources = Sources { first: Ipv4Addr::new(198, 18, 0, 1), count: 100_000 };

/// Measures everything, and sets the targets.
pub(super) fn measure(bench: &mut Bench, object: &Path) -> anyhow::Result<()> {
    if Command::new("ethtool").arg("--version").stdout(Stdio::null()).status().is_err() {
        bench.note("nothing was sent over a cable, since ethtool is not installed: apt-get install ethtool");
        return Ok(());
    }
    for &size in bench.sized(&SIZES[..], &SIZES[..1]) {
        drops(bench, object, size)?;
    }
    requests(bench, object)?;
    let mut beside = |size, peer, what: &str, bound| {
        let ratio = bench.ratio(&DROP_COST, Some(size), peer, "banner");
        bench.target(what, ratio, bound);
    };
    for (peer, least) in [("nft-ingress", 1.7), ("nft-input", 2.0), ("ipset", 2.0)] {
        beside(100_000, peer, &format!("100,000 bans: cost of a drop, {peer} / banner"), Bound::AtLeast(least));
    }
    for peer in ["xdp-filter", "xdp-filter-ports"] {
        beside(1_000, peer, &format!("1,000 bans: cost of a drop, {peer} / banner"), Bound::AtLeast(1.0));
    }
    let ratio = bench.ratio(&REQUEST_COST, None, "banner", "nothing");
    bench.target("cost of a connection request, banner / nothing", ratio, Bound::AtMost(1.05));
    bench.note(
        "over a cable, the fastest filters drop all that the generator makes: their rate is then the generator's",
    );
    bench.note("xdp-filter looks at sources alone, xdp-filter-ports has the ports looked at too, as banner does");
    Ok(())
}

/// Packets of banned sources alone.
fn drops(bench: &mut Bench, object: &Path, size: u32) -> anyhow::Result<()> {
    let mut arms = Vec::new();
    for (who, filter, most) in DROPPING {
        if size <= most && takes_part(bench, who) {
            arms.push(Arm::new(who, filter, object, banned(size), banned(size))?);
        }
    }
    let window = bench.sized(WINDOW, 0.01);
    for arm in &mut arms {
        arm.find_speed()?;
    }
    for _ in 0..bench.rounds(ROUNDS) {
        for arm in &mut arms {
            let Sample { cost, rate, passed, .. } = arm.measure(window)?;
            ensure!(passed == 0, "{} let {passed} packets of banned sources through", arm.who);
            bench.sample(&DROP_COST, arm.who, Some(size.into()), cost);
            bench.sample(&DROP_RATE, arm.who, Some(size.into()), rate);
        }
    }
    Ok(())
}

/// Packets of other sources, beside some bans.
fn requests(bench: &mut Bench, object: &Path) -> anyhow::Result<()> {
    let bans = bench.sized(BANS, 1);
    let mut arms = Vec::new();
    for (who, filter, _) in PASSING {
        if takes_part(bench, who) {
            arms.push(Arm::new(who, filter, object, banned(bans), OTHERS)?);
        }
    }
    let window = bench.sized(WINDOW, 0.01);
    for arm in &mut arms {
        arm.find_speed()?;
    }
    for _ in 0..bench.rounds(REQUEST_ROUNDS) {
        for arm in &mut arms {
            let Sample { cost, passed, taken, .. } = arm.measure(window)?;
            ensure!(passed == taken, "{} dropped packets: {passed} of {taken} arrived", arm.who);
            bench.sample(&REQUEST_COST, arm.who, None, cost);
        }
    }
    Ok(())
}

fn takes_part(bench: &Bench, who: &str) -> bool {
    who.starts_with("banner") || bench.is_against(who)
}

/// Somebody on a cable of his own.
struct Arm {
    who: &'static str,
    generator: Generator,
    /// Packets a second.
    speed: f64,
    // Filters end before what they are on.
    _filter: Kept,
    cable: Cable,
}

/// What was seen in one window.
struct Sample {
    /// Nanoseconds of the receiver a packet.
    cost: f64,
    /// Packets a second.
    rate: f64,
    /// Packets that arrived, and those of them that reached TCP.
    taken: u64,
    passed: u64,
}

impl Arm {
    fn new(who: &'static str, filter: Filter, object: &Path, bans: Sources, sources: Sources) -> anyhow::Result<Self> {
        let cable = Cable::lay()?;
        let filter = filter.install(&cable, bans, object)?;
        let generator = Generator::new(&cable, sources)?;
        Ok(Self { who, generator, speed: 0.0, _filter: filter, cable })
    }

    /// Sees how fast the generator is here, which also warms everything up.
    fn find_speed(&mut self) -> anyhow::Result<()> {
        const PACKETS: u32 = 100_000;
        self.speed = f64::from(PACKETS) / self.generator.run(&self.cable, PACKETS)?.as_secs_f64();
        Ok(())
    }

    fn measure(&mut self, seconds: f64) -> anyhow::Result<Sample> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some millions")]
        let packets = (self.speed * seconds) as u32;
        let before = self.cable.counted()?;
        let lasted = self.generator.run(&self.cable, packets)?;
        let after = self.cable.counted()?;
        let Counted { packets: taken, segments: passed, used } = Counted {
            packets: after.packets - before.packets,
            segments: after.segments - before.segments,
            used: after.used.saturating_sub(before.used),
        };
        ensure!(taken > 0, "{}: no packet arrived", self.who);
        #[expect(clippy::cast_precision_loss, reason = "some millions")]
        let count = taken as f64;
        Ok(Sample { cost: used.as_secs_f64() * 1e9 / count, rate: count / lasted.as_secs_f64(), taken, passed })
    }
}
