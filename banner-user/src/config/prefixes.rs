//! The table `[prefixes]`: bans of prefixes from which many sources fail.

use super::{
    document::Table,
    findings::Findings,
    problem::Problem,
    read::{PREFIXES, Section},
};
use crate::judge::{MEMBERS_MAX, policy::Prefixes};

/// Wider prefixes are banned on request, with a warning: registries give networks of this size to whole providers.
const WIDE_V4: u8 = 16;
const WIDE_V6: u8 = 40;

/// When prefixes are banned, and for how long; none where that is switched off. A source of IPv6 is `ipv6_prefix` bits long.
pub(super) fn read(table: Table<'_>, ipv6_prefix: u8, findings: &mut Findings<'_>) -> Option<Prefixes> {
    let mut table = Section::new(table, PREFIXES);
    let default = default(ipv6_prefix);
    let enabled = table.take("enabled").and_then(|item| item.flag(findings)).unwrap_or(true);
    let members = table.take("members").and_then(|item| item.number(2, MEMBERS_MAX, findings));
    let findtime = table.take("findtime").and_then(|item| item.duration("", findings));
    let bantime = table.take("bantime").and_then(|item| item.duration("", findings));
    let (ipv4, ipv6) = (table.take("ipv4"), table.take("ipv6"));
    for (item, wide) in [(&ipv4, WIDE_V4), (&ipv6, WIDE_V6)] {
        if let Some(item) = item
            && (0..i64::from(wide)).any(|length| item.is_number(length))
        {
            findings.warn(Some(item.at()), Problem::WidePrefix { key: item.quoted_key(), wide });
        }
    }
    let at = ipv6.as_ref().map(|item| item.at());
    let ipv4 = ipv4.and_then(|item| item.number(8, 31, findings)).unwrap_or(default.ipv4);
    let ipv6 = ipv6.and_then(|item| item.number(32, 63, findings)).unwrap_or(default.ipv6);
    table.finish(findings);
    if let Some(at) = at.filter(|_| enabled && ipv6 >= ipv6_prefix) {
        findings.warn(Some(at), Problem::NoNeighbours { ipv6, ipv6_prefix });
    }
    enabled.then(|| Prefixes {
        members: members.unwrap_or(default.members),
        findtime: findtime.unwrap_or(default.findtime),
        bantime: bantime.unwrap_or(default.bantime),
        ipv4,
        ipv6,
    })
}

/// What no table means. Where whole sites are sources of IPv6, their neighbourhood is wider, too.
fn default(ipv6_prefix: u8) -> Prefixes {
    let default = Prefixes::default();
    let ipv6 = if default.ipv6 < ipv6_prefix { default.ipv6 } else { ipv6_prefix.saturating_sub(8) };
    Prefixes { ipv6, ..default }
}
