//! The tables `[customers]` and `[fuse]`: what is granted to who logged in lately.

use super::{
    document::Table,
    findings::Findings,
    read::{CUSTOMERS, FUSE, Section},
};
use crate::judge::policy::{Customers, Fuse};

/// From how many accounts on a source can be said to be shared.
const SHARED_MAX: u16 = 1000;

/// How many customers a fuse can be told to wait for.
const CUSTOMERS_MAX: u16 = 1000;

/// What is granted; none where that is switched off.
pub(super) fn read(table: Table<'_>, findings: &mut Findings<'_>) -> Option<Customers> {
    let mut table = Section::new(table, CUSTOMERS);
    let default = Customers::default();
    let enabled = table.take("enabled").and_then(|item| item.flag(findings));
    let remember = table.take("remember").and_then(|item| item.duration("", findings));
    let raise = table.take("raise").and_then(|item| item.flag(findings));
    let bantime = table.take("bantime").and_then(|item| item.duration("", findings));
    let shared = table.take("shared").and_then(|item| item.number(2, SHARED_MAX, findings));
    let clear = table.take("clear").and_then(|item| item.flag(findings));
    table.finish(findings);
    enabled.unwrap_or(true).then(|| Customers {
        remember: remember.unwrap_or(default.remember),
        raise: raise.unwrap_or(default.raise),
        bantime: bantime.unwrap_or(default.bantime),
        shared: shared.unwrap_or(default.shared),
        clear: clear.unwrap_or(default.clear),
    })
}

/// When failures are taken for an outage; none where that is switched off.
pub(super) fn fuse(table: Table<'_>, findings: &mut Findings<'_>) -> Option<Fuse> {
    let mut table = Section::new(table, FUSE);
    let default = Fuse::default();
    let enabled = table.take("enabled").and_then(|item| item.flag(findings));
    let customers = table.take("customers").and_then(|item| item.number(2, CUSTOMERS_MAX, findings));
    let window = table.take("window").and_then(|item| item.duration("", findings));
    let bans = table.take("bans").and_then(|item| item.number(1, u32::MAX, findings));
    table.finish(findings);
    enabled.unwrap_or(true).then(|| Fuse {
        customers: customers.unwrap_or(default.customers),
        window: window.unwrap_or(default.window),
        bans: bans.unwrap_or(default.bans),
        without_logins: default.without_logins,
    })
}
