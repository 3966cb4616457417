//! What a packet costs: banner's program beside other ways to drop the packets of banned sources.
//!
//!     cargo bench -p banner-tests --bench packet
//!
//! - [`program`]: the program alone, in nanoseconds a packet, by BPF_PROG_TEST_RUN;
//! - [`flow`]: the host that receives, over a cable (a veth pair): how much of a processor a packet costs it, dropped or passed.
//!
//! Machines differ in how fast they are, and much less in how many times as much one filter costs as another: compare ratios.
//!
//! Root is needed. clang, which the reference is compiled with, and the other filters are left out where they are not installed.

mod assembly;
mod cable;
mod filters;
mod flow;
mod generator;
mod processor;
mod program;
mod reference;

use std::process::ExitCode;

use banner_tests::{
    measure::{Bench, Peer},
    object,
};

const PEERS: [Peer; 10] = [
    Peer { name: "nothing", program: None, install: "" },
    Peer { name: "drop", program: None, install: "" },
    Peer { name: "pass", program: None, install: "" },
    Peer { name: "reference", program: Some("clang"), install: "apt-get install clang linux-libc-dev" },
    Peer { name: "xdp-filter", program: Some("xdp-filter"), install: "apt-get install xdp-tools" },
    Peer { name: "xdp-filter-ports", program: Some("xdp-filter"), install: "apt-get install xdp-tools" },
    Peer { name: "nft-ingress", program: Some("nft"), install: "apt-get install nftables" },
    Peer { name: "nft-input", program: Some("nft"), install: "apt-get install nftables" },
    Peer { name: "ipset", program: Some("ipset"), install: "apt-get install ipset iptables" },
    Peer { name: "iptables", program: Some("iptables-restore"), install: "apt-get install iptables" },
];

fn main() -> anyhow::Result<ExitCode> {
    let mut bench = Bench::start("packet", &PEERS)?;
    let objects = object::under_test("what a packet costs")?;
    // What was left out has been said.
    let Some(object) = objects.first() else { return Ok(ExitCode::SUCCESS) };
    program::measure(&mut bench, object)?;
    flow::measure(&mut bench, object)?;
    bench.finish()
}
