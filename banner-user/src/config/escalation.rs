//! The tables `[increment]` and `[recidive]`: longer bans for who was banned before.

use std::time::Duration;

use super::{
    document::Table,
    findings::Findings,
    jail,
    problem::{Problem, Quoted},
    read::{INCREMENT, Item, RECIDIVE, Section},
};
use crate::{
    judge::{
        LATEST_MAX,
        policy::{Growth, Increment, Recidive},
    },
    service::{MAIL, Services},
};

/// The most that a ban can last in comparison with the one before: beyond, it is a slip.
const FACTOR_MAX: u16 = 100;

/// The most times that a ban can last in comparison with the first one.
const MULTIPLIER_MAX: u32 = 1_000_000;

/// How bans grow; none where that is switched off.
pub(super) fn increment(table: Table<'_>, findings: &mut Findings<'_>) -> Option<Increment> {
    let mut table = Section::new(table, INCREMENT);
    let default = Increment::default();
    let enabled = table.take("enabled").and_then(|item| item.flag(findings));
    let factor = table.take("factor");
    let factor_at = factor.as_ref().map(Item::key_at);
    let factor = factor.and_then(|item| item.number(2, FACTOR_MAX, findings)).map(Growth::Factor);
    let multipliers = table.take("multipliers").map(|item| multipliers(item, findings)).filter(|list| !list.is_empty());
    if let Some(at) = factor_at.filter(|_| multipliers.is_some()) {
        findings.warn(Some(at), Problem::Overruled { key: Quoted::new("factor"), by: Quoted::new("multipliers") });
    }
    let maxtime = table.take("maxtime").and_then(|item| item.duration("", findings));
    let rndtime = table.take("rndtime").and_then(|item| {
        if item.is_number(0) { Some(Duration::ZERO) } else { item.duration(", or 0 for none", findings) }
    });
    let forget = table.take("forget").and_then(|item| item.duration("", findings));
    let without_logins = table.take("without_logins").and_then(|item| item.flag(findings));
    table.finish(findings);
    enabled.unwrap_or(true).then(|| Increment {
        growth: multipliers.map(Growth::Multipliers).or(factor).unwrap_or(default.growth),
        maxtime: maxtime.unwrap_or(default.maxtime),
        rndtime: rndtime.unwrap_or(default.rndtime),
        forget: forget.unwrap_or(default.forget),
        without_logins: without_logins.unwrap_or(default.without_logins),
    })
}

fn multipliers(item: Item<'_>, findings: &mut Findings<'_>) -> Vec<u32> {
    item.elements().into_iter().filter_map(|element| element.number(1, MULTIPLIER_MAX, findings)).collect()
}

/// When a source is banned from everything; none where that is switched off.
pub(super) fn recidive(table: Table<'_>, services: &Services, findings: &mut Findings<'_>) -> Option<Recidive> {
    let mut table = Section::new(table, RECIDIVE);
    let default = default_recidive(services);
    let enabled = table.take("enabled").and_then(|item| item.flag(findings));
    let most = u16::try_from(LATEST_MAX).unwrap_or(u16::MAX);
    let maxretry = table.take("maxretry").and_then(|item| item.number(2, most, findings));
    let findtime = table.take("findtime").and_then(|item| item.duration("", findings));
    let bantime = table.take("bantime").and_then(|item| item.duration("", findings));
    let mask = table.take("services").map(|item| jail::services_mask(item, services, findings));
    let without_logins = table.take("without_logins").and_then(|item| item.flag(findings));
    table.finish(findings);
    enabled.unwrap_or(true).then(|| Recidive {
        maxretry: maxretry.unwrap_or(default.maxretry),
        findtime: findtime.unwrap_or(default.findtime),
        bantime: bantime.unwrap_or(default.bantime),
        services: mask.unwrap_or(default.services),
        without_logins: without_logins.unwrap_or(default.without_logins),
    })
}

/// What no table means: from all mail services.
pub(super) fn default_recidive(services: &Services) -> Recidive {
    Recidive { services: services.mask(MAIL).unwrap_or_default(), ..Recidive::default() }
}
