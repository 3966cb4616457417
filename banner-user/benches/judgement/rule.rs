//! What a rule is asked, and what is measured of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use ipnet::{IpNet, Ipv4Net};

use super::stream::{DAY, Stream, Try};

/// Who has logged in within so long is known to be good.
const KNOWN: u64 = 7 * DAY;

/// Failures of an outage are counted for so long after it.
const AFTER_OUTAGE: u64 = 600;

pub(crate) trait Rule {
    /// Whether the packets of this source are dropped. Times never go back.
    fn is_banned(&mut self, source: Ipv4Addr, at: u64) -> bool;

    /// The server has answered a try, and logged that.
    fn answered(&mut self, tried: &Try);

    /// All bans: of whom, from when, until when, at most until `end`.
    fn bans(&mut self, end: u64) -> Vec<(IpNet, u64, u64)>;
}

/// What a rule has made of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Attackers' tries whose passwords were checked, and those that were not.
    pub(crate) reached: u64,
    pub(crate) prevented: u64,
    /// Seconds in which an innocent user wanted to use mail from a banned source, each user's added up.
    pub(crate) lost: u64,
    /// Sources from which an innocent user had logged in within a week before, and that were banned.
    pub(crate) good: usize,
    /// Of these, by bans that began in an outage or within ten minutes after.
    pub(crate) good_in_outage: usize,
}

pub(crate) fn measure(stream: &Stream, rule: &mut impl Rule) -> Figures {
    let mut figures = Figures::default();
    let mut logins = BTreeMap::<Ipv4Addr, Vec<u64>>::new();
    for tried in &stream.tries {
        let banned = rule.is_banned(tried.source, tried.at);
        if tried.attacker {
            *(if banned { &mut figures.prevented } else { &mut figures.reached }) += 1;
        }
        if banned {
            continue;
        }
        if tried.succeeds && !tried.attacker {
            logins.entry(tried.source).or_default().push(tried.at);
        }
        rule.answered(tried);
    }
    let end = stream.tries.last().map_or(0, |tried| tried.at);
    let bans = rule.bans(end);

    let (mut good, mut in_outage) = (BTreeSet::new(), BTreeSet::new());
    let mut by_prefix = BTreeMap::<IpNet, Vec<(u64, u64)>>::new();
    for (prefix, from, until) in bans {
        by_prefix.entry(prefix).or_default().push((from, until));
        let IpNet::V4(net) = prefix else { continue };
        for (source, times) in logins.range(net.network()..=net.broadcast()) {
            let before = times.partition_point(|at| *at <= from);
            if times.iter().take(before).next_back().is_some_and(|at| at + KNOWN >= from) {
                good.insert(*source);
                if stream.outage.is_some_and(|(began, ended)| (began..ended + AFTER_OUTAGE).contains(&from)) {
                    in_outage.insert(*source);
                }
            }
        }
    }
    (figures.good, figures.good_in_outage) = (good.len(), in_outage.len());

    let lengths: BTreeSet<u8> = by_prefix.keys().map(IpNet::prefix_len).collect();
    for presence in &stream.presences {
        let around = lengths.iter().filter_map(|length| Ipv4Net::new(presence.source, *length).ok());
        let bans = around.filter_map(|net| by_prefix.get(&IpNet::V4(net.trunc()))).flatten();
        let mut within: Vec<(u64, u64)> = bans
            .map(|(from, until)| ((*from).max(presence.from), (*until).min(presence.until)))
            .filter(|(from, until)| from < until)
            .collect();
        within.sort_unstable();
        let mut counted = 0;
        for (from, until) in within {
            figures.lost += until.saturating_sub(from.max(counted));
            counted = counted.max(until);
        }
    }
    figures
}
