//! Whom banner's defaults ban, beside fail2ban's rule, in five populations: `cargo bench -p banner-user --bench judgement`.
//!
//! `docs/judgement.md` says what is measured and what came out. Exits with 1 where a target is missed. With `final`, other seeds are
//! taken. With `nameless` failures say no account, and with `loginless` no line tells of a login: there are no targets then. Without
//! `--bench`, as `cargo test` runs it, small populations see that the simulation itself holds.

mod banner;
mod botnet;
mod carrier;
mod fail2ban;
mod office;
mod outage;
mod rule;
mod spraying;
mod stream;

use std::{
    env,
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use banner::{Banner, Told};
use fail2ban::Fail2ban;
use rule::{Figures, measure};
use stream::{Random, Stream};

/// Those that were looked at while the defaults were chosen.
const TUNING: [u64; 3] = [1, 2, 3];
/// Those that were not.
const FINAL: [u64; 3] = [101, 102, 103];

/// How many times smaller a population is in a test.
const SMOKE: u64 = 20;

struct Population {
    name: &'static str,
    stream: fn(&mut Random, u64) -> Stream,
    target: Target,
}

/// What banner has to reach, beside fail2ban's rule.
#[derive(Clone, Copy)]
enum Target {
    /// At most a fifth of the attackers' tries.
    Tries,
    /// At most a tenth of the minutes lost, and no source known to be good is banned for an outage.
    Minutes,
}

const POPULATIONS: [Population; 5] = [
    Population { name: "office", stream: office::stream, target: Target::Minutes },
    Population { name: "carrier", stream: carrier::stream, target: Target::Minutes },
    Population { name: "botnet", stream: botnet::stream, target: Target::Tries },
    Population { name: "spraying", stream: spraying::stream, target: Target::Tries },
    Population { name: "outage", stream: outage::stream, target: Target::Minutes },
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut out = io::stdout().lock();
    if !env::args().any(|argument| argument == "--bench") {
        smoke()?;
        writeln!(out, "judgement: the simulation holds")?;
        return Ok(ExitCode::SUCCESS);
    }
    let asked = |name: &str| env::args().any(|argument| argument == name);
    let seeds = if asked("final") { FINAL } else { TUNING };
    let told = match () {
        () if asked("nameless") => Told::NoNames,
        () if asked("loginless") => Told::NoLogins,
        () => Told::Everything,
    };
    writeln!(
        out,
        "| population | seed | rule | attackers' tries checked | prevented | innocent minutes lost | known-good sources banned | in the outage | target |"
    )?;
    writeln!(out, "| --- | --: | --- | --: | --: | --: | --: | --: | --- |")?;
    let mut missed = false;
    for population in &POPULATIONS {
        for seed in seeds {
            let (banner, fail2ban) = compare(population, seed, 1, told);
            let verdict = match (told, population.target.is_met(&banner, &fail2ban)) {
                (Told::NoNames | Told::NoLogins, _) => "",
                (Told::Everything, true) => "met",
                (Told::Everything, false) => "MISSED",
            };
            missed |= verdict == "MISSED";
            row(&mut out, population.name, seed, "fail2ban", &fail2ban, "")?;
            row(&mut out, population.name, seed, "banner", &banner, verdict)?;
            out.flush()?;
        }
    }
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn compare(population: &Population, seed: u64, scale: u64, told: Told) -> (Figures, Figures) {
    let stream = (population.stream)(&mut Random(seed), scale);
    (measure(&stream, &mut Banner::new(told)), measure(&stream, &mut Fail2ban::default()))
}

fn row(
    out: &mut impl Write,
    name: &str,
    seed: u64,
    rule: &str,
    figures: &Figures,
    target: &str,
) -> Result<(), io::Error> {
    let Figures { reached, prevented, lost, good, good_in_outage } = figures;
    let minutes = lost / stream::MINUTE;
    writeln!(
        out,
        "| {name} | {seed} | {rule} | {reached} | {prevented} | {minutes} | {good} | {good_in_outage} | {target} |"
    )
}

impl Target {
    fn is_met(self, banner: &Figures, fail2ban: &Figures) -> bool {
        match self {
            Self::Tries => banner.reached * 5 <= fail2ban.reached,
            Self::Minutes => banner.lost * 10 <= fail2ban.lost && banner.good_in_outage == 0,
        }
    }
}

/// That what is reckoned by hand is what is measured, and that a seed makes the same figures again.
fn smoke() -> Result<(), Box<dyn Error>> {
    // Ten guesses, a second apart, from where somebody wants mail for 1000 s, who logs in when the ban of 600 s is over.
    let mut stream = Stream::default();
    let source = stream::scattered(0);
    (0..10).for_each(|at| stream.attack(at, source, 1));
    stream.present(source, 0, 1000);
    stream.login(700, source, 2);
    let figures = |reached| Figures { reached, prevented: 10 - reached, lost: 600, ..Figures::default() };
    let measured = (measure(&stream, &mut Banner::new(Told::Everything)), measure(&stream, &mut Fail2ban::default()));
    if measured != (figures(3), figures(5)) {
        return Err(format!("ten guesses come to {measured:?}").into());
    }
    for population in &POPULATIONS {
        if compare(population, 1, SMOKE, Told::Everything) != compare(population, 1, SMOKE, Told::Everything) {
            return Err(format!("{}: two runs with one seed differ", population.name).into());
        }
    }
    Ok(())
}
