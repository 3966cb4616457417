//! `banner replay`: reads logs and configurations, and writes what [`crate::replay`] makes of them.

mod logs;

use std::{collections::BTreeSet, path::Path};

use self::logs::Logs;
use super::{
    Exit, Failure,
    arguments::ReplayArguments,
    output::Output,
    render::{BanTable, DifferenceTable, replayed, replayed_both},
};
use crate::{
    catalogue::Catalogue,
    clock::{Now, WallTime},
    config::{Config, DEFAULT_PATH},
    control::protocol::Text,
    detect::Detector,
    event::FileId,
    judge::StaleStamps,
    log_file::LogFileError,
    replay::{
        Ban, Comparison, Replay, Side,
        protocol::{self, Both, Difference, End, Ends, Totals},
    },
};

/// By so much a logger's zone may be wrong. What is stamped later than that after now was not logged then.
const AHEAD: i64 = 24 * 60 * 60 * 1_000_000;

/// Likely false positives that are named again behind the table, each source once.
const NAMED_MAX: usize = 100;

/// Does what was typed.
pub(super) fn replay(arguments: &ReplayArguments, config: Option<&Path>, output: &mut Output) -> Result<Exit, Failure> {
    let now = Now::read().wall;
    let latest = WallTime(now.0.saturating_add(AHEAD));
    let (this, detector) = policy(config, latest, output)?;
    let Some(path) = &arguments.against else {
        let logs = Logs::open(&arguments.files, [detector], now, latest, output).map_err(unopened)?;
        return alone(arguments, this, logs, output);
    };
    let (other, other_detector) = policy(Some(path), latest, output)?;
    let logs = Logs::open(&arguments.files, [detector, other_detector], now, latest, output).map_err(unopened)?;
    let names = [config.unwrap_or(Path::new(DEFAULT_PATH)), path].map(Text::from);
    against(arguments, [this, other], logs, &names, output)
}

/// A configuration, as the daemon would read it.
fn policy(config: Option<&Path>, latest: WallTime, output: &mut Output) -> Result<(Replay, Detector), Failure> {
    let catalogue = Catalogue::beside(config);
    let unusable = |error| Failure::new(Exit::Usage, &error);
    let mut config = Config::load(config, &catalogue.names().map_err(unusable)?)?;
    config.warnings.iter().for_each(|warning| output.note(&warning.to_string()));
    let detector = catalogue.detector(&mut config).map_err(unusable)?;
    Ok((Replay::new(config.policy, config.map_sizes, latest), detector))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unopened(errors: Vec<LogFileError>) -> Failure {
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    Failure::new(Exit::Usage, &errors.join("\nerror: "))
}

fn alone(
    arguments: &ReplayArguments,
    mut replay: Replay,
    mut logs: Logs<1>,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut stale = Stale::default();
    let mut table = BanTable::default();
    let mut suspects: Vec<protocol::Ban> = Vec::new();
    let mut write = |ban: Ban, output: &mut Output| {
        let ban = protocol::Ban::from(&ban);
        if arguments.json {
            return output.json(&ban);
        }
        let row = table.row(&ban, output.style());
        let known = || suspects.iter().any(|suspect| suspect.source == ban.source);
        if ban.false_positive.is_some() && suspects.len() < NAMED_MAX && !known() {
            suspects.push(ban);
        }
        output.text(&row)
    };
    while let Some((file, [events])) = logs.next(output) {
        replay.line(&events, file);
        while let Some(ban) = replay.settled() {
            write(ban, output)?;
        }
        stale.tell(replay.take_stale(), &logs, output);
    }
    while let Some(ban) = replay.left() {
        write(ban, output)?;
    }
    let totals = Totals::new(logs.read(), &replay.totals());
    if arguments.json {
        output.json(&End { totals })?;
    } else {
        let text = replayed(&totals, &suspects, output.style());
        output.text(&text)?;
    }
    finish(&logs, output)
}

fn against(
    arguments: &ReplayArguments,
    [mut this, mut other]: [Replay; 2],
    mut logs: Logs<2>,
    names: &[Text; 2],
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut stale = Stale::default();
    let mut comparison = Comparison::default();
    while let Some((file, [events, events_of_other])) = logs.next(output) {
        this.line(&events, file);
        other.line(&events_of_other, file);
        for (side, replay) in [(Side::This, &mut this), (Side::Other, &mut other)] {
            while let Some(ban) = replay.settled() {
                comparison.add(side, ban);
            }
        }
        other.take_stale();
        stale.tell(this.take_stale(), &logs, output);
    }
    for (side, replay) in [(Side::This, &mut this), (Side::Other, &mut other)] {
        while let Some(ban) = replay.left() {
            comparison.add(side, ban);
        }
    }
    let not_compared = comparison.not_compared();
    let differences = comparison.differences();
    let mut table = DifferenceTable::default();
    for difference in &differences {
        let difference = Difference::from(difference);
        if arguments.json {
            output.json(&difference)?;
        } else {
            let row = table.row(&difference, names, output.style());
            output.text(&row)?;
        }
    }
    let totals = [&this, &other].map(|replay| Totals::new(logs.read(), &replay.totals()));
    let [this, other] = totals;
    let differences = u64::try_from(differences.len()).unwrap_or(u64::MAX);
    let ends = Ends { totals: Both { this, other }, differences, not_compared };
    if arguments.json {
        output.json(&ends)?;
    } else {
        let text = replayed_both(&ends, output.style());
        output.text(&text)?;
    }
    finish(&logs, output)
}

/// Files with lines that go back in time, each told once.
#[derive(Debug, Default)]
struct Stale(BTreeSet<FileId>);

impl Stale {
    fn tell<const POLICIES: usize>(&mut self, stale: Vec<StaleStamps>, logs: &Logs<POLICIES>, output: &mut Output) {
        for StaleStamps { file, off_by, ahead, .. } in stale {
            if !self.0.insert(file) {
                continue;
            }
            let name = Text::from(logs.name(file).unwrap_or_default());
            let seconds = off_by.as_secs();
            output.note(&if ahead {
                format!(
                    "warning: {name}: a line is stamped more than a day after now; such lines are judged at the time of the \
                     line before; check the clock of what wrote it"
                )
            } else {
                format!(
                    "warning: {name}: a line is stamped {seconds} s before a line that was read earlier; such lines are \
                     judged at the later time; check the clock and the time zone of what wrote it"
                )
            });
        }
    }
}

/// What could not be read to its end is told last, where it is seen.
fn finish<const POLICIES: usize>(logs: &Logs<POLICIES>, output: &mut Output) -> Result<Exit, Failure> {
    output.end_progress();
    output.flush()?;
    logs.errors().iter().for_each(|error| output.note(&format!("error: {error}")));
    Ok(if logs.errors().is_empty() { Exit::Done } else { Exit::Usage })
}
