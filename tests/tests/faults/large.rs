//! Much of everything: five gigabytes of log at the first start, a million bans in force at a restart.

use std::{
    fs::File,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use banner_common::Ban;
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::{line_at, postfix_at},
    network::Network,
    patience::until,
    pinned::PinnedBans,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    dice::Dice,
    reboot::ReadySocket,
    scene::{self, Conditions, at_work},
    sources::Sources,
    traffic::Traffic,
};

/// How long a start may take, in the test's slow build on a busy machine.
const START_MAX: Duration = Duration::from_secs(30);

/// How many lines a first start may read of a log whose last findtime has a handful: those that the test and its traffic cause,
/// and not the thirty million before them.
const LINES_MAX: u64 = 10_000;

/// Failed twice just now, in the last of the log, and long ago, far before its end.
const OF_LATE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 90));
const LONG_AGO: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 91));

#[test]
fn a_log_of_five_gigabytes_at_the_first_start() -> anyhow::Result<()> {
    at_work(Conditions { prepare: fill_log, ..Conditions::default() }, |scene| {
        scene.fail_and_await_ban(OF_LATE)?;
        let status = scene.installation.json("status --json")?;
        let lines = status.pointer("/files/0/lines").and_then(serde_json::Value::as_u64).context("lines read")?;
        ensure!(lines < LINES_MAX, "{lines} lines were read, to know those of the last findtime");
        scene.traffic.add(LONG_AGO);
        scene.installation.log.append(&postfix_at(LONG_AGO, "alice", Timestamp::now()))?;
        scene.installation.await_log_read()?;
        // It is at two days' worth of lines, and at one failure of the one who failed long ago.
        scene.kill()?;
        let started = Instant::now();
        scene.start()?;
        tell(&format!("a restart with the log of 5 GB took {:?}", started.elapsed()));
        Ok(())
    })
}

/// Two days of lines, each piece of some megabytes within one minute of them, and the last failures at the end.
fn fill_log(installation: &mut Installation<'_>) -> anyhow::Result<()> {
    const LENGTH: u64 = 5_000_000_000;
    const PIECE: usize = 4 << 20;
    const SPAN: i64 = 2 * 86_400;
    let started = Instant::now();
    let now = Timestamp::now();
    let mut file = File::options().append(true).open(installation.log.path())?;
    let message =
        "C0FFEE: to=<bob@example.org>, relay=127.0.0.1[127.0.0.1]:24, delay=0.2, dsn=2.1.5, status=sent (250 2.1.5 Ok)";
    let pieces = i64::try_from(LENGTH / u64::try_from(PIECE)?)?;
    for piece in 0..=pieces {
        let at = now.checked_sub(SignedDuration::from_secs(300 + SPAN - SPAN * piece / pieces))?;
        let line = line_at("postfix/lmtp", message, at);
        file.write_all(line.repeat(PIECE / line.len()).as_bytes()).context("filling the log")?;
    }
    // Or the kernel lets whoever writes wait for the disk, the log and the state alike (`balance_dirty_pages`, mm/page-writeback.c).
    file.sync_data().context("waiting for the disk")?;
    // Writing has taken its time.
    let now = Timestamp::now();
    for (source, age) in [(LONG_AGO, 240), (LONG_AGO, 239), (OF_LATE, 20), (OF_LATE, 19)] {
        let at = now.checked_sub(SignedDuration::from_secs(age))?;
        file.write_all(postfix_at(source, "alice", at).as_bytes())?;
    }
    ensure!(file.metadata()?.len() > LENGTH - u64::try_from(PIECE)?, "the log is short");
    tell(&format!("writing the log took {:?}", started.elapsed()));
    let started = Instant::now();
    drop(installation.start()?);
    let took = started.elapsed();
    tell(&format!("the first start with it took {took:?}"));
    ensure!(took < START_MAX, "the first start took {took:?}");
    // The next one shall be a first start, too.
    std::fs::remove_dir_all(installation.path("state"))?;
    Ok(())
}

#[test]
fn a_million_bans_in_force_at_a_restart() -> anyhow::Result<()> {
    const BANS: u32 = 1_000_000;
    let banned = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
    let _alone = scene::machine_alone();
    let Some(network) = Network::new()? else { return Ok(()) };
    let mut installation =
        Installation::new(&network, &Configuration { bans_v4: BANS + 1_024, ..Configuration::default() })?;
    let ready = ReadySocket::bind(&installation.path("notify"))?;
    installation.launch_with(["env".to_owned(), format!("NOTIFY_SOCKET={}", ready.path)]);
    let daemon = installation.spawn()?;
    ready.wait()?;
    installation.banner(&format!("ban {banned} --for 1d"))?.expect(0)?;
    daemon.kill()?;

    // A daemon that starts takes over what is in the kernel.
    let mut pinned = PinnedBans::open(installation.bpffs())?;
    let pattern = pinned.entries()?.get(&banned).copied().context("the ban is in the kernel")?;
    let entry = Ban { packets: 0, bytes: 0, last_seen: 0, flags: 0, ..pattern };
    for number in 0..BANS {
        pinned.set_v4((0x0a00_0000 | number).to_be_bytes(), Some(entry))?;
    }
    let used = || -> anyhow::Result<Option<u64>> {
        let status = installation.json("status --json")?;
        Ok(status.pointer("/limits/bans_v4/used").and_then(serde_json::Value::as_u64))
    };
    let sources = Sources::default();
    let mut traffic = Traffic::start(&network, &sources, Dice::new(7))?;
    traffic.add(banned);
    for (start, is_bounded) in [("which finds them in the kernel", false), ("which has them from its state", true)] {
        let started = Instant::now();
        let mut daemon = installation.spawn()?;
        ready.wait()?;
        let took = started.elapsed();
        tell(&format!("a start with a million bans, {start}, took {took:?}"));
        ensure!(!is_bounded || took < START_MAX, "a start {start} took {took:?}");
        until("all are known", || Ok((used()? == Some(u64::from(BANS) + 1)).then_some(())))?;
        daemon.signal(nix::sys::signal::Signal::SIGTERM)?;
        ensure!(daemon.await_end()?.success(), "{}", daemon.output());
    }
    traffic.await_round()?;
    let knocks = traffic.finish()?;
    for knock in &knocks {
        let is_banned = knock.source == banned;
        ensure!(knock.is_answered != is_banned, "{knock:?}");
    }
    let after = PinnedBans::open(installation.bpffs())?;
    for number in (0..BANS).step_by(9_973) {
        let now = after.v4((0x0a00_0000 | number).to_be_bytes())?;
        let moved = now.map(|now| now.deadline.abs_diff(entry.deadline));
        ensure!(moved.is_some_and(|ticks| ticks <= 10), "ban {number} is now {now:?}, and was {entry:?}");
    }
    Ok(())
}

/// What was measured, for `--nocapture`.
fn tell(text: &str) {
    #[expect(clippy::print_stderr, reason = "a figure, for whoever asks")]
    {
        eprintln!("{text}");
    }
}
