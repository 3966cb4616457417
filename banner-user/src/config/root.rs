//! The keys outside of jails, and the whole from its parts.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::tz::TimeZone;

use super::{
    Attach, Config, Interfaces, MapSizes, SOCKET_PATH_MAX, accounts, customers,
    document::Table,
    escalation,
    findings::Findings,
    jail::{self, Known},
    list::{self, List},
    prefixes,
    problem::{Problem, Quoted},
    read::{Item, LIMITS, ROOT, Section, named},
};
use crate::{
    judge::policy::{Jail, Limits, Policy},
    lists::LISTS_MAX,
    service::{SERVICES_MAX, Services},
    state as history,
};

/// The most bans that have ended that can be kept: some 300 bytes each.
const HISTORY_MAX: u64 = 100_000_000;

/// The longest name of an interface: IFNAMSIZ (`include/uapi/linux/if.h`) without its final NUL.
const INTERFACE_NAME_MAX: usize = 15;

/// The most sources, and the most of them with evidence, that the judge can be told to keep.
const TRACKED_MAX: usize = 10_000_000;

/// What the merged files mean.
pub(super) fn read(root: Table<'_>, known_filters: &[String], findings: &mut Findings<'_>) -> Config {
    let default = Config::default();
    let mut root = Section::new(root, ROOT);
    let interface = root.take("interface").map(|item| interfaces(item, findings));
    let attach = root.take("attach").and_then(|item| attach(&item, findings));
    let socket = root.take("socket").and_then(|item| socket(&item, findings));
    let state_dir = root.take("state_dir").and_then(|item| item.path(findings));
    let bpffs = root.take("bpffs").and_then(|item| item.path(findings));
    let time_zone = root.take("time_zone").and_then(|item| time_zone(&item, findings));
    let ignoreip = root.take("ignoreip").map(|item| jail::prefixes(item, findings));
    let ignoreself = root.take("ignoreself").and_then(|item| item.flag(findings));
    let ipv6_prefix = root.take("ipv6_prefix").and_then(|item| item.number(48, 128, findings));
    let (map_sizes, limits, history) = limits(table(root.take("limits"), findings), findings);
    let services = services(table(root.take("services"), findings), findings);
    let known = Known { filters: known_filters, services: &services };
    let fuse = customers::fuse(table(root.take("fuse"), findings), findings);
    let customers = customers::read(table(root.take("customers"), findings), findings);
    let increment = escalation::increment(table(root.take("increment"), findings), findings);
    let recidive = escalation::recidive(table(root.take("recidive"), findings), &services, findings);
    let source_length = ipv6_prefix.unwrap_or(default.policy.ipv6_prefix);
    let prefixes = prefixes::read(table(root.take("prefixes"), findings), source_length, findings);
    let accounts = accounts::accounts(table(root.take("accounts"), findings), findings);
    let spraying = accounts::spraying(table(root.take("spraying"), findings), findings);
    let observe = root.take("observe").and_then(|item| item.flag(findings)).unwrap_or(false);
    let mut jails = jails(table(root.take("jail"), findings), &known, findings);
    // No jail drops anything while the whole only observes.
    jails.iter_mut().for_each(|jail| jail.observe |= observe);
    let lists = lists(table(root.take("list"), findings), &services, findings);
    root.finish(findings);
    let policy = Policy {
        jails,
        ignoreip: ignoreip.unwrap_or(default.policy.ignoreip),
        ignoreself: ignoreself.unwrap_or(default.policy.ignoreself),
        ipv6_prefix: source_length,
        customers,
        fuse,
        increment,
        recidive,
        prefixes,
        accounts,
        spraying,
        limits,
    };
    let idle = policy.idle_without_logins();
    if policy.customers.is_none() && !idle.is_empty() {
        findings.warn(None, Problem::NoCustomers { idle });
    }
    Config {
        interface: interface.unwrap_or(default.interface),
        attach: attach.unwrap_or(default.attach),
        socket: socket.unwrap_or(default.socket),
        state_dir: state_dir.unwrap_or(default.state_dir),
        bpffs: bpffs.unwrap_or(default.bpffs),
        time_zone,
        map_sizes,
        history,
        policy,
        services,
        lists,
        warnings: Vec::new(),
    }
}

/// The table below a key: where it is missing or no table, an empty one.
fn table<'t>(item: Option<Item<'t>>, findings: &mut Findings<'_>) -> Table<'t> {
    item.and_then(|item| item.table(findings)).unwrap_or_default()
}

fn interfaces(item: Item<'_>, findings: &mut Findings<'_>) -> Interfaces {
    if item.is("auto") {
        return Interfaces::Auto;
    }
    let names = item.names(findings);
    for (name, at) in &names {
        if *name == "auto" {
            findings.error(*at, Problem::AutoInList);
        } else if !is_interface_name(name) {
            findings.error(*at, Problem::InterfaceName(Quoted::new(name)));
        }
    }
    Interfaces::Named(names.into_iter().map(|(name, _)| name.to_owned()).collect())
}

/// As `dev_valid_name` (`net/core/dev.c`) has it. A NUL would end the name early.
fn is_interface_name(name: &str) -> bool {
    (1..=INTERFACE_NAME_MAX).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.bytes().any(|byte| matches!(byte, b'/' | b':' | b'\0') || is_space(byte))
}

/// The kernel's `isspace` (`lib/ctype.c`) also has the vertical tab and Latin-1's hard space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0)
}

fn attach(item: &Item<'_>, findings: &mut Findings<'_>) -> Option<Attach> {
    let value = item.string(findings)?;
    match value {
        "auto" => Some(Attach::Auto),
        "native" => Some(Attach::Native),
        "generic" => Some(Attach::Generic),
        _ => {
            let choices = "`auto`, `native` or `generic`";
            let problem = Problem::NoSuchChoice { key: item.quoted_key(), value: Quoted::new(value), choices };
            findings.error(item.at(), problem);
            None
        }
    }
}

fn socket(item: &Item<'_>, findings: &mut Findings<'_>) -> Option<PathBuf> {
    let path = item.path(findings)?;
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        findings.error(item.at(), Problem::LongPath { key: item.quoted_key(), limit: SOCKET_PATH_MAX });
    }
    Some(path)
}

fn time_zone(item: &Item<'_>, findings: &mut Findings<'_>) -> Option<TimeZone> {
    let name = item.string(findings)?;
    if name == "system" {
        return None;
    }
    let zone = TimeZone::get(name);
    if zone.is_err() {
        findings.error(item.at(), Problem::TimeZone(Quoted::new(name)));
    }
    zone.ok()
}

fn limits(table: Table<'_>, findings: &mut Findings<'_>) -> (MapSizes, Limits, history::Limits) {
    let mut table = Section::new(table, LIMITS);
    let MapSizes { bans_v4, bans_v6, prefixes } = Config::default().map_sizes;
    let mut entries =
        |key, default| table.take(key).and_then(|item| item.number(1, MapSizes::MAX, findings)).unwrap_or(default);
    let map_sizes = MapSizes {
        bans_v4: entries("bans_v4", bans_v4),
        bans_v6: entries("bans_v6", bans_v6),
        prefixes: entries("prefixes", prefixes),
    };
    let Limits { sources, evidence, customers } = Limits::default();
    let mut tracked =
        |key, default| table.take(key).and_then(|item| item.number(1, TRACKED_MAX, findings)).unwrap_or(default);
    let limits = Limits {
        sources: tracked("sources", sources),
        evidence: tracked("evidence", evidence),
        customers: tracked("customers", customers),
    };
    let rows = table.take("history").and_then(|item| item.number(0, HISTORY_MAX, findings));
    let age = table.take("history_age").and_then(|item| item.duration("", findings));
    let default = history::Limits::default();
    let history = history::Limits { age: age.unwrap_or(default.age), rows: rows.unwrap_or(default.rows) };
    table.finish(findings);
    (map_sizes, limits, history)
}

fn services(table: Table<'_>, findings: &mut Findings<'_>) -> Services {
    let mut services = Services::default();
    let mut configured = BTreeMap::new();
    for item in named(table) {
        let (name, at) = (item.key, item.key_at());
        if !jail::is_name(name) {
            findings.error(at, Problem::Name(Quoted::new(name)));
        }
        configured.insert(name.to_owned(), ports(item, findings));
        match Services::new(&configured) {
            Ok(with_this) => services = with_this,
            Err(_) => {
                configured.remove(name);
                findings.error(at, Problem::TooManyServices { limit: SERVICES_MAX });
            }
        }
    }
    services
}

fn ports(item: Item<'_>, findings: &mut Findings<'_>) -> Vec<u16> {
    let (at, key) = (item.at(), item.quoted_key());
    let elements = item.elements();
    if elements.is_empty() {
        findings.error(at, Problem::Empty(key));
    }
    let mut ports = Vec::new();
    for element in elements {
        let Some(port) = element.number(1, u16::MAX, findings) else { continue };
        if ports.contains(&port) {
            findings.error(element.at(), Problem::ListedTwice(Quoted::new(&port.to_string())));
        } else {
            ports.push(port);
        }
    }
    ports
}

fn lists(table: Table<'_>, services: &Services, findings: &mut Findings<'_>) -> Vec<List> {
    let items = named(table);
    if let Some(item) = items.get(LISTS_MAX) {
        findings.error(item.key_at(), Problem::TooManyLists { limit: LISTS_MAX });
    }
    items.into_iter().filter_map(|item| list::read(item, services, findings)).collect()
}

fn jails(table: Table<'_>, known: &Known<'_>, findings: &mut Findings<'_>) -> Vec<Jail> {
    let items = named(table);
    let mut jails = Vec::new();
    if !items.iter().any(|item| item.key == jail::DEFAULT) {
        jails.push(jail::default(jail::DEFAULT, known.services));
    }
    for item in items {
        let at = item.key_at();
        for jail in jail::read(item, known, findings) {
            // Of a jail that is called as those filters of another one that only observe.
            if jails.iter().any(|known| known.name == jail.name) {
                findings.error(at, Problem::TwoJails(Quoted::new(&jail.name)));
            }
            jails.push(jail);
        }
    }
    if jails.is_empty() {
        findings.warn(None, Problem::NoJail);
    }
    jails
}
