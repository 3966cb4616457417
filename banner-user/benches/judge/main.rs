//! What judging costs: `cargo bench -p banner-user --bench judge`.
//!
//! A million bans are made as the daemon makes them, by failures, in the order of their addresses and in a scattered one; then
//! sources fail that are not banned (`failures`). Memory is the growth of the resident set, so it has the allocator's share in it.

mod failures;

use std::{
    env,
    error::Error,
    fs,
    hint::black_box,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::{Duration, Instant},
};

use banner_user::{
    clock::{BootTime, Now, WallTime},
    event::{Attempt, Event, FileId, Position, Weight},
    judge::{
        Input, Judge, Line,
        policy::{BanTime, Jail, Limits, Policy},
    },
    service::ServiceMask,
};

const MILLION: u32 = 1_000_000;

/// Each part runs in a process of its own: memory that one gave back would be taken for free by the next.
const PART: &str = "BANNER_BENCH_PART";

fn main() -> Result<(), Box<dyn Error>> {
    let bans = [("bans in order", in_order as fn(u32) -> Ipv4Addr), ("bans scattered", scattered)];
    let part = env::var(PART).unwrap_or_default();
    if let Some((_, order)) = bans.iter().find(|(name, _)| *name == part) {
        return self::bans(*order);
    }
    let failures = failures::LOADS.iter().map(|load| (load.to_string(), load));
    if let Some((_, load)) = failures.clone().find(|(name, _)| *name == part) {
        return load.run();
    }
    for part in bans.iter().map(|(name, _)| (*name).to_owned()).chain(failures.map(|(name, _)| name)) {
        write!(io::stdout(), "{part}: ")?;
        io::stdout().flush()?;
        let status = Command::new(env::current_exe()?).env(PART, &part).status()?;
        if !status.success() {
            return Err(format!("{part}: {status}").into());
        }
    }
    Ok(())
}

fn bans(address: fn(u32) -> Ipv4Addr) -> Result<(), Box<dyn Error>> {
    let (mut judge, bytes, time) = load(address, 1)?;
    writeln!(io::stdout(), "{} bans, {bytes} bytes and {} ns each", judge.bans_in_force(), per_each(time))?;

    let (reading, pages) = timed(|| {
        let (mut pages, mut cursor) = (0, None);
        loop {
            let page = judge.bans(cursor, 1000);
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                return pages;
            }
        }
    });
    writeln!(io::stdout(), "  read in {pages} pages: {} us a page", reading.as_micros() / pages)?;

    let mut longest = Duration::ZERO;
    let (ending, ()) = timed(|| {
        while judge.bans_in_force() > 0 {
            let (batch, effects) = timed(|| judge.handle(Input::Tick, at(7200)));
            black_box(effects);
            longest = longest.max(batch);
        }
    });
    writeln!(io::stdout(), "  ended: {} ns each, {} ms the longest batch", per_each(ending), longest.as_millis())?;
    Ok(())
}

/// A judge that has seen one failure of each of a million sources; what it took of memory for each, and of time in all.
fn load(address: fn(u32) -> Ipv4Addr, maxretry: u16) -> Result<(Judge, usize, Duration), Box<dyn Error>> {
    let mut judge = Judge::new(policy(maxretry));
    let before = resident()?;
    let (time, ()) = timed(|| {
        for index in 0..MILLION {
            let now = at(u64::from(index) / 1000);
            black_box(judge.handle(Input::Line(line(&[failure(address(index).into(), now)])), now));
        }
    });
    let bytes = resident()?.saturating_sub(before) / usize::try_from(MILLION)?;
    Ok((judge, bytes, time))
}

fn policy(maxretry: u16) -> Policy {
    let jail = Jail {
        name: "mail".into(),
        filters: vec!["cyrus".into()],
        source: vec!["/var/log/mail.log".into()],
        maxretry,
        findtime: Duration::from_secs(3600),
        bantime: BanTime::For(Duration::from_secs(3600)),
        services: ServiceMask(1),
        ignoreip: Vec::new(),
        observe: false,
        hears_logins: true,
    };
    let limits = Limits { evidence: 0, ..Limits::default() };
    Policy { limits, ..Policy::plain(vec![jail]) }
}

fn failure(source: IpAddr, now: Now) -> Event {
    let attempt =
        Attempt { filter: "cyrus".into(), source, user: None, weight: Weight::ONE, at: now.wall.as_log_time() };
    Event::Failure(attempt)
}

fn line(events: &[Event]) -> Line<'_> {
    Line { events, bytes: b"", position: Position { file: FileId(0), offset: 0 }, sources: &[0], live: true }
}

fn at(seconds: u64) -> Now {
    let wall = WallTime(1_700_000_000_000_000_i64.saturating_add_unsigned(seconds * 1_000_000));
    Now { boot: BootTime::default() + Duration::from_secs(seconds), wall }
}

/// 16.0.0.0 and on.
fn in_order(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x1000_0000 + index)
}

/// Each once, all over 16.0.0.0/4: an odd factor permutes the numbers of 28 bits.
fn scattered(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x1000_0000 | (index.wrapping_mul(2_654_435_761) & 0x0FFF_FFFF))
}

fn resident() -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

fn per_each(time: Duration) -> u128 {
    time.as_nanos() / u128::from(MILLION)
}
