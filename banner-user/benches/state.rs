//! What keeping state costs: `cargo bench -p banner-user --bench state [-- DIRECTORY]`.
//!
//! The database is made below DIRECTORY, which should be on the disk that is asked about, or the system's temporary directory.

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use banner_user::{
    clock::{BootTime, LogTime, Now},
    event::Weight,
    judge::{
        Counted, Origin,
        effect::Until,
        report::Ended,
        saved::{BanChange, Cause, SavedBan, SavedTally, TallyChange},
    },
    service::{MAIL, Services},
    state::{Batch, Limits, Loaded, Outcome, Store},
};
use ipnet::IpNet;
use nix::time::{ClockId, clock_gettime};

const MILLION: u32 = 1_000_000;

/// What a failed login with a long name looks like.
const LINE: &[u8] =
    b"Nov 22 18:26:25 mx1 postfix/submission/smtpd[12345]: warning: unknown[198.51.100.23]: SASL PLAIN \
    authentication failed: (reason unavailable), sasl_username=someone@example.com";

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let directory = directory.map_or_else(env::temp_dir, PathBuf::from).join("banner-state-bench");
    let _ = fs::remove_dir_all(&directory);
    let result = measure(&directory);
    fs::remove_dir_all(&directory)?;
    result
}

fn measure(directory: &Path) -> Result<(), Box<dyn Error>> {
    let services = Services::default();
    let open = || Store::open(directory, &services, Limits::default(), Now::read());
    let (mut store, _) = open();

    say("a million bans in force, in one complete batch", commit(&mut store, million(&services)?)?)?;
    let mut again = million(&services)?;
    for change in &mut again.changes.bans {
        // As a judge tells everything.
        if let BanChange::Began { cause, .. } = change {
            *cause = None;
        }
    }
    say("the same again, nothing changed", commit(&mut store, again)?)?;
    say("a second with 1,000 new bans", commit(&mut store, bans(&services, MILLION, 1_000)?)?)?;
    say("a second with 1 new ban", commit(&mut store, bans(&services, MILLION + 1_000, 1)?)?)?;
    say("a second with 10,000 tallies", commit(&mut store, tallies(0))?)?;
    say("a second with the same 10,000 tallies", commit(&mut store, tallies(0))?)?;
    for round in 1..20 {
        commit(&mut store, tallies(round * 10_000))?;
    }
    say("a second with 10,000 tallies more, beside 200,000", commit(&mut store, tallies(200_000))?)?;
    drop(store);

    let (store, loaded) = timed("opened after a crash", open)?;
    writeln!(io::stdout(), "  {} bans, {} tallies", loaded.saved.bans.len(), loaded.saved.tallies.len())?;
    drop(store);
    let (mut store, _) = timed("opened again", open)?;
    writeln!(io::stdout(), "  {} MB on disk", size(directory)? >> 20)?;

    let ended = (0..MILLION).map(|number| BanChange::Ended {
        prefix: address(number),
        origin: Origin::Jail("mail".into()),
        at: Now::read().boot,
        why: Ended::Expired,
    });
    let mut batch = Batch::new(Now::read());
    batch.changes.bans = ended.collect();
    say("a million bans end", commit(&mut store, batch)?)?;
    say("a second with 1,000 new bans, beside a full history", commit(&mut store, bans(&services, 0, 1_000)?)?)?;
    drop(store);
    let (mut store, _): (Store, Loaded) = timed("opened with a full history", open)?;
    let asked = Instant::now();
    let past = block_on(store.history(vec![address(7)], 10))???;
    writeln!(io::stdout(), "the history of a prefix ({} bans): {} us", past.bans.len(), asked.elapsed().as_micros())?;
    say("a second in which nothing changed", commit(&mut store, Batch::new(Now::read()))?)?;
    writeln!(io::stdout(), "  {} MB on disk", size(directory)? >> 20)?;
    Ok(())
}

fn commit(store: &mut Store, batch: Batch) -> Result<(Duration, Duration), Box<dyn Error>> {
    let start = Clocks::read()?;
    store.commit(batch).map_err(|_| "the batch is not wanted")?;
    let outcome = block_on(store.outcome())?;
    let Outcome::Committed = outcome else {
        return Err(format!("{outcome:?}").chars().take(500).collect::<String>().into());
    };
    start.passed()
}

fn million(services: &Services) -> Result<Batch, Box<dyn Error>> {
    let mut batch = bans(services, 0, MILLION)?;
    batch.changes.complete = true;
    batch.positions.complete = true;
    Ok(batch)
}

fn bans(services: &Services, first: u32, count: u32) -> Result<Batch, Box<dyn Error>> {
    let services = services.mask(MAIL)?;
    let jail = Origin::Jail("mail".into());
    let mut batch = Batch::new(Now::read());
    let bans = (first..first + count).map(|number| BanChange::Began {
        ban: SavedBan {
            prefix: address(number),
            origin: jail.clone(),
            since: BootTime(i64::from(number) * 1_000_000),
            until: Until::Boot(BootTime(i64::from(number) * 1_000_000 + (1 << 52))),
            services,
            observe: false,
            forced: false,
        },
        cause: Some(Cause {
            failures: 12,
            limit: 12,
            filter: "postfix-sasl".into(),
            reasons: Vec::new(),
            line: LINE.into(),
        }),
    });
    batch.changes.bans = bans.collect();
    Ok(batch)
}

fn tallies(first: u32) -> Batch {
    let now = Now::read();
    let mut batch = Batch::new(now);
    let tallies = (first..first + 10_000).map(|number| {
        TallyChange::Counted(SavedTally {
            jail: "mail".into(),
            source: address(number),
            failures: vec![Counted { at: LogTime(now.wall.0), weight: Weight::ONE, account: None }; 2],
            told: false,
        })
    });
    batch.changes.tallies = tallies.collect();
    batch
}

/// Scattered as attackers are: three in four IPv4, the others /64 of IPv6.
fn address(number: u32) -> IpNet {
    let scattered = number.wrapping_mul(2_654_435_761);
    if number.is_multiple_of(4) {
        let address = Ipv6Addr::from((0x2001_0db8_u128 << 96) | (u128::from(scattered) << 64));
        IpNet::new_assert(address.into(), 64)
    } else {
        IpNet::new_assert(Ipv4Addr::from(scattered).into(), 32)
    }
}

fn timed<T>(what: &str, work: impl Fn() -> T) -> Result<T, Box<dyn Error>> {
    let start = Clocks::read()?;
    let result = work();
    say(what, start.passed()?)?;
    Ok(result)
}

/// What passes for everybody, and what this process computes.
#[derive(Clone, Copy)]
struct Clocks {
    wall: Instant,
    computed: Duration,
}

impl Clocks {
    fn read() -> Result<Self, Box<dyn Error>> {
        Ok(Self { wall: Instant::now(), computed: clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into() })
    }

    fn passed(self) -> Result<(Duration, Duration), Box<dyn Error>> {
        let now = Self::read()?;
        Ok((now.wall - self.wall, now.computed - self.computed))
    }
}

fn say(what: &str, (wall, computed): (Duration, Duration)) -> io::Result<()> {
    writeln!(
        io::stdout(),
        "{what}: {:.1} ms, {:.1} of them computing",
        wall.as_secs_f64() * 1e3,
        computed.as_secs_f64() * 1e3
    )
}

fn size(directory: &Path) -> io::Result<u64> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(future))
}
