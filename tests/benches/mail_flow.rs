//! What banner costs the mail that it lets through.
//!
//!     cargo xtask lab fetch
//!     cargo build --release -p banner-user
//!     BANNER_BIN=$PWD/target/release/banner cargo bench -p banner-tests --bench mail_flow
//!
//! Postfix's own smtp-source on the internet sends messages to its smtp-sink on a host of the lab, through a veth pair and
//! banner's XDP program on it (native mode), each message on a connection of its own. Rounds without the program and rounds with it
//! take turns, so that whatever else the machine does falls on both; then all of that again with 100,000 bans in force. A round
//! measures
//!
//! - throughput, with 20 sessions at a time, as messages a second;
//! - latency, with one session at a time, as the time that a message takes from SYN to QUIT;
//! - what the kernel spent in softirqs meanwhile on the whole machine, where all packets are handled, in the ticks of /proc/stat.
//!
//! The ratios are medians of what the pairs of neighbouring rounds show; where the machine is busy with other things, those of the best
//! rounds say more. Any native program costs a veth pair something, since packets are copied for it there (`veth_convert_skb_to_xdp_buff`,
//! drivers/net/veth.c); what the bans cost is the difference between the two comparisons.

use std::{
    fs,
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::{Answer, CommandLine as _},
    installation::binary,
    lab::{Lab, Setup, root::Kind},
    mail_log::postfix,
    network::SERVER_V4,
    patience::until,
    process::Killed,
};
use serde_json::Value;

const BANS: u32 = 100_000;

/// Rounds of each kind.
const PAIRS: usize = 9;

/// Messages that are sent at full speed, by so many sessions at a time.
const MESSAGES: u32 = 6_000;
const SESSIONS: u32 = 20;

/// Messages that are sent one by one.
const MESSAGES_ALONE: u32 = 2_000;

/// Of a message, in bytes: a short one, since what a connection costs is what banner could add to.
const LENGTH: u32 = 4_096;

/// Where the mail comes from.
const SENDER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);

/// How long the daemon is looked at; a twentieth of it is rest.
const AT_REST: Duration = Duration::from_millis(500);

/// The log that banner reads here.
const LOG: &str = "/var/log/failures.log";

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` builds and starts this too; there it is enough that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let configuration = format!("[jail.mail]\nsource = {LOG:?}\nmaxretry = 1\nbantime = \"1d\"\n");
    let Some(lab) = Lab::up(&Setup { configuration, ..Setup::new(Kind::Cyrus, binary()?) })? else { return Ok(()) };
    fs::write(lab.server.path(LOG), "")?;
    // Packets of the sender need an address of its own: the internet's end of the cable has none.
    lab.network.internet.ip(&format!("route replace {SERVER_V4} dev net0 src {SENDER}"))?;
    lab.server.run("systemctl stop postfix")?;
    let mut sink = lab.server.command("smtp-sink");
    let _sink = Killed(sink.args(["-u", "postfix", "inet:25", "1000"]).stdin(Stdio::null()).spawn()?);
    until("smtp-sink takes mail", || Ok(send(&lab, 1, 1).ok()))?;

    lab.start_banner()?;
    compare(&lab, "no bans")?;
    ban(&lab)?;
    compare(&lab, &format!("{BANS} bans"))
}

/// Measures in turn without and with the program.
fn compare(lab: &Lab, what: &str) -> anyhow::Result<()> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        detach(lab)?;
        without.push(Round::measure(lab)?);
        attach(lab)?;
        with.push(Round::measure(lab)?);
    }
    say(&format!("{what}, {PAIRS} rounds without the program, {PAIRS} with it, in turn:"));
    for (name, of) in [
        ("messages a second", Round::throughput as fn(&Round) -> f64),
        ("µs a message", Round::latency),
        ("µs of softirqs a message", Round::softirq),
    ] {
        let values = |rounds: &[Round]| rounds.iter().map(of).collect::<Vec<_>>();
        let (without, with) = (values(&without), values(&with));
        let best = |values: &[f64]| if name.contains("second") { max(values) } else { min(values) };
        let best = best(&with) / best(&without);
        let ratios = without.iter().zip(&with).map(|(without, with)| with / without).collect();
        let [low, ratio, high] = quartiles(ratios)?;
        let ([_, without, _], [_, with, _]) = (quartiles(without)?, quartiles(with)?);
        say(&format!(
            "  {name}: {without:.0} without, {with:.0} with; ratio {ratio:.3} (half of the pairs: {low:.3} to {high:.3}), of the best rounds {best:.3}"
        ));
    }
    Ok(())
}

/// Takes the program off the interface, and leaves the bans in their maps: the daemon stops, and the pin of its link goes.
fn detach(lab: &Lab) -> anyhow::Result<()> {
    lab.server.run("systemctl stop banner")?;
    lab.server.script("rm /sys/fs/bpf/banner/v1/links/*")?;
    until("the program is off the interface", || Ok((!is_attached(lab)?).then_some(())))
}

/// A start attaches it, with all bans.
fn attach(lab: &Lab) -> anyhow::Result<()> {
    lab.start_banner()?;
    ensure!(is_attached(lab)?, "the program is not on the interface");
    // Just started, it compares its state with the maps as fast as it can. What is measured is how it goes on after that.
    let mut before = processor_time(lab)?;
    until("the daemon is at rest", || {
        pause(AT_REST);
        let now = processor_time(lab)?;
        Ok((now - std::mem::replace(&mut before, now) < AT_REST / 20).then_some(()))
    })
}

/// What the daemon has used.
fn processor_time(lab: &Lab) -> anyhow::Result<Duration> {
    let used = lab.server.run("systemctl show --value --property CPUUsageNSec banner")?;
    Ok(Duration::from_nanos(used.trim().parse().with_context(|| format!("systemd accounts no time: {used}"))?))
}

fn is_attached(lab: &Lab) -> anyhow::Result<bool> {
    Ok(lab.server.run("ip link show dev mail0")?.contains("xdp"))
}

/// Has banner ban as many as that, from a log.
fn ban(lab: &Lab) -> anyhow::Result<()> {
    // All over 10.0.0.0/8, each once: an odd factor makes a bijection.
    let sources = (0..BANS).map(|number| 0x0a00_0000 | (number.wrapping_mul(0x009e_3779) & 0x00ff_ffff));
    let lines: String = sources.map(|bits| postfix(Ipv4Addr::from_bits(bits).into(), "alice")).collect();
    fs::write(lab.server.path(LOG), lines)?;
    until("all are banned", || {
        let status = lab.json("status --json")?;
        let used =
            status.pointer("/limits/bans_v4/used").and_then(Value::as_u64).with_context(|| format!("{status}"))?;
        Ok((used >= BANS.into()).then_some(()))
    })
}

/// What was measured in one state.
struct Round {
    /// Of all messages, many sessions at a time.
    together: Duration,
    /// Of [`MESSAGES_ALONE`], one by one.
    alone: Duration,
    /// In softirqs, of all messages sent together.
    softirq: Duration,
}

impl Round {
    fn measure(lab: &Lab) -> anyhow::Result<Self> {
        // Whatever the change of state has left in caches and queues.
        send(lab, MESSAGES / 10, SESSIONS)?;
        let before = softirq()?;
        let together = send(lab, MESSAGES, SESSIONS)?;
        let softirq = softirq()?.saturating_sub(before);
        Ok(Self { together, alone: send(lab, MESSAGES_ALONE, 1)?, softirq })
    }

    fn throughput(&self) -> f64 {
        f64::from(MESSAGES) / self.together.as_secs_f64()
    }

    fn latency(&self) -> f64 {
        self.alone.as_secs_f64() * 1e6 / f64::from(MESSAGES_ALONE)
    }

    fn softirq(&self) -> f64 {
        self.softirq.as_secs_f64() * 1e6 / f64::from(MESSAGES)
    }
}

/// Sends messages, and says how long that took.
fn send(lab: &Lab, messages: u32, sessions: u32) -> anyhow::Result<Duration> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", lab.network.internet.path())).arg("chroot").arg(&lab.root).arg("smtp-source");
    command.args(["-s", &sessions.to_string(), "-m", &messages.to_string(), "-l", &LENGTH.to_string()]);
    command.args(["-f", "a@example.net", "-t", "b@example.org", &format!("inet:{SERVER_V4}:25")]);
    let begin = Instant::now();
    let answer = Answer::of(&mut command)?.expect(0)?;
    let lasted = begin.elapsed();
    ensure!(answer.stderr.is_empty(), "smtp-source: {answer:?}");
    Ok(lasted)
}

/// The time of all processors in softirqs (proc_stat(5), the seventh number).
fn softirq() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks: u64 = stat.split_whitespace().nth(7).context("/proc/stat has no softirqs")?.parse()?;
    // USER_HZ is 100 wherever Linux runs on x86 and Arm.
    Ok(Duration::from_millis(ticks * 10))
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn min(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Where a quarter, a half and three quarters of them lie.
fn quartiles(mut values: Vec<f64>) -> anyhow::Result<[f64; 3]> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |quarter: usize| values.get(last * quarter / 4).copied().context("nothing was measured");
    Ok([at(1)?, at(2)?, at(3)?])
}

fn pause(length: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the length of a look at the processor time")]
    std::thread::sleep(length);
}

fn say(what: &str) {
    #[expect(clippy::print_stdout, reason = "the report of a benchmark")]
    {
        println!("{what}");
    }
}
