//! What the program alone costs: nanoseconds of a processor a packet, by BPF_PROG_TEST_RUN with `repeat`, in a hot cache, without
//! the driver around it.
//!
//! The kernel's own figure is cut to whole nanoseconds, a twentieth of what is measured here; so the time of the calling thread
//! is taken instead, which is that of the kernel's loop but for some microseconds around it. The loop itself is a good part of
//! every figure where calls are expensive for the sake of Spectre and its kin; a program that does nothing shows how much. So a hit
//! is compared both as it was measured, and without that floor.

use std::{net::Ipv4Addr, path::Path};

use anyhow::{Context as _, ensure};
use aya::{
    Ebpf,
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use banner_common::{Ban, PERMANENT};
use banner_tests::{
    frame::{Extension, Frame, Ipv4, Ipv6, ethertype},
    measure::{Bench, Better, Bound, Quantity},
    object::{Entry, Program, Verdict},
};

use super::{
    assembly::{self, DROP},
    processor::{self, RECEIVER, alone_on},
    reference,
};

const GUARDED_PORT: u16 = 25;
const OTHER_PORT: u16 = 80;
const SMTP: u16 = 1;

const SERVER_V4: [u8; 4] = [192, 0, 2, 1];
const SERVER_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const BANNED_V4: [u8; 4] = [198, 51, 100, 66];
const CLEAN_V4: [u8; 4] = [198, 51, 100, 67];
/// In a banned /24.
const NEIGHBOUR_V4: [u8; 4] = [203, 0, 113, 9];
const BANNED_V6: [u8; 8] = [0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, 1];
const CLEAN_V6: [u8; 8] = [0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, 2];

const ROUNDS: usize = 21;

/// What a target of "no slower" leaves to the measurement: two runs of one and the same program differ by up to so much.
const NOISE: f64 = 1.05;

/// A packet that is measured.
struct Shape {
    quantity: Quantity,
    frame: Frame,
    verdict: Verdict,
    /// How many times the reference's cost is promised at most.
    target: Option<f64>,
}

/// Those for a program without banned prefixes, and those for one with them.
fn shapes() -> [Vec<Shape>; 2] {
    use Verdict::{Drop, Pass};
    let (banned, clean) = (|| Ipv4::new(BANNED_V4, SERVER_V4), || Ipv4::new(CLEAN_V4, SERVER_V4));
    let v6 = |upper: [u8; 8]| {
        let mut source = [0x66; 16];
        source[..8].copy_from_slice(&upper);
        Ipv6::new(source, SERVER_V6)
    };
    let (banned_v6, clean_v6) = (|| v6(BANNED_V6), || v6(CLEAN_V6));
    let options = Extension::destination_options();
    let shape = |name, title, frame, verdict, target| {
        let quantity = Quantity { name, title, unit: "ns a packet", size: None, better: Better::Less };
        Shape { quantity, frame, verdict, target }
    };
    let without = vec![
        shape("program_not_ip", "Not IP", clean().tcp(OTHER_PORT).typed(0x0806), Pass, None),
        shape("program_udp", "UDP", clean().udp(GUARDED_PORT), Pass, None),
        shape("program_other_port", "Another port, IPv4", clean().tcp(OTHER_PORT), Pass, Some(NOISE)),
        shape("program_other_port_v6", "Another port, IPv6", clean_v6().tcp(OTHER_PORT), Pass, Some(NOISE)),
        shape("program_miss_v4", "Not banned, IPv4", clean().tcp(GUARDED_PORT), Pass, Some(NOISE)),
        shape("program_miss_v6", "Not banned, IPv6", clean_v6().tcp(GUARDED_PORT), Pass, Some(NOISE)),
        shape("program_hit_v4", "Banned, IPv4", banned().tcp(GUARDED_PORT), Drop, Some(0.5)),
        shape("program_hit_v6", "Banned, IPv6", banned_v6().tcp(GUARDED_PORT), Drop, Some(0.5)),
        shape(
            "program_hit_tag",
            "Banned, behind a tag",
            banned().tcp(GUARDED_PORT).tagged(ethertype::VLAN, 0),
            Drop,
            None,
        ),
        shape(
            "program_hit_8_tags",
            "Banned, behind 8 tags",
            banned().tcp(GUARDED_PORT).tagged_times(8, ethertype::VLAN, 0),
            Drop,
            None,
        ),
        shape(
            "program_miss_tag",
            "Not banned, behind a tag",
            clean().tcp(GUARDED_PORT).tagged(ethertype::VLAN, 0),
            Pass,
            None,
        ),
        shape(
            "program_hit_options",
            "Banned, behind IPv4 options",
            banned().no_operations(4).tcp(GUARDED_PORT),
            Drop,
            None,
        ),
        shape(
            "program_hit_extension",
            "Banned, behind an IPv6 extension header",
            banned_v6().then(options.clone()).tcp(GUARDED_PORT),
            Drop,
            None,
        ),
        shape(
            "program_hit_150_extensions",
            "Banned, behind 150 IPv6 extension headers",
            banned_v6().then_times(150, &options).tcp(GUARDED_PORT),
            Drop,
            None,
        ),
        shape(
            "program_miss_150_extensions",
            "Not banned, behind 150 IPv6 extension headers",
            clean_v6().then_times(150, &options).tcp(GUARDED_PORT),
            Pass,
            None,
        ),
    ];
    let neighbour = Ipv4::new(NEIGHBOUR_V4, SERVER_V4).tcp(GUARDED_PORT);
    let with = vec![
        shape("program_hit_prefix", "In a banned /24, of 1,001 prefixes", neighbour, Drop, None),
        shape("program_hit_beside_prefixes", "Banned, beside 1,001 prefixes", banned().tcp(GUARDED_PORT), Drop, None),
        shape("program_miss_prefixes", "Not banned, beside 1,001 prefixes", clean().tcp(GUARDED_PORT), Pass, None),
    ];
    [without, with]
}

/// Measures every shape on everybody that takes it as banner does.
pub(super) fn measure(bench: &mut Bench, object: &Path) -> anyhow::Result<()> {
    let packets = bench.sized(1_000_000, 1_000);
    let rounds = bench.rounds(ROUNDS);
    let [without, with] = shapes();
    alone_on(RECEIVER, || {
        let mut contestants = vec![("banner", Contestant::banner(object, false)?)];
        if bench.is_against("reference") {
            let ban = Ipv4Addr::from(BANNED_V4);
            let reference = reference::load(&[GUARDED_PORT], [ban].into_iter(), BANNED_V6)?;
            contestants.push(("reference", Contestant::Other(reference, reference::NAME)));
        }
        if bench.is_against("drop") {
            contestants.push(("drop", Contestant::Other(assembly::constant(DROP)?, assembly::NAME)));
        }
        take_turns(bench, &without, &mut contestants, rounds, packets)?;
        take_turns(bench, &with, &mut [("banner", Contestant::banner(object, true)?)], rounds, packets)
    })?;
    for Shape { quantity, target, .. } in &without {
        let Some(target) = *target else { continue };
        let ratio = bench.ratio(quantity, None, "banner", "reference");
        bench.target(&format!("{}: banner / reference", quantity.title), ratio, Bound::AtMost(target));
        if target < 1.0 {
            let ratio = bench.ratio_above("drop", quantity, None, "banner", "reference");
            let what = format!("{}: banner / reference, both without what the loop costs", quantity.title);
            bench.target(&what, ratio, Bound::AtMost(target));
        }
    }
    bench.note(format!(
        "where banner has to be no slower than the reference, {NOISE} times its cost is allowed: one program measured twice differs by as much"
    ));
    Ok(())
}

fn take_turns(
    bench: &mut Bench,
    shapes: &[Shape],
    contestants: &mut [(&'static str, Contestant)],
    rounds: usize,
    packets: u32,
) -> anyhow::Result<()> {
    for Shape { quantity, frame, verdict, .. } in shapes {
        let mut takers = Vec::new();
        for (who, contestant) in contestants.iter_mut() {
            let verdict_of = contestant.run(frame, 1)?;
            ensure!(*who != "banner" || verdict_of == *verdict, "{}: {verdict_of:?}", quantity.title);
            // What a simpler filter lets through, or does not look at, cannot be compared; the floor looks at nothing.
            if verdict_of == *verdict || *who == "drop" {
                takers.push((*who, contestant));
            }
        }
        for _ in 0..rounds {
            for (who, contestant) in &mut takers {
                let before = processor::used()?;
                contestant.run(frame, packets)?;
                let used = processor::used()?.saturating_sub(before);
                bench.sample(quantity, who, None, used.as_secs_f64() * 1e9 / f64::from(packets));
            }
        }
    }
    Ok(())
}

/// Somebody's program in the kernel.
enum Contestant {
    Banner(Box<Program>),
    Other(Ebpf, &'static str),
}

impl Contestant {
    fn banner(object: &Path, with_prefixes: bool) -> anyhow::Result<Self> {
        let mut program = Program::load(object)?;
        program.guard(GUARDED_PORT, SMTP)?;
        let ban = Ban { deadline: PERMANENT, services: SMTP, ..Ban::default() };
        program.ban(Entry::HostV4(BANNED_V4), ban)?;
        program.ban(Entry::HostV6(BANNED_V6), ban)?;
        if with_prefixes {
            program.ban("203.0.113.0/24".parse()?, ban)?;
            for number in 0..1_000 {
                let network = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number * 64;
                program.ban(Entry::NetV4(network.to_be_bytes(), 26), ban)?;
            }
        }
        Ok(Self::Banner(Box::new(program)))
    }

    fn run(&mut self, frame: &Frame, repeat: u32) -> anyhow::Result<Verdict> {
        match self {
            Self::Banner(program) => program.repeat(&frame.0, repeat),
            Self::Other(ebpf, name) => {
                let program: &mut Xdp = ebpf.program_mut(name).context("its program")?.try_into()?;
                let options = TestRunOptions { data_in: Some(&frame.0), repeat, ..TestRunOptions::default() };
                Verdict::of(program.test_run(options)?.return_value)
            }
        }
    }
}
