//! Lines per second of fail2ban's filters, imported, on one core.
//!
//! `cargo bench -p banner-user --bench imported -- LOG [FILTER...]`, for instance
//! `/var/log/mail.log fail2ban:/etc/fail2ban/filter.d/dovecot.conf`. Without filters these two, each alone and both together:
//! `postfix[mode=aggressive]` and `cyrus-imap`. Compare with `fail2ban-regex LOG FILTER`.

use std::{
    env, fs,
    hint::black_box,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use banner_user::{catalogue::Catalogue, clock::WallTime, detect::Detector};
use jiff::{Timestamp, tz::TimeZone};
use nix::time::{ClockId, clock_gettime};

const FILTERS: [&str; 2] = [
    "fail2ban:/etc/fail2ban/filter.d/postfix.conf[mode=aggressive]",
    "fail2ban:/etc/fail2ban/filter.d/cyrus-imap.conf",
];
/// Each figure is the fastest of this many passes: others only ever slow it down.
const PASSES: usize = 5;

fn main() -> io::Result<()> {
    // `cargo test --all-targets` runs benchmarks too, without this argument.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let mut out = io::stdout().lock();
    let Some(log) = arguments.next() else { return writeln!(out, "name a log: cargo bench --bench imported -- LOG") };
    let log = fs::read(log)?;
    let lines: Vec<&[u8]> = log.split(|byte| *byte == b'\n').collect();
    let mut names: Vec<String> = arguments.collect();
    if names.is_empty() {
        names = FILTERS.map(str::to_owned).to_vec();
    }
    for name in &names {
        report(&mut out, &lines, std::slice::from_ref(name))?;
    }
    report(&mut out, &lines, &names)
}

fn report(out: &mut impl io::Write, lines: &[&[u8]], names: &[String]) -> io::Result<()> {
    let catalogue = Catalogue::beside(Some(Path::new("/etc/banner/banner.toml")));
    let filters =
        names.iter().map(|name| catalogue.filter(name)).collect::<Result<_, _>>().map_err(io::Error::other)?;
    let mut detector = Detector::new(filters, TimeZone::UTC);
    let near = WallTime(Timestamp::now().as_microsecond());
    let mut events = 0;
    let nanos = (0..PASSES)
        .map(|_| {
            let start = processor_time();
            events = lines.iter().map(|line| black_box(detector.handle(black_box(line), near)).len()).sum();
            processor_time().saturating_sub(start).as_nanos()
        })
        .min()
        .unwrap_or_default();
    let lines_a_second = lines.len() as u128 * 1_000_000_000 / nanos.max(1);
    writeln!(
        out,
        "{lines_a_second:>9} lines/s, {events} events, gave up on {}: {}",
        detector.gave_up(),
        names.join(" + ")
    )
}

/// What this thread has used of a processor: what others use does not count.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
