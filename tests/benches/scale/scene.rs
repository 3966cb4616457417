//! A mail server with many bans, whose daemon is started and killed.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::net::UnixDatagram,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use aya::maps::MapData;
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Daemon, Installation},
    mail_log::postfix,
    measure::{Running, pause},
    network::{INTERFACE, Network},
    pinned::maps,
    process::Killed,
};
use serde_json::Value;

use crate::stream::{SENDER_V4, SENDER_V6};

/// How long a start, or the banning of everybody, may take before it is given up.
const START_MAX: Duration = Duration::from_mins(2);
const BANNING_MAX: Duration = Duration::from_mins(15);

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(200);

/// Lines that are appended at once.
const PIECE: usize = 10_000;

pub(crate) struct Scene<'n> {
    network: &'n Network,
    pub(crate) installation: Installation<'n>,
    manager: UnixDatagram,
    bans_v4: u32,
    bans_v6: u32,
}

impl<'n> Scene<'n> {
    pub(crate) fn new(network: &'n Network, bans: u32) -> anyhow::Result<Self> {
        let installation = Installation::new(network, &Configuration::default())?;
        let bans_v4 = bans / 10 * 7;
        let bans_v6 = bans - bans_v4;
        installation.write_configuration(&format!(
            "interface = {INTERFACE:?}\nsocket = {:?}\nstate_dir = {:?}\nbpffs = {:?}\n\
             [limits]\nbans_v4 = {}\nbans_v6 = {}\n\
             [jail.mail]\nsource = {:?}\nmaxretry = 1\nbantime = \"1d\"\n",
            installation.socket(),
            installation.path("state"),
            installation.bpffs(),
            bans_v4 + 1,
            bans_v6 + 1,
            installation.log.path(),
        ))?;
        let manager = UnixDatagram::bind(installation.path("notify"))?;
        manager.set_read_timeout(Some(START_MAX))?;
        Ok(Self { network, installation, manager, bans_v4, bans_v6 })
    }

    /// Bans everybody, and kills the daemon when all of them are on disk. How long that took.
    pub(crate) fn ban_all(&self) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let (daemon, _) = self.start()?;
        let sources = (0..self.bans_v4).map(source_v4).chain((0..self.bans_v6).map(source_v6));
        let mut lines = String::new();
        for (source, number) in sources.chain([SENDER_V4.into(), SENDER_V6.into()]).zip(1..) {
            lines.push_str(&postfix(source, "alice"));
            if number % PIECE == 0 {
                self.installation.log.append(&std::mem::take(&mut lines))?;
            }
        }
        self.installation.log.append(&lines)?;
        let all = u64::from(self.bans_v4 + self.bans_v6) + 2;
        self.wait("all are banned", || Ok(self.banned()? >= all))?;
        // The answer to a ban by hand comes when all that was before it is on disk, or says that it is not.
        self.wait("the bans are on disk", || {
            let banned = self.installation.json("ban 203.0.113.0/24 --for 1d --json")?;
            Ok(banned.get("not_saved").is_none_or(Value::is_null))
        })?;
        daemon.kill()?;
        Ok(begin.elapsed())
    }

    /// Starts a daemon. How long until it said that it was ready.
    pub(crate) fn start(&self) -> anyhow::Result<(Daemon, Duration)> {
        let mut command = self.installation.command(&["run"]);
        command.env("NOTIFY_SOCKET", self.installation.path("notify"));
        let begin = Instant::now();
        let daemon = self.installation.spawn_confined(&mut command, || Ok(()))?;
        let mut message = [0; 512];
        let length = self.manager.recv(&mut message).with_context(|| daemon.output())?;
        let ready = begin.elapsed();
        ensure!(message.get(..length).unwrap_or_default().starts_with(b"READY=1"), "first it is ready");
        Ok((daemon, ready))
    }

    /// The machine starts anew: nothing is pinned, and the interface is another one.
    pub(crate) fn reboot(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(self.installation.bpffs())?;
        self.network.remove_cable()?;
        self.network.replace_cable()
    }

    /// Has all bans listed. How long that took, and how much the daemon's peak of memory grew.
    pub(crate) fn list(&self, daemon: &Daemon) -> anyhow::Result<(Duration, u64)> {
        let running = Running::new(daemon.pid())?;
        let file = self.installation.path("list");
        let mut command = self.installation.command(&["bans", "--json"]);
        command.stdout(fs::File::create(&file)?).stderr(Stdio::inherit());
        // The peak begins anew with this (proc_pid_clear_refs(5)).
        fs::write(format!("/proc/{}/clear_refs", daemon.pid()), "5")?;
        let (before, begin) = (running.memory("VmHWM")?, Instant::now());
        let mut child = Killed(command.spawn()?);
        let status = child.0.wait()?;
        let took = begin.elapsed();
        ensure!(status.success(), "bans: {status}");
        let lines = fs::read(&file)?.iter().filter(|byte| **byte == b'\n').count();
        ensure!(lines >= usize::try_from(self.bans_v4 + self.bans_v6)?, "only {lines} bans are listed");
        fs::remove_file(&file)?;
        Ok((took, running.memory("VmHWM")?.saturating_sub(before)))
    }

    /// Has one lifted, and banned again. How long the lifting took, with the start of the command.
    pub(crate) fn unban_one(&self) -> anyhow::Result<Duration> {
        let source = source_v4(self.bans_v4 / 2);
        let begin = Instant::now();
        self.installation.banner(&format!("unban {source}"))?.expect(0)?;
        let took = begin.elapsed();
        self.installation.banner(&format!("ban {source} --for 1d"))?.expect(0)?;
        Ok(took)
    }

    /// What the daemon has of memory, in bytes.
    pub(crate) fn memory(&self, daemon: &Daemon) -> anyhow::Result<u64> {
        let all = u64::from(self.bans_v4 + self.bans_v6);
        self.wait("all bans go on", || Ok(self.banned()? >= all))?;
        Running::new(daemon.pid())?.memory("VmRSS")
    }

    /// What the kernel accounts for the maps of bans, in bytes.
    pub(crate) fn kernel_memory(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for name in ["BANS_V4", "BANS_V6"] {
            let map = MapData::from_pin(maps(self.installation.bpffs()).join(name))?;
            let descriptor = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(map.fd()));
            let text = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}"))?;
            let bytes = text.lines().find_map(|line| line.strip_prefix("memlock:")).context("no memlock")?;
            sum += bytes.trim().parse::<u64>()?;
        }
        Ok(sum)
    }

    /// 0 where it is too busy to answer in time.
    fn banned(&self) -> anyhow::Result<u64> {
        let status = self.installation.status()?;
        let of = |map: &str| status.pointer(&format!("/limits/{map}/used")).and_then(Value::as_u64);
        Ok(of("bans_v4").zip(of("bans_v6")).map_or(0, |(v4, v6)| v4 + v6))
    }

    fn wait(&self, what: &str, look: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !look()? {
            ensure!(begin.elapsed() < BANNING_MAX, "waited in vain: {what}; {} are banned", self.banned()?);
            pause(LOOK);
        }
        Ok(())
    }
}

/// All over 10.0.0.0/8, each once: an odd factor makes a bijection.
fn source_v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 | (number.wrapping_mul(0x009e_3779) & 0x00ff_ffff)).into()
}

/// A /64 each of 2001:db8::/32.
fn source_v6(number: u32) -> IpAddr {
    let bits = u128::from(number.wrapping_mul(0x9e37_79b1)) << 64;
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | bits | 1).into()
}
