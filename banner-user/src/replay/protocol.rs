//! What `banner replay --json` writes: one object a line.
//!
//! | command | lines | last line |
//! | --- | --- | --- |
//! | `banner replay --json FILE...` | a [`Ban`] each, in the order of their beginnings | [`End`] |
//! | `banner replay --json --against OTHER.toml FILE...` | a [`Difference`] each, by the first ban of the source | [`Ends`] |
//!
//! As on the control socket, fields are added and never renamed or removed, times are RFC 3339 in UTC, lengths of time are
//! seconds, and what does not apply is `null`.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use super::{ban, comparison, totals};
use crate::control::protocol::{Failures, Prefix, Reason, Text, Time};

/// A ban that would have been.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ban {
    /// When it would have begun.
    pub at: Time,
    /// When it would have ended; `null` for never.
    pub until: Option<Time>,
    /// Whose packets.
    pub source: Prefix,
    /// The jail whose limit was reached.
    pub jail: Text,
    /// The jail only observes.
    pub observe: bool,
    /// What was counted: 1 for a wrong password.
    pub failures: Failures,
    /// What bans.
    pub limit: Failures,
    /// What else was taken into account.
    pub reasons: Vec<Reason>,
    /// The time within which that was.
    pub findtime: u64,
    /// Users that were tried, at most five.
    pub users: Vec<Text>,
    /// Failures that it would have prevented.
    pub prevented: u64,
    /// It gave way before its time (which `until` tells), because the kernel's map was full.
    pub yielded: bool,
    /// The login that makes it a likely false positive.
    pub false_positive: Option<Login>,
}

/// A login from a banned source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Login {
    /// When.
    pub at: Time,
    /// Where it lies to the ban.
    pub when: Moment,
    /// From which address of the source.
    pub address: IpAddr,
    /// As whom, where the line says so.
    pub user: Option<Text>,
    /// The filter that knew the line.
    pub filter: Text,
}

/// Where a login lies to a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Up to a day before it began.
    Before,
    /// While it was in force.
    During,
    /// Up to a day after it ended.
    After,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Read {
    /// Lines.
    pub lines: u64,
    /// Of these, the ones that are longer than the daemon reads, and were left out.
    pub overlong: u64,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Lines.
    pub lines: u64,
    /// Of these, the ones that are longer than the daemon reads, and were left out.
    pub overlong: u64,
    /// The time of the first line that told anything.
    pub first: Option<Time>,
    /// The time of the last one.
    pub last: Option<Time>,
    /// Lines that told of a failure.
    pub failures: u64,
    /// Of these, the ones that bans would have prevented.
    pub prevented: u64,
    /// Lines that told of a login.
    pub successes: u64,
    /// Lines that told of an outage of the authentication backend.
    pub outages: u64,
    /// Bans.
    pub bans: u64,
    /// Of these, the ones that only observe.
    pub observed: u64,
    /// Of these, the ones without an end.
    pub permanent: u64,
    /// Of these, the ones that gave way before their time, because the kernel's map was full.
    pub yielded: u64,
    /// Of these, the ones that are likely false positives.
    pub false_positives: u64,
    /// Of these, the ones that were written before a day had passed since their end, because more than 200,000 were waiting for
    /// that: later failures and logins are not in them.
    pub cut_short: u64,
    /// Sources that were banned at least once, up to a million.
    pub sources: u64,
    /// Times that a protected source was over a limit.
    pub ignored: u64,
    /// Bans by what was taken into account beside failures, in the words of [`Reason::reason`]; one ban may be in several.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Prefixes that were not banned for their sources, since something in them is protected, or somebody logged in from there.
    pub spared_prefixes: u64,
    /// Times that the fuse was tripped.
    pub fuse_tripped: u64,
    /// Failures that it spared until it was reset.
    pub spared: u64,
    /// Accounts under attack that were told of.
    pub attacks: u64,
    /// Sources whose failures were forgotten because more than `limits.sources` failed at the same time.
    pub evicted: u64,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Of everything.
    pub totals: Totals,
}

/// The last line where two configurations were held against each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ends {
    /// Of each.
    pub totals: Both,
    /// Sources that fared differently.
    pub differences: u64,
    /// Bans that were not compared, because more than half a million sources were banned.
    pub not_compared: u64,
}

/// Both configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Both {
    /// The one in use, or that `--config` named.
    pub this: Totals,
    /// The one that `--against` named.
    pub other: Totals,
}

/// A source that fares differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Who.
    pub source: Prefix,
    /// How the other configuration deviates. At least one.
    pub difference: Vec<Deviation>,
    /// Under this configuration; `null` where it is never banned.
    pub this: Option<Stand>,
    /// Under the other.
    pub other: Option<Stand>,
}

/// How the other configuration deviates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deviation {
    /// Only this one bans the source.
    OnlyThis,
    /// Only the other one does.
    OnlyOther,
    /// It bans it earlier.
    Earlier,
    /// It bans it later.
    Later,
    /// It bans it for longer in all.
    Longer,
    /// It bans it for a shorter time in all.
    Shorter,
    /// It only observes.
    OtherObserves,
    /// Only it does more than observe.
    OtherEnforces,
}

/// How a source fares under one configuration, in all jails together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stand {
    /// When it is banned first.
    pub first: Time,
    /// How often.
    pub bans: u64,
    /// For how long in all, bans of several jails added up; `null` for ever.
    pub banned: Option<u64>,
    /// All its bans only observe.
    pub observe: bool,
    /// Failures that the bans would have prevented.
    pub prevented: u64,
    /// The login that makes the first such ban a likely false positive.
    pub false_positive: Option<Login>,
}

impl From<&ban::Ban> for Ban {
    fn from(ban: &ban::Ban) -> Self {
        Self {
            at: ban.at.into(),
            until: ban.until.map(Time::from),
            source: ban.source.into(),
            jail: Text::from(&*ban.jail),
            observe: ban.observe,
            failures: Failures::of_quarters(ban.failures.into()),
            limit: Failures::of_quarters(ban.limit.into()),
            reasons: ban.reasons.iter().map(Reason::from).collect(),
            findtime: ban.findtime.as_secs(),
            users: ban.users.iter().map(Text::from).collect(),
            prevented: ban.prevented,
            yielded: ban.yielded,
            false_positive: ban.login.as_ref().map(Login::from),
        }
    }
}

impl From<&ban::Login> for Login {
    fn from(login: &ban::Login) -> Self {
        Self {
            at: login.at.into(),
            when: match login.moment {
                ban::Moment::Before => Moment::Before,
                ban::Moment::During => Moment::During,
                ban::Moment::After => Moment::After,
            },
            address: login.address,
            user: login.user.as_ref().map(Text::from),
            filter: Text::from(&*login.filter),
        }
    }
}

impl Totals {
    /// What was read and what became of it.
    #[must_use]
    pub fn new(read: Read, totals: &totals::Totals) -> Self {
        Self {
            lines: read.lines,
            overlong: read.overlong,
            first: totals.first.map(Time::from),
            last: totals.last.map(Time::from),
            failures: totals.failures,
            prevented: totals.prevented,
            successes: totals.successes,
            outages: totals.outages,
            bans: totals.bans,
            observed: totals.observed,
            permanent: totals.permanent,
            yielded: totals.yielded,
            false_positives: totals.false_positives,
            cut_short: totals.cut_short,
            sources: totals.sources,
            ignored: totals.ignored,
            reasons: totals.reasons.clone(),
            spared_prefixes: totals.spared_prefixes,
            fuse_tripped: totals.fuse_tripped,
            spared: totals.spared,
            attacks: totals.attacks,
            evicted: totals.evicted,
        }
    }
}

impl From<&comparison::Difference> for Difference {
    fn from(difference: &comparison::Difference) -> Self {
        Self {
            source: difference.source.into(),
            difference: difference.deviations().into_iter().map(Deviation::from).collect(),
            this: difference.this.as_ref().map(Stand::from),
            other: difference.other.as_ref().map(Stand::from),
        }
    }
}

impl From<comparison::Deviation> for Deviation {
    fn from(deviation: comparison::Deviation) -> Self {
        match deviation {
            comparison::Deviation::OnlyThis => Self::OnlyThis,
            comparison::Deviation::OnlyOther => Self::OnlyOther,
            comparison::Deviation::Earlier => Self::Earlier,
            comparison::Deviation::Later => Self::Later,
            comparison::Deviation::Longer => Self::Longer,
            comparison::Deviation::Shorter => Self::Shorter,
            comparison::Deviation::OtherObserves => Self::OtherObserves,
            comparison::Deviation::OtherEnforces => Self::OtherEnforces,
        }
    }
}

impl From<&comparison::Stand> for Stand {
    fn from(stand: &comparison::Stand) -> Self {
        Self {
            first: stand.first.into(),
            bans: stand.bans,
            banned: stand.banned.map(|banned| banned.as_secs()),
            observe: stand.observed,
            prevented: stand.prevented,
            false_positive: stand.login.as_ref().map(Login::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{clock::WallTime, event::User};

    #[test]
    fn a_ban_is_one_object_with_these_keys_in_this_order() {
        let at = |second: i64| WallTime(1_795_353_300_000_000 + second * 1_000_000);
        let ban = ban::Ban {
            at: at(0),
            until: Some(at(600)),
            source: "2001:db8::/64".parse().unwrap(),
            jail: "mail".into(),
            observe: false,
            failures: 13,
            limit: 12,
            reasons: vec![crate::judge::reason::Reason::BannedBefore { times: 2 }],
            findtime: Duration::from_secs(600),
            users: vec![User::new(b"a\x1b[31m"), User::new(b"bob")],
            prevented: 7,
            yielded: false,
            login: Some(ban::Login {
                at: at(10),
                address: "2001:db8::1".parse().unwrap(),
                user: None,
                filter: "cyrus".into(),
                moment: ban::Moment::During,
            }),
        };
        assert_eq!(
            serde_json::to_string(&Ban::from(&ban)).unwrap(),
            r#"{"at":"2026-11-22T13:15:00Z","until":"2026-11-22T13:25:00Z","source":"2001:db8::/64","jail":"mail","observe":false,"failures":3.25,"limit":3,"reasons":[{"reason":"banned_before","text":"banned 2 times before"}],"findtime":600,"users":["a\\u{1b}[31m","bob"],"prevented":7,"yielded":false,"false_positive":{"at":"2026-11-22T13:15:10Z","when":"during","address":"2001:db8::1","user":null,"filter":"cyrus"}}"#
        );
        let plain = ban::Ban { until: None, failures: 12, login: None, source: "192.0.2.1/32".parse().unwrap(), ..ban };
        let json = serde_json::to_value(Ban::from(&plain)).unwrap();
        assert_eq!((json["failures"].to_string(), json["until"].to_string()), ("3".to_owned(), "null".to_owned()));
        assert_eq!((json["source"].as_str(), json["false_positive"].is_null()), (Some("192.0.2.1"), true));
    }
}
