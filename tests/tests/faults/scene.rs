//! A daemon at work, and what goes on around it.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{PoisonError, RwLock, RwLockWriteGuard},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Daemon, Installation},
    mail_log::postfix,
    network::Network,
    patience::until,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::Signal,
};

use crate::{
    clock::{TOLERANCE, let_pass, now},
    dice::Dice,
    expected::{Deeds, Gap, Lift, OtherBan},
    sources::{MAXRETRY, Source, Sources, key, prefix},
    traffic::Traffic,
    verdict::{Evidence, Tally},
    watch::Watch,
    writer::Writer,
};

/// Banned by hand for ever before anything happens.
const FOR_EVER: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0x66, 0, 0, 0, 0x66))];

/// Banned by hand for [`SHORT`], so that a ban ends soon after what happens, or while it does.
const FOR_A_WHILE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66));
const SHORT: Duration = Duration::from_secs(4);

/// Bans of sources in the log that there are before anything happens.
const BANS_BEFORE: usize = 6;

/// Under which a row takes place.
pub(crate) struct Conditions {
    /// How long a jail's ban lasts: longer than the daemon is ever away, or what it reads then is no ban any more.
    pub(crate) bantime: Duration,
    pub(crate) configuration: Configuration,
    /// Happens before the first daemon starts.
    pub(crate) prepare: fn(&mut Installation<'_>) -> anyhow::Result<()>,
    /// All sources in the log are of IPv6.
    pub(crate) is_ipv6: bool,
    /// Varies the moments.
    pub(crate) seed: u64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            bantime: Duration::from_secs(10),
            configuration: Configuration { findtime: "2m".to_owned(), bans_v4: 4096, ..Configuration::default() },
            prepare: |_| Ok(()),
            is_ipv6: false,
            seed: 4,
        }
    }
}

/// What a row acts upon.
pub(crate) struct Scene<'n> {
    pub(crate) network: &'n Network,
    pub(crate) installation: Installation<'n>,
    pub(crate) writer: Writer,
    pub(crate) traffic: Traffic,
    pub(crate) watch: Watch,
    pub(crate) dice: Dice,
    daemon: Option<Daemon>,
    sources: Sources,
    deeds: Deeds,
    bantime: Duration,
}

/// Lets a row happen to a daemon at work, and sees that nothing is lost by it. What the row mounts vanishes with it.
pub(crate) fn at_work(
    conditions: Conditions,
    row: impl FnOnce(&mut Scene<'_>) -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let _others = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        let scene = scope.spawn(|| {
            let Some(network) = Network::new()? else { return Ok(()) };
            hide_mounts()?;
            let mut scene = Scene::begin(&network, conditions)?;
            row(&mut scene)?;
            let tally = scene.finish()?;
            #[expect(clippy::print_stderr, reason = "what a row comes to, for `--nocapture`")]
            {
                eprintln!("{tally:?}");
            }
            Ok(())
        });
        match scene.join() {
            Ok(ended) => ended,
            Err(_) => bail!("the row panicked"),
        }
    })
}

/// Rows share the machine, but for one that measures.
static MACHINE: RwLock<()> = RwLock::new(());

/// Waits until no row is at work, and keeps all others waiting.
pub(crate) fn machine_alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Says that a row is left out for want of a Debian package.
///
/// # Errors
/// In CI that is a failure, so that a green run has tested everything.
pub(crate) fn left_out(row: &str, package: &str) -> anyhow::Result<()> {
    let skipped = format!("skipped: {row}: the package {package} is not installed");
    ensure!(std::env::var_os("CI").is_none(), "{skipped}");
    // Straight to the descriptor: the test harness swallows what a passing test prints.
    Ok(writeln!(std::io::stderr(), "{skipped}")?)
}

/// What the calling thread, its threads and processes mount from now on, nobody else sees.
fn hide_mounts() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("making a mount namespace")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).context("keeping mounts to this test")
}

impl<'n> Scene<'n> {
    fn begin(network: &'n Network, conditions: Conditions) -> anyhow::Result<Self> {
        let Conditions { bantime, configuration, prepare, is_ipv6, seed } = conditions;
        let configuration = Configuration { bantime: format!("{}s", bantime.as_secs()), ..configuration };
        let mut installation = Installation::new(network, &configuration)?;
        prepare(&mut installation)?;
        let daemon = installation.start()?;
        let sources = Sources::default();
        let watch = Watch::start(installation.bpffs().to_owned())?;
        let traffic = Traffic::start(network, &sources, Dice::new(seed))?;
        let writer = Writer::start(installation.log.path(), &sources, is_ipv6, Dice::new(!seed))?;
        let mut scene = Self {
            network,
            installation,
            writer,
            traffic,
            watch,
            dice: Dice::new(seed.rotate_left(32)),
            daemon: Some(daemon),
            sources,
            deeds: Deeds::default(),
            bantime,
        };
        for source in FOR_EVER {
            scene.ban(source, None)?;
        }
        scene.await_bans(BANS_BEFORE)?;
        scene.ban(FOR_A_WHILE, Some(SHORT))?;
        Ok(scene)
    }

    /// Waits until so many more sources in the log are banned.
    pub(crate) fn await_bans(&self, more: usize) -> anyhow::Result<()> {
        let before = self.watch.sight().seen.len();
        until("more sources are banned", || Ok((self.watch.sight().seen.len() >= before + more).then_some(())))
    }

    /// Bans by hand.
    pub(crate) fn ban(&mut self, source: IpAddr, length: Option<Duration>) -> anyhow::Result<()> {
        self.traffic.add(source);
        let words = length.map_or("permanent".to_owned(), |length| format!("{}s", length.as_secs()));
        let asked = now()?;
        let answer = self.installation.json(&format!("ban {} --for {words} --json", prefix(source)))?;
        let waits = answer.get("waits") == Some(&true.into());
        self.deeds.other_bans.push(OtherBan { source, asked, answered: now()?, waits, length });
        Ok(())
    }

    /// Lets a line of a source be logged that the writer knows nothing of, and waits for the jail's ban.
    pub(crate) fn fail_and_await_ban(&mut self, source: IpAddr) -> anyhow::Result<()> {
        self.traffic.add(source);
        let asked = now()?;
        self.installation.log.append(&postfix(source, "alice"))?;
        until("the source is banned", || Ok(self.watch.sight().seen.contains_key(&key(source)).then_some(())))?;
        let length = Some(self.bantime);
        self.deeds.other_bans.push(OtherBan { source, asked, answered: now()?, waits: false, length });
        Ok(())
    }

    /// Lifts a ban, by hand or not.
    pub(crate) fn unban(&mut self, source: IpAddr) -> anyhow::Result<()> {
        self.traffic.add(source);
        let asked = now()?;
        self.installation.banner(&format!("unban {}", prefix(source)))?.expect(0)?;
        self.deeds.lifts.push(Lift { source, asked, answered: now()? });
        Ok(())
    }

    /// A source with so many lines from now on, which all are written with [`Writer::write_line`].
    pub(crate) fn source(&self, index: usize) -> anyhow::Result<Source> {
        self.sources.lock().get(index).cloned().context("a source is known")
    }

    /// In this time packets may come through.
    pub(crate) fn allow(&mut self, gap: Gap) {
        #[expect(clippy::print_stderr, reason = "how long it was, for `--nocapture`")]
        {
            eprintln!("a gap of {:?} at most", gap.until - gap.from);
        }
        self.deeds.gaps.push(gap);
    }

    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.daemon.take().context("a daemon runs")?.kill()
    }

    /// As systemd stops it.
    pub(crate) fn terminate(&mut self) -> anyhow::Result<()> {
        let mut daemon = self.daemon.take().context("a daemon runs")?;
        daemon.signal(Signal::SIGTERM)?;
        let status = daemon.await_end()?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Starts it, and waits until it follows its log.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        ensure!(self.daemon.is_none(), "a daemon runs already");
        self.daemon = Some(self.installation.start()?);
        Ok(())
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn spawn(&mut self) -> anyhow::Result<()> {
        ensure!(self.daemon.is_none(), "a daemon runs already");
        self.daemon = Some(self.installation.spawn()?);
        Ok(())
    }

    /// Waits until the daemon that was spawned follows its log.
    pub(crate) fn await_start(&mut self) -> anyhow::Result<()> {
        self.installation.await_start(self.daemon.as_mut().context("a daemon runs")?)
    }

    fn finish(mut self) -> anyhow::Result<Tally> {
        self.writer.finish()?;
        self.installation.await_log_read()?;
        self.traffic.await_round()?;
        self.let_bans_end()?;
        self.watch.await_look()?;
        self.is_told()?;
        self.traffic.await_round()?;
        let Self { watch, traffic, sources, deeds, bantime, .. } = &mut self;
        let (sight, knocks) = (watch.finish()?, traffic.finish()?);
        let evidence =
            Evidence { sources: sources.lock().clone(), bantime: *bantime, deeds: deeds.clone(), sight, knocks };
        let tally = evidence.judge()?;
        // Nothing is proved by what has not happened.
        let Tally { bans, ended, below_the_limit, dropped, passed } = tally;
        ensure!(bans > BANS_BEFORE && ended > 0 && below_the_limit > 0 && dropped > 0 && passed > 0, "{tally:?}");
        Ok(tally)
    }

    /// Waits until the first of the jail's bans have come to their end.
    fn let_bans_end(&self) -> anyhow::Result<()> {
        let sight = self.watch.sight();
        let mut ends: Vec<_> = sight.seen.values().filter_map(|seen| seen.until).collect();
        ends.sort_unstable();
        let end = ends.get(BANS_BEFORE / 2).context("bans have an end")?;
        let_pass((*end + TOLERANCE * 2).saturating_sub(now()?));
        Ok(())
    }

    /// Sees that `bans` and `why` say what the kernel has.
    fn is_told(&self) -> anyhow::Result<()> {
        let told = self.installation.bans()?;
        let sight = self.watch.sight();
        let (soon, banned) = (now()? + Duration::from_secs(2), |prefix: &str| {
            told.iter().any(|ban| ban.get("prefix").is_some_and(|told| told == prefix))
        });
        for (key, seen) in &sight.seen {
            let in_force = seen.gone.is_none() && seen.until.is_none_or(|until| until > soon);
            ensure!(!in_force || banned(&prefix(*key)), "`bans` does not tell of {key}: {seen:?}");
        }
        for ban in &told {
            let is_in_kernel = sight.seen.keys().any(|key| ban.get("prefix") == Some(&prefix(*key).into()));
            ensure!(is_in_kernel, "`bans` tells of a ban that is not in the kernel: {ban}");
        }
        for source in self.sources.lock().iter().rev().filter(|source| source.written.len() < MAXRETRY).take(2) {
            self.installation.banner(&format!("why {}", source.address))?.expect(1)?;
        }
        self.installation.banner(&format!("why {}", FOR_EVER[0]))?.expect(0)?;
        Ok(())
    }
}
