//! How many lines of a log a second of processor time reads, and how much memory that takes.
//!
//!     cargo build --release -p banner-user
//!     BANNER_BIN=$PWD/target/release/banner cargo bench -p banner-tests --bench lines
//!
//! One generated log for everybody ([`log`]): 85 % of what else Postfix and Cyrus write, 10 % SASL failures, 5 % badlogin. Whoever is
//! slow gets less of it. All take turns, round after round, and each has to find every failure: who finds none is not measured, and who
//! finds others than are there is told of.
//!
//! - `banner match`: `banner match --count` on the file, by the filters of the default jail, as everybody else has them.
//! - `banner daemon`: the log appended to what a running daemon follows, from the first byte until `status` says that all is read,
//!   with all that follows: counting, bans in the kernel, state on disk. Memory without what the kernel keeps for the maps.
//! - `fail2ban-regex`: Debian's filters postfix[mode=auth] and cyrus-imap one after the other, the times of both.
//! - `fail2ban-server`: the same as for banner's daemon, with the jails postfix-sasl and cyrus-imap and no action.
//! - `sshg-parser`: sshguard's parser, the file on its standard input; it counts nothing and bans nobody.
//! - `fail2ban-rs`: its dry run over the file, with two jails; it bans nobody.

mod contestants;
mod log;

use std::process::ExitCode;

use banner_tests::{
    measure::{Bench, Better, Bound, Peer, Quantity},
    network::Network,
};

use crate::{
    contestants::{Contestant, Outcome},
    log::Log,
};

const PER_PROCESSOR: Quantity =
    quantity("per_processor_second", "Lines a second of processor time", "lines", Better::More);
const PER_SECOND: Quantity = quantity("per_second", "Lines a second of time", "lines", Better::More);
const MEMORY: Quantity = quantity("memory", "The most memory it had", "MB", Better::Less);

const PEERS: [Peer; 4] = [
    Peer { name: "fail2ban-regex", program: Some("fail2ban-regex"), install: "apt-get install fail2ban" },
    Peer { name: "fail2ban-server", program: Some("fail2ban-server"), install: "apt-get install fail2ban" },
    Peer { name: "sshg-parser", program: Some(contestants::SSHG_PARSER), install: "apt-get install sshguard" },
    Peer { name: "fail2ban-rs", program: Some("fail2ban-rs"), install: "cargo install fail2ban-rs" },
];

const fn quantity(name: &'static str, title: &'static str, unit: &'static str, better: Better) -> Quantity {
    Quantity { name, title, unit, size: None, better }
}

fn main() -> anyhow::Result<ExitCode> {
    let mut bench = Bench::start("lines", &PEERS)?;
    let Some(network) = Network::new()? else { return Ok(ExitCode::SUCCESS) };
    let mut told: Vec<(&str, u64)> = Vec::new();
    let log = Log::generate(bench.sized(1_000_000, 5_000))?;
    let short = Log::generate(bench.sized(30_000, 2_000))?;
    for _ in 0..bench.rounds(5) {
        for contestant in Contestant::ALL {
            let who = contestant.name();
            if !(contestant.is_banner() || bench.is_against(who)) {
                continue;
            }
            let log = if contestant.is_slow() { &short } else { &log };
            let Outcome { wall, processor, peak, peak_file, failures } = contestant.read(log, &network)?;
            if !told.iter().any(|(name, _)| *name == who) {
                bench.note(format!(
                    "{who}: {failures} failures in {} lines with {}, {:.1} MB of its memory mapped files",
                    log.lines,
                    log.failures(),
                    megabytes(peak_file)?
                ));
                told.push((who, failures));
            }
            if failures == 0 {
                continue;
            }
            let lines = f64::from(u32::try_from(log.lines)?);
            bench.sample(&PER_PROCESSOR, who, None, lines / processor.as_secs_f64());
            bench.sample(&PER_SECOND, who, None, lines / wall.as_secs_f64());
            bench.sample(&MEMORY, who, None, megabytes(peak)?);
        }
    }
    targets(&mut bench);
    bench.finish()
}

fn targets(bench: &mut Bench) {
    for (own, peer, least) in [
        (Contestant::Daemon, "fail2ban-server", 100.0),
        // Of what only reads, as these do, and of what bans as well.
        (Contestant::Match, "sshg-parser", 10.0),
        (Contestant::Match, "fail2ban-rs", 3.0),
        (Contestant::Daemon, "sshg-parser", 10.0),
        (Contestant::Daemon, "fail2ban-rs", 3.0),
    ] {
        let ratio = bench.ratio(&PER_PROCESSOR, None, own.name(), peer);
        bench.target(&format!("{} / {peer}, a processor-second", own.name()), ratio, Bound::AtLeast(least));
    }
    if let Some(peer) = bench.values(&MEMORY, None, "sshg-parser") {
        let own = bench.values(&MEMORY, None, Contestant::Match.name());
        bench.target("banner match: MB, against sshg-parser's + 30", own, Bound::AtMost(peer.median + 30.0));
    }
}

fn megabytes(bytes: u64) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(bytes / 1_000)?) / 1e3)
}
