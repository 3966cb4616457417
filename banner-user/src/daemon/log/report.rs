//! What the judge reports, as an operator reads it in the journal: bans and their ends as information, what wants attention as
//! warnings.
//!
//! In the journal each has fields to search by: `journalctl -u banner BANNER_PREFIX=192.0.2.1`, or `BANNER_EVENT=banned
//! BANNER_JAIL=mail`. Each kind of report is logged by a line of its own here, so that each has its own share of the log.

use tracing::{debug, info, warn};

use crate::{
    control::protocol::Prefix,
    judge::{
        Origin,
        reason::Reason,
        report::{Because, Ended, Report},
    },
};

/// Logs it.
pub(in crate::daemon) fn report(report: &Report) {
    match report {
        Report::Banned { origin, prefix, because, .. } => {
            let reasons = because.as_ref().and_then(names);
            info!(event = "banned", prefix = shown(prefix), jail = jail(origin), reasons, "{report}");
        }
        // One by one they would fill the journal: the report that the map is full counts them.
        Report::Unbanned { why: Ended::Yielded(_) | Ended::Recognised, .. } => debug!("{report}"),
        Report::Unbanned { why: Ended::CannotProtect(_), origin, prefix } => {
            warn!(event = "unbanned", prefix = shown(prefix), jail = jail(origin), "{report}");
        }
        Report::Unbanned { origin, prefix, .. } => {
            info!(event = "unbanned", prefix = shown(prefix), jail = jail(origin), "{report}");
        }
        Report::Ignored { jail, source, .. } => {
            warn!(event = "ignored", prefix = shown(source), jail = &**jail, "{report}");
        }
        Report::PrefixSpared { jail, prefix, .. } => {
            warn!(event = "prefix_spared", prefix = shown(prefix), jail = &**jail, "{report}");
        }
        Report::StaleStamps(_) => warn!(event = "stale_stamps", "{report}"),
        Report::LateFailure { origin, prefix, .. } => {
            warn!(event = "late_failure", prefix = shown(prefix), jail = jail(origin), "{report}");
        }
        Report::SourcesEvicted { .. } => warn!(event = "sources_evicted", "{report}"),
        Report::MapFull { .. } => warn!(event = "map_full", "{report}"),
        Report::Restored { .. } => info!(event = "restored", "{report}"),
        Report::ListFollowed { list, .. } => info!(event = "list_followed", list = list.as_str(), "{report}"),
        Report::Adopted { .. } => info!(event = "adopted", "{report}"),
        Report::FuseTripped(_) => warn!(event = "fuse_tripped", "{report}"),
        Report::FuseReset(_) => warn!(event = "fuse_reset", "{report}"),
        Report::ManyBans { .. } => warn!(event = "many_bans", "{report}"),
        Report::AccountUnderAttack { .. } => warn!(event = "account_under_attack", "{report}"),
        Report::Shared { source, .. } => warn!(event = "shared_source", prefix = shown(source), "{report}"),
        Report::TrapLogsIn { .. } => warn!(event = "trap_logs_in", "{report}"),
        Report::OutageBegan(_) => warn!(event = "outage_began", "{report}"),
        Report::OutageEnded(_) => info!(event = "outage_ended", "{report}"),
    }
}

/// As `banner bans` shows it.
fn shown(prefix: &ipnet::IpNet) -> impl tracing::Value {
    tracing::field::display(Prefix::from(*prefix))
}

/// The names of what was taken into account, by commas, where anything was.
fn names(because: &Because) -> Option<String> {
    let names: Vec<_> = because.reasons.iter().map(Reason::name).collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// The jail that made a ban, where one did.
fn jail(origin: &Origin) -> Option<&str> {
    match origin {
        Origin::Jail(name) => Some(name),
        Origin::Hand | Origin::Adopted | Origin::List(_) => None,
    }
}
