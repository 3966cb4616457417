//! How long a start takes with a million bans in force, and whether anybody gets through meanwhile.
//!
//!     cargo build --release -p banner-user
//!     BANNER_BIN=$PWD/target/release/banner cargo bench -p banner-tests --bench restart
//!
//! A first daemon bans 700,000 IPv4 addresses and 300,000 IPv6 /64s from a log, one failure each, and is killed when all of them are
//! on disk. Then daemons are started and killed:
//!
//! 1. after a kill: the kernel has all entries, and packets of two banned sources are sent all the time;
//! 2. after a reboot: nothing is pinned, the interface is a new one, and the packets are sent from READY=1 on.
//!
//! Timed from fork(2) are READY=1 at a socket of our own, and the first answer to `GET /v1/status`. Every packet that is sent has to
//! be counted by its ban, and none may reach TCP.
//!
//! Last, the database is deleted under a running daemon, which then writes all of it anew; `status` is asked without a pause
//! meanwhile, and the longest answer is as long as the loop stood still.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::net::{UnixDatagram, UnixStream},
    path::{Path, PathBuf},
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    frame::{Ipv4, Ipv6},
    installation::{Configuration, Daemon, Installation},
    mail_log::postfix,
    network::{INTERFACE, Network, SERVER_V4, SERVER_V6},
    patience::until,
    pinned::PinnedBans,
    segments::Segments,
};
use serde_json::Value;

const BANS_V4: u32 = 700_000;
const BANS_V6: u32 = 300_000;

/// Starts that are timed, of each kind.
const STARTS: usize = 3;

/// Between two packets of a source.
const PACE: Duration = Duration::from_millis(1);

/// Packets that have to be sent for a stream to mean anything.
const PACKETS_MIN: u64 = 500;

/// How long a start may take before it is given up.
const START_MAX: Duration = Duration::from_secs(60);

/// One of the banned, which send.
const SENDER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);
const SENDER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0x66, 0, 0, 0, 0x66);
const SENDER_NET: [u8; 8] = [0x20, 0x01, 0x0d, 0xb8, 0x00, 0x0a, 0x00, 0x66];

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` builds and starts this too; there it is enough that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let Some(network) = Network::new()? else { return Ok(()) };
    let bench = Bench::new(&network)?;
    bench.ban_a_million()?;
    for _ in 0..STARTS {
        bench.after_a_kill()?;
    }
    for _ in 0..STARTS {
        bench.after_a_reboot()?;
    }
    bench.without_its_database()
}

struct Bench<'n> {
    network: &'n Network,
    installation: Installation<'n>,
    manager: UnixDatagram,
}

/// A daemon that has just become ready.
struct Started {
    daemon: Daemon,
    ready: Duration,
    answered: Duration,
}

impl<'n> Bench<'n> {
    fn new(network: &'n Network) -> anyhow::Result<Self> {
        let installation = Installation::new(network, &Configuration::default())?;
        installation.write_configuration(&format!(
            "interface = {INTERFACE:?}\nsocket = {:?}\nstate_dir = {:?}\nbpffs = {:?}\n\
             [limits]\nbans_v4 = {}\nbans_v6 = {}\n\
             [jail.mail]\nsource = {:?}\nmaxretry = 1\nbantime = \"1d\"\n",
            installation.socket(),
            installation.path("state"),
            installation.bpffs(),
            BANS_V4 + 1,
            BANS_V6 + 1,
            installation.log.path(),
        ))?;
        let manager = UnixDatagram::bind(installation.path("notify"))?;
        Ok(Self { network, installation, manager })
    }

    fn ban_a_million(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let Started { daemon, .. } = self.start()?;
        let v4 = (0..BANS_V4).map(|number| {
            // All over 10.0.0.0/8, each once: an odd factor makes a bijection.
            IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | (number.wrapping_mul(0x009e_3779) & 0x00ff_ffff)))
        });
        let v6 = (0..BANS_V6).map(|number| {
            let [a, b] = [number.wrapping_mul(0x9e37_79b1) >> 16, number.wrapping_mul(0x9e37_79b1) & 0xffff];
            let segment = |bits: u32| u16::try_from(bits).unwrap_or_default();
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, segment(a), segment(b), 0, 0, 0, 1))
        });
        let mut lines = String::new();
        for (source, number) in v4.chain(v6).chain([SENDER_V4.into(), SENDER_V6.into()]).zip(1..) {
            lines.push_str(&postfix(source, "alice"));
            if number % 10_000 == 0 {
                self.installation.log.append(&std::mem::take(&mut lines))?;
            }
        }
        self.installation.log.append(&lines)?;
        let bans = u64::from(BANS_V4 + BANS_V6) + 2;
        until("all are banned", || Ok((self.banned()? >= bans).then_some(())))?;
        self.await_disk()?;
        say(&format!(
            "{bans} bans from a log, and on disk, in {:.1} s; the daemon has {} MB",
            begin.elapsed().as_secs_f64(),
            resident(&daemon)?
        ));
        daemon.kill()
    }

    /// The kernel has everything, and so has the disk.
    fn after_a_kill(&self) -> anyhow::Result<()> {
        let stream = Stream::start(self.network, &self.installation)?;
        let started = self.start()?;
        let sent = stream.finish()?;
        self.report("after a kill", started, sent)
    }

    /// The kernel has nothing.
    fn after_a_reboot(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(self.installation.bpffs())?;
        self.network.remove_cable()?;
        self.network.replace_cable()?;
        let started = self.start()?;
        let sent = Stream::start(self.network, &self.installation)?.finish()?;
        self.report("after a reboot", started, sent)
    }

    fn report(&self, what: &str, started: Started, sent: u64) -> anyhow::Result<()> {
        let Started { daemon, ready, answered } = started;
        let memory = resident(&daemon)?;
        ensure!(self.banned()? >= u64::from(BANS_V4 + BANS_V6), "not all bans go on");
        say(&format!(
            "{what}: READY=1 after {:.2} s, the first answer after {:.2} s, {memory} MB; {sent} packets of two banned sources, \
             none of which passed",
            ready.as_secs_f64(),
            answered.as_secs_f64()
        ));
        daemon.kill()
    }

    /// The disk has nothing, all of a sudden.
    fn without_its_database(&self) -> anyhow::Result<()> {
        let Started { daemon, .. } = self.start()?;
        let before = resident(&daemon)?;
        fs::remove_dir_all(self.installation.path("state"))?;
        let (begin, mut longest, mut most) = (Instant::now(), Duration::ZERO, before);
        while begin.elapsed() < Duration::from_secs(20) {
            let asked = Instant::now();
            self.status()?;
            longest = longest.max(asked.elapsed());
            most = most.max(resident(&daemon)?);
        }
        self.await_disk()?;
        say(&format!(
            "everything written anew: the longest answer took {} ms, and the daemon {most} MB instead of {before}",
            longest.as_millis()
        ));
        daemon.kill()
    }

    fn start(&self) -> anyhow::Result<Started> {
        self.manager.set_read_timeout(Some(START_MAX))?;
        let mut command = self.installation.command(&["run"]);
        command.env("NOTIFY_SOCKET", self.installation.path("notify"));
        let begin = Instant::now();
        let daemon = self.installation.spawn_confined(&mut command, || Ok(()))?;
        let mut message = [0; 512];
        let length = self.manager.recv(&mut message).with_context(|| daemon.output())?;
        let ready = begin.elapsed();
        ensure!(message.get(..length).unwrap_or_default().starts_with(b"READY=1"), "first it is ready");
        self.status()?;
        Ok(Started { daemon, ready, answered: begin.elapsed() })
    }

    /// Asks as the command line does, without starting a process.
    fn status(&self) -> anyhow::Result<Value> {
        let mut stream = UnixStream::connect(self.installation.socket())?;
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: banner\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {answer}"))?;
        Ok(serde_json::from_str(body)?)
    }

    fn banned(&self) -> anyhow::Result<u64> {
        let status = self.status()?;
        let of = |map: &str| status.pointer(&format!("/limits/{map}/used")).and_then(Value::as_u64);
        of("bans_v4").zip(of("bans_v6")).map(|(v4, v6)| v4 + v6).with_context(|| format!("no limits: {status}"))
    }

    /// The answer to a ban by hand comes when all that was before it is on disk, or says that it is not.
    fn await_disk(&self) -> anyhow::Result<()> {
        until("the bans are on disk", || {
            let answer = self.installation.banner("ban 203.0.113.0/24 --for 1d --json")?.expect(0)?;
            let banned: Value = serde_json::from_str(&answer.stdout)?;
            Ok(banned.get("not_saved").is_none_or(Value::is_null).then_some(()))
        })
    }
}

/// Packets of banned sources.
struct Stream {
    stop: Sender<()>,
    sender: JoinHandle<anyhow::Result<u64>>,
    segments: Segments,
    segments_before: u64,
    bpffs: PathBuf,
    counted_before: u64,
}

impl Stream {
    fn start(network: &Network, installation: &Installation<'_>) -> anyhow::Result<Self> {
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

    /// How many were sent, all of which were dropped.
    fn finish(mut self) -> anyhow::Result<u64> {
        self.stop.send(())?;
        let Ok(sent) = self.sender.join() else { bail!("the sender panicked") };
        let sent = sent?;
        until("every packet is counted by its ban", || {
            let dropped = counted(&self.bpffs)? - self.counted_before;
            ensure!(dropped <= sent, "{dropped} packets were dropped of {sent}");
            Ok((dropped == sent).then_some(()))
        })?;
        let passed = self.segments.count()? - self.segments_before;
        ensure!(passed == 0, "{passed} packets of banned sources reached TCP");
        Ok(sent)
    }
}

/// What the bans of the senders have dropped.
fn counted(bpffs: &Path) -> anyhow::Result<u64> {
    let pinned = PinnedBans::open(bpffs)?;
    let bans = [pinned.v4(SENDER_V4.octets())?, pinned.v6(SENDER_NET)?];
    bans.into_iter().map(|ban| ban.map(|ban| ban.packets)).sum::<Option<u64>>().context("a sender is not banned")
}

/// What a daemon has of memory (`VmRSS`), in megabytes.
fn resident(daemon: &Daemon) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel tells no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1_000)
}

fn pause(length: Duration) {
    #[expect(clippy::disallowed_methods, reason = "a measurement keeps its pace; it waits for no condition")]
    thread::sleep(length);
}

fn say(what: &str) {
    #[expect(clippy::print_stdout, reason = "the report of a benchmark")]
    {
        println!("{what}");
    }
}
