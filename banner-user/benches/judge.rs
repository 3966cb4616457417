//! What judging costs: `cargo bench -p banner-user --bench judge`.
//!
//! A million bans and a million failing sources are made as the daemon makes them, by failures, in the order of their
//! addresses and in a scattered one. Memory is the growth of the resident set, so it has the allocator's share in it.

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
    config::Config,
    event::{Attempt, Event, FileId, Position, User, Weight},
    judge::{
        Input, Judge, Line,
        policy::{BanTime, Jail, Limits, Policy},
    },
    service::ServiceMask,
};

const MILLION: u32 = 1_000_000;

/// Each part runs in a process of its own: memory that one gave back would be taken for free by the next.
const PART: &str = "BANNER_BENCH_PART";

/// How many sources fail, again and again.
const SIZES: [u32; 3] = [1_000, 100_000, MILLION];

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    match env::var(PART).as_deref() {
        Ok("bans in order") => bans(in_order),
        Ok("bans scattered") => bans(scattered),
        Ok("failing sources, counting alone") => SIZES.into_iter().try_for_each(|size| failing(size, policy(3), false)),
        Ok("failing sources, all defaults, named accounts") => {
            SIZES.into_iter().try_for_each(|size| failing(size, Config::default().policy, true))
        }
        _ => {
            for part in [
                "bans in order",
                "bans scattered",
                "failing sources, counting alone",
                "failing sources, all defaults, named accounts",
            ] {
                writeln!(out, "{part}:")?;
                out.flush()?;
                let status = Command::new(env::current_exe()?).env(PART, part).status()?;
                if !status.success() {
                    return Err(format!("{part}: {status}").into());
                }
            }
            Ok(())
        }
    }
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

/// So many sources fail, each on one of 100,000 accounts; and again every 301 s, so that two failures are within 10 minutes, and
/// three never are. What each failure takes, at first and then (the median of several rounds), and what each source.
fn failing(sources: u32, mut policy: Policy, named: bool) -> Result<(), Box<dyn Error>> {
    for jail in &mut policy.jails {
        (jail.hears_logins, jail.source) = (true, vec!["/var/log/mail.log".into()]);
    }
    let filter = policy.jails.first().and_then(|jail| jail.filters.first()).cloned().ok_or("no filter")?;
    let names: Vec<User> = (0..100_000).map(|number| User::new(format!("user{number}").as_bytes())).collect();
    let text = b"2026-11-23T04:41:00.000000+00:00 mail postfix/smtpd[4242]: warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: (reason unavailable), sasl_username=user4242";
    let mut judge = Judge::new(policy);
    let before = resident()?;
    let mut pass = |round: u32| {
        let mut longest = Duration::ZERO;
        let (took, ()) = timed(|| {
            for index in 0..sources {
                let now = at(u64::from(round) * 301 + u64::from(index) * 200 / u64::from(sources));
                let user = names.get(usize::try_from(index).unwrap_or_default() % names.len()).filter(|_| named);
                let (source, at) = (scattered(index).into(), now.wall.as_log_time());
                let attempt = Attempt { filter: filter.clone(), source, user: user.cloned(), weight: Weight::ONE, at };
                let events = [Event::Failure(attempt)];
                let (one, effects) = timed(|| judge.handle(Input::Line(Line { bytes: text, ..line(&events) }), now));
                black_box(effects);
                longest = longest.max(one);
            }
        });
        (took.as_nanos() / u128::from(sources), longest)
    };
    let (first, _) = pass(0);
    let bytes = |more: usize| more / usize::try_from(sources).unwrap_or(usize::MAX);
    let once = bytes(resident()?.saturating_sub(before));
    let mut rounds: Vec<_> = (1..=7).map(&mut pass).collect();
    let again = bytes(resident()?.saturating_sub(before));
    let longest = rounds.iter().map(|(_, longest)| *longest).max().unwrap_or_default();
    rounds.sort_unstable();
    let (median, _) = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    let tracked = judge.status().jails.first().map_or(0, |jail| jail.currently_failed);
    writeln!(
        io::stdout(),
        "  {tracked} tracked sources: {first} ns a failure at first, then {median} ({} to {}), the longest {} us; {once} bytes \
         each, then {again}",
        rounds.first().map_or(0, |(took, _)| *took),
        rounds.last().map_or(0, |(took, _)| *took),
        longest.as_micros(),
    )?;
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
        findtime: Duration::from_secs(600),
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
