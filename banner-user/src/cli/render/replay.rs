//! `banner replay`: a line for each ban, or for each source that two configurations treat differently, written as they come;
//! then what was counted.

use super::{
    columns::Columns,
    style::{Style, count, seconds, table},
};
use crate::{
    control::protocol::{Prefix, Text},
    replay::protocol::{Ban, Deviation, Difference, Ends, Login, Moment, Stand, Totals},
};

/// The bans under way.
#[derive(Debug, Default)]
pub(in crate::cli) struct BanTable {
    begun: bool,
}

const BANS: Columns<8> = Columns([
    ("AT", 25),
    ("SOURCE", 23),
    ("JAIL", 12),
    ("UNTIL", 25),
    ("FAILURES", 12),
    ("PREVENTED", 9),
    ("LOGGED IN", 9),
    ("USERS", 0),
]);

impl BanTable {
    /// The line of one ban; before the first, the heading too.
    pub(in crate::cli) fn row(&mut self, ban: &Ban, style: &Style) -> String {
        let heading = BANS.heading(&mut self.begun, style);
        let users: Vec<_> = ban.users.iter().map(Text::as_str).collect();
        let until = ban.until.map_or_else(|| "permanent".to_owned(), |until| style.time(until));
        let cells = [
            style.time(ban.at),
            ban.source.to_string(),
            format!("{}{}", ban.jail, if ban.observe { " (observed)" } else { "" }),
            format!("{until}{}", if ban.yielded { " (map full)" } else { "" }),
            format!("{} in {}", ban.failures, seconds(ban.findtime)),
            ban.prevented.to_string(),
            ban.false_positive.as_ref().map_or("-", |login| moment(login.when)).to_owned(),
            if users.is_empty() { "-".to_owned() } else { users.join(", ") },
        ];
        let line = BANS.row(&cells);
        let line = if ban.false_positive.is_some() { style.warning(&line) } else { line };
        format!("{heading}{line}\n")
    }
}

/// What was counted, and who was perhaps banned wrongly.
pub(in crate::cli) fn replayed(totals: &Totals, suspects: &[Ban], style: &Style) -> String {
    let rows: Vec<_> = facts(totals, style)
        .into_iter()
        .filter(|fact| fact.shown)
        .map(|fact| [fact.label.to_owned(), fact.value])
        .collect();
    let separator = if totals.bans == 0 { "no bans\n\n" } else { "\n" };
    let mut text = format!("{separator}{}\n{}", style.heading("totals"), table(&rows));
    if !suspects.is_empty() {
        text.push_str(&format!(
            "\n{}\n",
            style.warning("likely false positives: the source logged in, within a day of its ban or under it")
        ));
        let rows: Vec<_> =
            suspects.iter().filter_map(|ban| Some(suspect(ban, ban.false_positive.as_ref()?, style))).collect();
        text.push_str(&table(&rows));
    }
    text
}

fn suspect(ban: &Ban, login: &Login, style: &Style) -> [String; 3] {
    let banned = format!("banned {} by {}", style.time(ban.at), ban.jail);
    [ban.source.to_string(), banned, logged_in(ban.source, login, style)]
}

/// `alice logged in 2026-11-22 12:03:00+00:00, during the ban (filter cyrus)`.
fn logged_in(source: Prefix, login: &Login, style: &Style) -> String {
    let user = login.user.as_ref().map_or("somebody", Text::as_str);
    let from = if Prefix::from(login.address) == source { String::new() } else { format!(" from {}", login.address) };
    let when = moment(login.when);
    format!("{user} logged in{from} {}, {when} the ban (filter {})", style.time(login.at), login.filter)
}

/// The sources that fare differently, under way.
#[derive(Debug, Default)]
pub(in crate::cli) struct DifferenceTable {
    begun: bool,
}

const DIFFERENCES: Columns<5> =
    Columns([("SOURCE", 23), ("THIS", 46), ("OTHER", 46), ("LOGGED IN", 9), ("THE OTHER", 0)]);

impl DifferenceTable {
    /// The line of one source; before the first, the heading too.
    pub(in crate::cli) fn row(&mut self, difference: &Difference, names: &[Text; 2], style: &Style) -> String {
        let legend = if self.begun { String::new() } else { legend(names) };
        let heading = DIFFERENCES.heading(&mut self.begun, style);
        let stand = |stand: Option<&Stand>| stand.map_or_else(|| "-".to_owned(), |stand| stood(stand, style));
        let logins = [&difference.this, &difference.other].map(|stand| stand.as_ref()?.false_positive.as_ref());
        let login = logins.into_iter().flatten().next();
        let deviations: Vec<_> = difference.difference.iter().map(|deviation| deviates(*deviation)).collect();
        let cells = [
            difference.source.to_string(),
            stand(difference.this.as_ref()),
            stand(difference.other.as_ref()),
            login.map_or("-", |login| moment(login.when)).to_owned(),
            deviations.join(", "),
        ];
        let line = DIFFERENCES.row(&cells);
        let line = if login.is_some() { style.warning(&line) } else { line };
        format!("{legend}{heading}{line}\n")
    }
}

fn legend([this, other]: &[Text; 2]) -> String {
    format!("this:  {this}\nother: {other}\n\n")
}

/// `2026-11-22 12:00:00+00:00, 3 bans, 30m`.
fn stood(stand: &Stand, style: &Style) -> String {
    let length = stand.banned.map_or_else(|| "permanent".to_owned(), seconds);
    let observed = if stand.observe { ", observed" } else { "" };
    format!("{}, {}, {length}{observed}", style.time(stand.first), count(stand.bans, "ban"))
}

fn deviates(deviation: Deviation) -> &'static str {
    match deviation {
        Deviation::OnlyThis => "does not ban it",
        Deviation::OnlyOther => "alone bans it",
        Deviation::Earlier => "bans earlier",
        Deviation::Later => "bans later",
        Deviation::Longer => "bans longer",
        Deviation::Shorter => "bans shorter",
        Deviation::OtherObserves => "only observes",
        Deviation::OtherEnforces => "alone enforces",
    }
}

/// What was counted under both, side by side.
pub(in crate::cli) fn replayed_both(ends: &Ends, style: &Style) -> String {
    let (this, other) = (facts(&ends.totals.this, style), facts(&ends.totals.other, style));
    let mut rows = vec![[String::new(), "this".to_owned(), "other".to_owned()]];
    let shown = this.into_iter().zip(other).filter(|(this, other)| this.shown || other.shown);
    rows.extend(shown.map(|(this, other)| [this.label.to_owned(), this.value, other.value]));
    let differences = match ends.differences {
        0 => "no difference\n".to_owned(),
        number => format!("\n{}\n", count(number, "differing source")),
    };
    let not_compared = match ends.not_compared {
        0 => String::new(),
        bans => format!("{} not compared: too many sources\n", count(bans, "ban")),
    };
    format!("{differences}{not_compared}\n{}\n{}", style.heading("totals"), table(&rows))
}

/// One line of the totals.
struct Fact {
    label: &'static str,
    value: String,
    /// It is worth a line.
    shown: bool,
}

/// The same lines for all totals, so that two of them can be held against each other.
fn facts(totals: &Totals, style: &Style) -> Vec<Fact> {
    let always = |label, value| Fact { label, value, shown: true };
    // What only a very large log or a very small limit brings about.
    let odd = |label, number: u64| Fact { label, value: number.to_string(), shown: number > 0 };
    let number = |label, number: u64| always(label, number.to_string());
    let time = |label, time: Option<_>| always(label, time.map_or_else(|| "-".to_owned(), |time| style.time(time)));
    let mut facts = vec![
        number("lines", totals.lines),
        odd("overlong lines, left out", totals.overlong),
        time("first event", totals.first),
        time("last event", totals.last),
        number("failures", totals.failures),
        number("prevented by bans", totals.prevented),
        number("logins", totals.successes),
        number("outages", totals.outages),
        number("bans", totals.bans),
        number("banned sources", totals.sources),
        number("permanent", totals.permanent),
        number("only observed", totals.observed),
        number("over the limit, but ignored", totals.ignored),
        number("likely false positives", totals.false_positives),
        odd("ended by a full map", totals.yielded),
        odd("sources forgotten (limits.sources)", totals.evicted),
        odd("not watched to the end", totals.cut_short),
        odd("accounts under attack", totals.attacks),
        odd("times that the fuse was tripped", totals.fuse_tripped),
        odd("failures that it spared", totals.spared),
        odd("networks spared, since somebody logged in", totals.spared_prefixes),
    ];
    facts.extend(totals.reasons.iter().map(|(reason, bans)| always(effect(reason), bans.to_string())));
    facts
}

/// What the bans are of which that was a reason.
fn effect(reason: &str) -> &'static str {
    match reason {
        "known_accounts" => "bans late, for failures on known accounts",
        "customer" => "bans short, a customer's first",
        "shared_source" => "bans short, of sources that many share",
        "trap" => "bans for traps",
        "spraying" => "bans for spraying",
        "many_accounts" => "bans early, for many accounts",
        "under_attack" => "bans for accounts under attack",
        "banned_before" => "bans long, for former ones",
        "recidivist" => "bans of recidivists",
        "members" => "bans of networks",
        "member_of" => "bans instead of a network's",
        _ => "bans for other reasons",
    }
}

fn moment(moment: Moment) -> &'static str {
    match moment {
        Moment::Before => "before",
        Moment::During => "during",
        Moment::After => "after",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::protocol::{Failures, Time},
        replay::{
            self,
            protocol::{Both, Read},
        },
    };

    fn at(time: &str) -> Time {
        Time(format!("2026-11-22T{time}Z").parse().unwrap())
    }

    fn totals(totals: &replay::Totals) -> Totals {
        Totals::new(Read { lines: 10, overlong: 0 }, totals)
    }

    #[test]
    fn a_ban_that_looks_wrong_is_coloured_and_what_ended_it_early_is_told() {
        let login = Login {
            at: at("12:05:00"),
            when: Moment::After,
            address: "2001:db8::9".parse().unwrap(),
            user: None,
            filter: "cyrus".into(),
        };
        let ban = Ban {
            at: at("12:00:00"),
            until: Some(at("12:01:00")),
            source: "2001:db8::/64".parse().unwrap(),
            jail: "mail".into(),
            observe: true,
            failures: Failures::of_quarters(13),
            limit: Failures::of_quarters(12),
            reasons: Vec::new(),
            findtime: 600,
            users: Vec::new(),
            prevented: 2,
            yielded: true,
            false_positive: Some(login),
        };
        let mut table = BanTable::default();
        assert!(table.row(&ban, &Style::plain()).starts_with("AT   "));
        let expected = "2026-11-22 12:00:00+00:00  2001:db8::/64            mail (observed)  2026-11-22 12:01:00+00:00 (map full)  \
                        3.25 in 10m   2          after      -";
        assert_eq!(table.row(&ban, &Style::plain()), format!("{expected}\n"));
        let colour = Style { colour: true, ..Style::plain() };
        assert_eq!(table.row(&ban, &colour), format!("\u{1b}[33m{expected}\u{1b}[0m\n"));
        let named = replayed(&totals(&replay::Totals::default()), &[ban], &Style::plain());
        let expected = "  2001:db8::/64  banned 2026-11-22 12:00:00+00:00 by mail  \
                        somebody logged in from 2001:db8::9 2026-11-22 12:05:00+00:00, after the ban (filter cyrus)\n";
        assert!(named.ends_with(expected), "{named}");
    }

    #[test]
    fn differences_stand_side_by_side() {
        let stand = |first, bans, banned, observe| Stand {
            first: at(first),
            bans,
            banned,
            observe,
            prevented: 0,
            false_positive: None,
        };
        let difference = Difference {
            source: "192.0.2.1".parse().unwrap(),
            difference: vec![Deviation::Earlier, Deviation::Longer, Deviation::OtherObserves],
            this: Some(stand("12:00:00", 3, Some(1800), false)),
            other: Some(stand("11:59:00", 1, None, true)),
        };
        let only = Difference { difference: vec![Deviation::OnlyThis], other: None, ..difference.clone() };
        let mut table = DifferenceTable::default();
        let names = ["this.toml".into(), "other.toml".into()];
        let shown: String =
            [difference, only].iter().map(|difference| table.row(difference, &names, &Style::plain())).collect();
        assert_eq!(
            shown,
            "\
this:  this.toml
other: other.toml

SOURCE                   THIS                                            OTHER                                           LOGGED IN  THE OTHER
192.0.2.1                2026-11-22 12:00:00+00:00, 3 bans, 30m          2026-11-22 11:59:00+00:00, 1 ban, permanent, observed  -          bans earlier, bans longer, only observes
192.0.2.1                2026-11-22 12:00:00+00:00, 3 bans, 30m          -                                               -          does not ban it
"
        );
    }

    #[test]
    fn the_totals_of_both_are_the_same_lines() {
        let this = totals(&replay::Totals { failures: 7, ..replay::Totals::default() });
        let other = totals(&replay::Totals { bans: 2, yielded: 1, ..replay::Totals::default() });
        let ends = Ends { totals: Both { this, other }, differences: 2, not_compared: 1 };
        assert_eq!(
            replayed_both(&ends, &Style::plain()),
            "
2 differing sources
1 ban not compared: too many sources

totals
                               this  other
  lines                        10    10
  first event                  -     -
  last event                   -     -
  failures                     7     0
  prevented by bans            0     0
  logins                       0     0
  outages                      0     0
  bans                         0     2
  banned sources               0     0
  permanent                    0     0
  only observed                0     0
  over the limit, but ignored  0     0
  likely false positives       0     0
  ended by a full map          0     1
"
        );
    }
}
