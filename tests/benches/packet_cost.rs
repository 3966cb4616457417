//! What a packet costs the host, and a ban its memory: `cargo bench -p banner-tests --bench packet_cost`, as root.
//!
//! Nanoseconds a packet are the kernel's own figure (BPF_PROG_TEST_RUN with `repeat`): the program alone, in a hot cache, without
//! the driver around it. Of several rounds the fastest counts, because whatever else runs only ever adds. Machines differ in
//! how fast they are, and much less in how many times the floor a packet costs: compare that.

use std::{
    io::Write as _,
    net::Ipv4Addr,
    path::Path,
    time::{Duration, Instant},
};

use banner_common::{Ban, PERMANENT};
use banner_tests::{
    frame::{Extension, Frame, Ipv4, Ipv6, ethertype},
    object::{self, Entry, Program},
};

const GUARDED_PORT: u16 = 25;
const OTHER_PORT: u16 = 80;
const SMTP: u16 = 1;

const SERVER_V4: [u8; 4] = [192, 0, 2, 1];
const SERVER_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const BANNED_V4: [u8; 4] = [198, 51, 100, 66];
const CLEAN_V4: [u8; 4] = [198, 51, 100, 67];

const ROUNDS: u32 = 7;
const PACKETS: u32 = 1_000_000;
const BANS: u32 = 1_000_000;

/// A row: its name, what a filter with the same parts was measured at when this one was designed (nanoseconds, 2-core x86-64
/// virtual machine, Linux 6.18; for orientation), and the frame.
type Row = (&'static str, &'static str, Frame);

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` builds and starts this too; there it is enough that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    for object in object::under_test("the cost of packets")? {
        packets(&object)?;
        bans(&object)?;
    }
    Ok(())
}

fn packets(object: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut program = Program::load(object)?;
    program.guard(GUARDED_PORT, SMTP)?;
    let ban = Ban { deadline: PERMANENT, services: SMTP, ..Ban::default() };
    for entry in ["198.51.100.66", "2001:db8:bad:1::/64"] {
        program.ban(entry.parse()?, ban)?;
    }

    writeln!(out, "{}\nns a packet, best of {ROUNDS} × {PACKETS}", object.display())?;
    writeln!(out, "{:<46} {:>8} {:>9}", "", "measured", "design")?;
    let mut measure = |program: &mut Program, rows: Vec<Row>| -> anyhow::Result<()> {
        for (name, design, frame) in rows {
            let mut best = Duration::MAX;
            for _ in 0..ROUNDS {
                best = best.min(program.cost(&frame.0, PACKETS)?);
            }
            writeln!(out, "{name:<46} {:>8} {design:>9}", best.as_nanos())?;
        }
        Ok(())
    };
    let (banned, clean) = (|| Ipv4::new(BANNED_V4, SERVER_V4), || Ipv4::new(CLEAN_V4, SERVER_V4));
    let v6 = |subnet| Ipv6::new([0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, subnet, 0, 0, 0, 0, 0, 0, 0, 0x66], SERVER_V6);
    let banned_v6 = || v6(1);
    let clean_v6 = || v6(2);
    let options = Extension::destination_options();
    measure(
        &mut program,
        vec![
            ("not IP: the floor of the measurement", "7", clean().tcp(OTHER_PORT).typed(0x0806)),
            ("UDP", "", clean().udp(GUARDED_PORT)),
            ("other port", "11", clean().tcp(OTHER_PORT)),
            ("other port, IPv6", "", clean_v6().tcp(OTHER_PORT)),
            ("miss", "16", clean().tcp(GUARDED_PORT)),
            ("miss, IPv6", "", clean_v6().tcp(GUARDED_PORT)),
            ("hit", "25", banned().tcp(GUARDED_PORT)),
            ("hit, IPv6", "25", banned_v6().tcp(GUARDED_PORT)),
            ("hit, behind a tag", "", banned().tcp(GUARDED_PORT).tagged(ethertype::VLAN, 0)),
            ("hit, behind 8 tags", "", banned().tcp(GUARDED_PORT).tagged_times(8, ethertype::VLAN, 0)),
            ("hit, behind options", "", banned().no_operations(4).tcp(GUARDED_PORT)),
            ("hit, IPv6, behind 1 header", "", banned_v6().then(options.clone()).tcp(GUARDED_PORT)),
            ("hit, IPv6, behind 150 headers", "", banned_v6().then_times(150, &options).tcp(GUARDED_PORT)),
            ("miss, behind a tag", "", clean().tcp(GUARDED_PORT).tagged(ethertype::VLAN, 0)),
            ("miss, IPv6, behind 150 headers", "", clean_v6().then_times(150, &options).tcp(GUARDED_PORT)),
        ],
    )?;
    for network in 0..1_000_u32 {
        let address = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + network * 64;
        program.ban(Entry::NetV4(address.to_be_bytes(), 26), ban)?;
    }
    program.ban("203.0.113.0/24".parse()?, ban)?;
    measure(
        &mut program,
        vec![
            ("miss, beside 1,001 banned prefixes", "", clean().tcp(GUARDED_PORT)),
            ("hit of an address, beside them", "", banned().tcp(GUARDED_PORT)),
            ("hit of a prefix", "147", Ipv4::new([203, 0, 113, 9], SERVER_V4).tcp(GUARDED_PORT)),
        ],
    )
}

fn bans(object: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut program = Program::load_with_entries(object, BANS)?;
    let ban = Ban { deadline: PERMANENT, services: SMTP, ..Ban::default() };
    let start = Instant::now();
    for number in 0..BANS {
        // Spread over the whole address space, each once: multiplying by an odd number is a bijection.
        program.ban(Entry::HostV4(number.wrapping_mul(0x9e37_79b1).to_be_bytes()), ban)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let bytes = program.bans_v4_memory()?;
    writeln!(
        out,
        "{BANS} bans loaded in {seconds:.2} s; {bytes} bytes of kernel memory, {:.1} a ban",
        f64::from(u32::try_from(bytes)?) / f64::from(BANS)
    )?;
    Ok(())
}
