//! Entries of the systemd journal per second, from its files to events: journalctl on one core, banner on another.
//!
//! `cargo bench -p banner-user --bench journal -- DIRECTORY`: reads all journal files there, with the filters of the default
//! jail.

use std::{
    env,
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use banner_user::{
    catalogue::Catalogue,
    clock::Now,
    detect::Detector,
    source::{
        Progress,
        journal::{Journal, Journalctl},
    },
};
use jiff::tz::TimeZone;
use nix::time::{ClockId, clock_gettime};
use tokio::time::timeout;

/// Longer than everything that a journal holds.
const AGES: Duration = Duration::from_secs(50 * 365 * 86_400);
/// Nothing has come for so long: that was all.
const END: Duration = Duration::from_millis(500);
const PASSES: usize = 5;

fn main() -> io::Result<()> {
    // `cargo test --all-targets` runs benchmarks too, without this argument.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    let Some(directory) = env::args().skip(1).find(|argument| argument != "--bench") else {
        return writeln!(out, "name a directory of journal files: cargo bench --bench journal -- DIRECTORY");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for _ in 0..PASSES {
        let pass = runtime.block_on(pass(Path::new(&directory)))?;
        let per_second = f64::from(pass.entries) / pass.elapsed.as_secs_f64();
        let own = pass.own.as_secs_f64() * 1e6 / f64::from(pass.entries.max(1));
        writeln!(
            out,
            "{} entries, {} events, {:.2} s: {per_second:.0} a second; banner itself: {own:.2} us an entry",
            pass.entries,
            pass.events,
            pass.elapsed.as_secs_f64()
        )?;
    }
    Ok(())
}

struct Pass {
    entries: u32,
    events: usize,
    /// To the last entry.
    elapsed: Duration,
    /// Of that, the time on a core of this process, its waiting at the end included.
    own: Duration,
}

async fn pass(directory: &Path) -> io::Result<Pass> {
    let catalogue = Catalogue::beside(None);
    let filters = ["postfix-sasl", "cyrus"].into_iter().map(|name| catalogue.filter(name));
    let filters = filters.collect::<Result<_, _>>().map_err(io::Error::other)?;
    let mut detector = Detector::new(filters, TimeZone::UTC);
    let (start, before) = (Instant::now(), cpu());
    let mut journal = Journal::new(Journalctl::system().of_directory(directory), None, AGES, Now::read());
    let mut pass = Pass { entries: 0, events: 0, elapsed: Duration::ZERO, own: Duration::ZERO };
    let mut last = Instant::now();
    while pass.entries == 0 || last.elapsed() < END {
        let (now, read, mut failure) = (Now::read(), pass.entries, None);
        let mut sink = |entry: banner_user::source::journal::Entry<'_>| {
            pass.entries += 1;
            pass.events += detector.handle_entry(entry.bytes, now.wall, &entry.writer).len();
        };
        let progress = journal.poll(now, 1 << 20, &mut sink, &mut |notice| failure = Some(notice));
        if let Some(notice) = failure {
            return Err(io::Error::other(notice.to_string()));
        }
        if pass.entries > read {
            last = Instant::now();
            pass.elapsed = last - start;
        }
        if progress == Progress::Idle {
            // In vain when there is no more.
            let _ = timeout(END, journal.wait()).await;
        }
    }
    pass.own = cpu() - before;
    Ok(pass)
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
