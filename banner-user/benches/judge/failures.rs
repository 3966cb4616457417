//! What a failure costs that bans nobody, as nearly all do not: by the policy of who configures nothing.

use std::{
    error::Error,
    fmt,
    hint::black_box,
    io::{self, Write},
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use banner_user::{
    clock::Now,
    config::Config,
    event::{Attempt, Event, User, Weight},
    judge::{Input, Judge},
};
use nix::time::{ClockId, clock_gettime};

use super::{at, line, resident, scattered};

/// So many sources fail, a round each: every one once, all over the address space, so that no neighbours are banned. Between two
/// rounds the windows of the jails pass.
pub(super) struct Load {
    sources: u32,
    /// Lines have names: of 100,000 accounts, all of which are under attack by a million sources.
    has_names: bool,
}

pub(super) const LOADS: [Load; 6] = [
    Load { sources: 1_000, has_names: false },
    Load { sources: 100_000, has_names: false },
    Load { sources: 1_000_000, has_names: false },
    Load { sources: 1_000, has_names: true },
    Load { sources: 100_000, has_names: true },
    Load { sources: 1_000_000, has_names: true },
];

const ROUNDS: usize = 5;

/// Somebody logs in from here and there, as on every relay.
const CUSTOMERS: u32 = 20_000;

/// Lines that are made at a time: making them is not judging.
const BATCH: usize = 1_000;

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failing sources, {} names", self.sources, if self.has_names { "with" } else { "without" })
    }
}

impl Load {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let names: Vec<User> = (0..100_000).map(|number| User::new(format!("user{number}").as_bytes())).collect();
        let mut judge = judge();
        let source = judge.status().jails.len().saturating_sub(1);
        for index in 0..CUSTOMERS {
            let address = Ipv4Addr::from(0x3000_0000 | (index << 8));
            let login = Event::Success(attempt(address, names.get(usize::try_from(index)?), at(0)));
            black_box(judge.handle(Input::Line(line(&[login])), at(0)));
        }
        let before = resident()?;
        let (mut rounds, mut bytes) = (Vec::new(), 0);
        for round in 0..ROUNDS {
            let mut spent = Duration::ZERO;
            for first in (0..self.sources).step_by(BATCH) {
                let batch = self.batch(first, round, &names);
                let began = processor_time()?;
                for (now, event) in &batch {
                    black_box(judge.handle(Input::Line(line(event)), *now));
                }
                spent += processor_time()?.saturating_sub(began);
            }
            rounds.push(spent.as_nanos() / u128::from(self.sources));
            if round == 0 {
                bytes = resident()?.saturating_sub(before) / usize::try_from(self.sources)?;
            }
        }
        let longest = self.longest(&names);
        let status = judge.status();
        let counted = status.jails.get(source).map_or(0, |jail| jail.total_failed);
        let first = rounds.first().copied().unwrap_or_default();
        rounds.sort_unstable();
        let median = rounds.get(ROUNDS / 2).copied().unwrap_or_default();
        writeln!(
            io::stdout(),
            "{counted} judged, {median} ns each ({first} the first time), {bytes} bytes a source, {} us the longest",
            longest.as_micros()
        )?;
        Ok(())
    }

    /// The longest single call while all of them fail for the first time, by the wall: whatever else runs is in it.
    fn longest(&self, names: &[User]) -> Duration {
        let mut judge = judge();
        let mut longest = Duration::ZERO;
        for first in (0..self.sources).step_by(BATCH) {
            for (now, event) in self.batch(first, 0, names) {
                let began = Instant::now();
                black_box(judge.handle(Input::Line(line(&event)), now));
                longest = longest.max(began.elapsed());
            }
        }
        longest
    }

    /// The failures of these sources in a round, which takes 200 seconds however many there are.
    fn batch(&self, first: u32, round: usize, names: &[User]) -> Vec<(Now, [Event; 1])> {
        let failure = |index: u32| {
            let passed = u64::from(index) * 200 / u64::from(self.sources);
            let now = at(u64::try_from(round).unwrap_or_default() * 900 + passed);
            let name = names.get(usize::try_from(index).unwrap_or_default() % names.len());
            (now, [Event::Failure(attempt(scattered(index), name.filter(|_| self.has_names), now))])
        };
        (first..self.sources).take(BATCH).map(failure).collect()
    }
}

/// One by the policy of who configures nothing.
fn judge() -> Judge {
    let mut policy = Config::default().policy;
    // As the daemon finds out about their filters.
    policy.jails.iter_mut().for_each(|jail| jail.hears_logins = true);
    Judge::new(policy)
}

/// What this process has had of the processor: others run on the machine, too.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?))
}

fn attempt(source: Ipv4Addr, user: Option<&User>, now: Now) -> Attempt {
    Attempt {
        filter: Arc::from("cyrus"),
        source: source.into(),
        user: user.cloned(),
        weight: Weight::ONE,
        at: now.wall.as_log_time(),
    }
}
