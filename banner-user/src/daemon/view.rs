//! What the judge, the kernel and the follower know, in the words of the control protocol.

use ipnet::IpNet;

use crate::{
    clock::Now,
    control::protocol::{self, Fill, InterfaceState, Limits, Text, Time},
    enforce::{
        bans::{BanMapError, BanMaps, Counters},
        guard::{Guarded, State},
        kernel::{Kernel, MapSizes, Mode},
    },
    judge::{
        Attack, Failure, Origin,
        effect::{Entry, Map, Until},
        policy::BanTime,
        reason::Reason,
        status::Ban,
    },
    service::{ServiceMask, Services},
    source::{
        FileState, FileStatus, LINE_MAX,
        journal::{JOURNAL, Journal, JournalState},
    },
    state::{PastBan, ToldCause, ToldReason},
};

/// The names of the services in a mask.
pub(super) fn services(mask: ServiceMask, services: &Services) -> Vec<Text> {
    services.names(mask).map(Text::from).collect()
}

/// When something ends, on the wall; None for never.
pub(super) fn end(until: Until, now: Now) -> Option<Time> {
    match until {
        Until::Permanent => None,
        Until::Boot(at) => Some(now.wall_at(at).into()),
    }
}

/// The seconds until something ends, rounded up; None for never.
fn remaining(until: Until, now: Now) -> Option<u64> {
    match until {
        Until::Permanent => None,
        Until::Boot(at) => {
            let remaining = at - now.boot;
            Some(remaining.as_secs() + u64::from(remaining.subsec_nanos() > 0))
        }
    }
}

/// A ban that the daemon knows, with what the kernel's entry has counted.
pub(super) fn ban(ban: &Ban, kernel: &Kernel, table: &Services, now: Now) -> Result<protocol::Ban, BanMapError> {
    let counters = kernel.bans.counters(ban.slot, &kernel.ticks)?.unwrap_or_default();
    let (origin, jail) = origin(&ban.origin);
    Ok(protocol::Ban {
        prefix: ban.prefix.into(),
        origin,
        jail,
        list: list(&ban.origin),
        services: services(ban.services, table),
        since: (ban.origin != Origin::Adopted).then(|| now.wall_at(ban.since).into()),
        until: end(ban.until, now),
        remaining: remaining(ban.until, now),
        packets: counters.packets,
        bytes: counters.bytes,
        last_seen: last_seen(counters, now),
        observe: ban.observe,
        waits: ban.waits,
    })
}

/// An entry of the kernel's, as far as the kernel knows it.
pub(super) fn entry(entry: &Entry, counters: Counters, table: &Services, now: Now) -> protocol::Ban {
    protocol::Ban {
        prefix: entry.slot.prefix().into(),
        origin: match (entry.manual, entry.listed) {
            (true, _) => protocol::Origin::Hand,
            (false, true) => protocol::Origin::List,
            (false, false) => protocol::Origin::Adopted,
        },
        list: None,
        jail: None,
        services: services(entry.services, table),
        since: None,
        until: end(entry.until, now),
        remaining: remaining(entry.until, now),
        packets: counters.packets,
        bytes: counters.bytes,
        last_seen: last_seen(counters, now),
        observe: entry.observe,
        waits: false,
    }
}

fn last_seen(counters: Counters, now: Now) -> Option<Time> {
    counters.last_seen.map(|at| now.wall_at(at).into())
}

/// A ban that has ended, as the state has it.
pub(super) fn past(past: PastBan) -> protocol::PastBan {
    let (origin, jail) = origin(&past.origin);
    let cause = past.cause.as_ref();
    protocol::PastBan {
        prefix: past.prefix.into(),
        origin,
        jail,
        services: past.services.iter().map(|name| Text::from(name.as_str())).collect(),
        since: past.since.into(),
        ended: past.ended.into(),
        end: Text::from(past.why),
        observe: past.observe,
        failures: cause.map(|cause| protocol::Failures::of_quarters(cause.failures.into())),
        limit: cause.and_then(|cause| cause.limit).map(|limit| protocol::Failures::of_quarters(limit.into())),
        reasons: cause.map(|cause| told(&cause.reasons)).unwrap_or_default(),
        filter: cause.map(|cause| Text::from(cause.filter.as_str())),
        line: cause.filter(|cause| !cause.line.is_empty()).map(|cause| Text::escape(&cause.line)),
    }
}

/// Why a ban was made, as the state has it.
pub(super) fn cause(prefix: IpNet, made_by: &Origin, cause: &ToldCause) -> protocol::Cause {
    let (origin, jail) = origin(made_by);
    protocol::Cause {
        prefix: prefix.into(),
        origin,
        jail,
        failures: protocol::Failures::of_quarters(cause.failures.into()),
        limit: cause.limit.map(|limit| protocol::Failures::of_quarters(limit.into())),
        filter: Text::from(cause.filter.as_str()),
        reasons: told(&cause.reasons),
        line: (!cause.line.is_empty()).then(|| Text::escape(&cause.line)),
    }
}

fn told(reasons: &[ToldReason]) -> Vec<protocol::Reason> {
    let shown = |told: &ToldReason| protocol::Reason {
        reason: Text::from(told.reason.as_str()),
        text: Text::from(told.text.as_str()),
    };
    reasons.iter().map(shown).collect()
}

/// What changes how a source is judged.
pub(super) fn reasons(reasons: &[Reason]) -> Vec<protocol::Reason> {
    reasons.iter().map(protocol::Reason::from).collect()
}

/// Who made a ban, and for which jail it counts.
pub(super) fn origin(origin: &Origin) -> (protocol::Origin, Option<Text>) {
    match origin {
        Origin::Hand => (protocol::Origin::Hand, None),
        Origin::Adopted => (protocol::Origin::Adopted, None),
        Origin::Jail(name) => (protocol::Origin::Jail, Some(Text::from(&**name))),
        Origin::List(_) => (protocol::Origin::List, None),
    }
}

/// The list that made a ban.
fn list(origin: &Origin) -> Option<Text> {
    match origin {
        Origin::List(name) => Some(Text::from(name.as_str())),
        Origin::Hand | Origin::Adopted | Origin::Jail(_) => None,
    }
}

/// One failure of a source.
pub(super) fn failure(failure: &Failure, file: Text) -> protocol::Failure {
    protocol::Failure {
        at: failure.at.into(),
        filter: Text::from(&*failure.attempt.filter),
        user: failure.attempt.user.as_ref().map(Text::from),
        weight: failure.attempt.weight.into(),
        file,
        offset: failure.position.offset,
    }
}

/// A bantime as the protocol has it: whole seconds.
pub(super) fn ban_time(length: BanTime) -> protocol::BanTime {
    match length {
        BanTime::Permanent => protocol::BanTime::Permanent,
        BanTime::For(length) => u32::try_from(length.as_secs())
            .ok()
            .and_then(std::num::NonZeroU32::new)
            .map_or(protocol::BanTime::Permanent, protocol::BanTime::Seconds),
    }
}

/// Accounts under attack: those that were failed on last.
pub(super) fn attacks(mut attacks: Vec<&Attack>) -> protocol::AccountsUnderAttack {
    let total = attacks.len() as u64;
    attacks.sort_unstable_by_key(|attack| std::cmp::Reverse(attack.last));
    let accounts = attacks.into_iter().take(protocol::ATTACKS_MAX).map(|attack| protocol::AccountUnderAttack {
        account: attack.name.as_ref().map(Text::from),
        since: attack.since.as_log_time().into(),
        last: attack.last.as_log_time().into(),
    });
    protocol::AccountsUnderAttack { total, accounts: accounts.collect() }
}

/// How an interface fares.
pub(super) fn interface(guarded: &Guarded) -> protocol::Interface {
    let (mode, state, failure) = match &guarded.state {
        State::Attached(Mode::Native) => (Some(protocol::Mode::Native), InterfaceState::Attached, None),
        State::Attached(Mode::Generic) => (Some(protocol::Mode::Generic), InterfaceState::Attached, None),
        State::Missing | State::NoRoute => (None, InterfaceState::Missing, None),
        State::Failed(why) => (None, InterfaceState::Failed, Some(why.as_str())),
    };
    let notes: Vec<&str> = failure.into_iter().chain(guarded.notes.iter().map(String::as_str)).collect();
    protocol::Interface {
        name: Text::escape(guarded.name.as_bytes()),
        mode,
        state,
        note: (!notes.is_empty()).then(|| Text::from(notes.join("; "))),
    }
}

/// How a log fares.
pub(super) fn file(status: &FileStatus<'_>, stale: Option<String>) -> protocol::File {
    let (state, why) = match status.state {
        FileState::Following | FileState::SameAs(_) => (protocol::FileState::Following, None),
        FileState::Draining => (protocol::FileState::Draining, None),
        FileState::Missing => (protocol::FileState::Missing, None),
        FileState::Unreadable(errno) => (protocol::FileState::Unreadable, Some(errno.desc().to_owned())),
        FileState::NotRegular => (protocol::FileState::Unreadable, Some("not a regular file".to_owned())),
    };
    let overlong = status.counters.overlong;
    let cut = (overlong > 0).then(|| format!("{overlong} lines longer than {LINE_MAX} bytes were dropped"));
    let notes: Vec<String> = [why, stale, cut].into_iter().flatten().collect();
    protocol::File {
        path: status.path.into(),
        state,
        offset: status.offset.unwrap_or(0),
        behind: status.behind,
        lines: status.counters.lines,
        note: (!notes.is_empty()).then(|| Text::from(notes.join("; "))),
    }
}

/// How the journal fares.
pub(super) fn journal(journal: &Journal, stale: Option<String>) -> protocol::File {
    let counters = journal.counters();
    let state = match journal.state() {
        JournalState::Reading => protocol::FileState::Following,
        JournalState::Failed => protocol::FileState::Unreadable,
    };
    let overlong = (counters.overlong > 0)
        .then(|| format!("{} entries longer than {LINE_MAX} bytes were dropped", counters.overlong));
    let suppressed = (counters.suppressed > 0)
        .then(|| format!("journald has thrown away {} messages of services that wrote too many", counters.suppressed));
    let gaps = (counters.gaps > 0).then(|| format!("{} times entries may have been removed unread", counters.gaps));
    let notes: Vec<String> = [stale, overlong, suppressed, gaps].into_iter().flatten().collect();
    protocol::File {
        path: JOURNAL.into(),
        state,
        offset: journal.position().map_or(0, |position| position.number()),
        behind: 0,
        lines: counters.entries,
        note: (!notes.is_empty()).then(|| Text::from(notes.join("; "))),
    }
}

/// How full the kernel's maps are. What gave way is known to the daemon alone.
pub(super) fn limits(bans: &BanMaps, sizes: MapSizes, overflowed: impl Fn(Map) -> u64) -> Limits {
    let fill = |map, limit: u32| Fill { used: bans.used(map), limit: limit.into(), overflowed: overflowed(map) };
    Limits {
        bans_v4: fill(Map::BansV4, sizes.bans_v4),
        bans_v6: fill(Map::BansV6, sizes.bans_v6),
        prefixes_v4: fill(Map::NetsV4, sizes.prefixes),
        prefixes_v6: fill(Map::NetsV6, sizes.prefixes),
        sources: None,
        customers: None,
        offenders: None,
    }
}

/// What is to be said of lines on which imported filters gave up.
pub(super) fn gave_up(lines: u64) -> Option<String> {
    (lines > 0).then(|| {
        format!(
            "on {lines} lines an imported filter gave up, since a pattern of it turned back too often: what they say is not \
             counted; `banner match` with this filter tells how many a log has"
        )
    })
}

/// What is to be said of entries of the journal that were not believed.
pub(super) fn refused(entries: u64) -> Option<String> {
    (entries > 0).then(|| {
        format!(
            "{entries} entries of the journal look like a mail server's and were written by somebody else: they count for \
             nobody; the daemon's log tells whose they were"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_a_filter_gave_up_on_are_told_with_their_number() {
        assert_eq!(gave_up(0), None);
        assert!(gave_up(3).is_some_and(|warning| warning.starts_with("on 3 lines an imported filter gave up")));
    }
}
