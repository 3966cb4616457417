//! The tables `[accounts]` and `[spraying]`: what follows from the accounts that failures are on.

use std::sync::Arc;

use super::{
    document::Table,
    findings::Findings,
    problem::{Problem, Quoted},
    read::{ACCOUNTS, Item, SPRAYING, Section},
};
use crate::{
    event::USER_MAX,
    judge::{
        TRIES_MAX,
        policy::{Accounts, Spraying, TRAPS_MAX},
    },
};

/// The most networks that can be needed for an attack: so many are kept of each account.
const SOURCES_MAX: u16 = 100;

/// What follows from an account under attack, and from traps; none where that is switched off.
pub(super) fn accounts(table: Table<'_>, findings: &mut Findings<'_>) -> Option<Accounts> {
    let mut table = Section::new(table, ACCOUNTS);
    let default = Accounts::default();
    let enabled = table.take("enabled").and_then(|item| item.flag(findings));
    let sources = table.take("sources").and_then(|item| item.number(2, SOURCES_MAX, findings));
    let window = table.take("window").and_then(|item| item.duration("", findings));
    let maxretry = table.take("maxretry").and_then(|item| item.number(2, tries_max(), findings));
    let findtime = table.take("findtime").and_then(|item| item.duration("", findings));
    let bantime = table.take("bantime").and_then(|item| item.duration("", findings));
    let traps = table.take("traps").map(|item| traps(item, findings));
    table.finish(findings);
    enabled.unwrap_or(true).then(|| Accounts {
        sources: sources.unwrap_or(default.sources),
        window: window.unwrap_or(default.window),
        maxretry: maxretry.unwrap_or(default.maxretry),
        findtime: findtime.unwrap_or(default.findtime),
        bantime: bantime.unwrap_or(default.bantime),
        traps: traps.unwrap_or(default.traps),
    })
}

fn traps(item: Item<'_>, findings: &mut Findings<'_>) -> Vec<Arc<str>> {
    let at = item.at();
    let mut traps: Vec<Arc<str>> = Vec::new();
    for element in item.elements() {
        let Some(typed) = element.string(findings) else { continue };
        let trap = typed.to_ascii_lowercase();
        if trap.bytes().all(|byte| matches!(byte, b'*' | b'@')) || trap.len() > USER_MAX {
            findings.error(element.at(), Problem::Trap(Quoted::new(typed)));
        } else if traps.iter().any(|other| **other == *trap) {
            findings.error(element.at(), Problem::ListedTwice(Quoted::new(typed)));
        } else if traps.len() < TRAPS_MAX {
            traps.push(trap.into());
        } else {
            findings.error(at, Problem::TooManyTraps { limit: TRAPS_MAX });
            break;
        }
    }
    traps
}

/// What follows from failures on many accounts; none where that is switched off.
pub(super) fn spraying(table: Table<'_>, findings: &mut Findings<'_>) -> Option<Spraying> {
    let mut table = Section::new(table, SPRAYING);
    let default = Spraying::default();
    let enabled = table.take("enabled").and_then(|item| item.flag(findings));
    let accounts = table.take("accounts").and_then(|item| item.number(3, tries_max(), findings));
    let findtime = table.take("findtime").and_then(|item| item.duration("", findings));
    let bantime = table.take("bantime").and_then(|item| item.duration("", findings));
    table.finish(findings);
    enabled.unwrap_or(true).then(|| Spraying {
        accounts: accounts.unwrap_or(default.accounts),
        findtime: findtime.unwrap_or(default.findtime),
        bantime: bantime.unwrap_or(default.bantime),
    })
}

fn tries_max() -> u16 {
    u16::try_from(TRIES_MAX).unwrap_or(u16::MAX)
}
