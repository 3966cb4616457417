//! A table `[jail.NAME]`.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;

use super::{
    address,
    findings::Findings,
    problem::{Problem, Quoted},
    read::{Item, JAIL, Section, absolute},
};
use crate::{
    catalogue::fail2ban::Reference,
    event::FilterName,
    judge::policy::{BanTime, Jail},
    nearest::nearest,
    service::{MAIL, ServiceError, ServiceMask, Services},
    source::journal::JOURNAL,
};

/// The jail that exists without configuration.
pub(super) const DEFAULT: &str = "mail";

/// A jail that can do without `filter`, `source` and `services`.
struct Ready {
    name: &'static str,
    /// Whether it is on where nothing says so.
    enabled: bool,
    filters: &'static [&'static str],
    source: &'static [&'static str],
    services: &'static [&'static str],
}

/// Webmail's files are those of Debian's packages. That jail is off because what it reads has to be made trustworthy first: the
/// heads of its filters, and the installed configuration, say how.
const READY: [Ready; 2] = [
    Ready {
        name: DEFAULT,
        enabled: true,
        filters: &["postfix-sasl", "cyrus"],
        source: &["/var/log/mail.log"],
        services: &MAIL,
    },
    Ready {
        name: "webmail",
        enabled: false,
        filters: &["roundcube", "sogo"],
        source: &["/var/log/roundcube/errors.log", "/var/log/sogo/sogo.log"],
        services: &["http", "https"],
    },
];

/// What another jail is about cannot be guessed.
const UNKNOWN: Ready = Ready { name: "", enabled: true, filters: &[], source: &[], services: &MAIL };

fn ready(name: &str) -> &'static Ready {
    READY.iter().find(|ready| ready.name == name).unwrap_or(&UNKNOWN)
}

/// The most that `maxretry` can be: the judge remembers so many failures of each source.
const MAXRETRY_MAX: u16 = 1000;

/// The names that a jail can refer to.
pub(super) struct Known<'k> {
    pub(super) filters: &'k [String],
    pub(super) services: &'k Services,
}

/// What a key of a jail is where it is not set.
pub(super) fn default(name: &str, services: &Services) -> Jail {
    let ready = ready(name);
    Jail {
        name: name.into(),
        filters: ready.filters.iter().map(|filter| (*filter).into()).collect(),
        source: ready.source.iter().map(|path| (*path).to_owned()).collect(),
        maxretry: 3,
        findtime: Duration::from_secs(10 * 60),
        bantime: BanTime::For(Duration::from_secs(10 * 60)),
        services: services.mask(ready.services.iter().copied()).unwrap_or_default(),
        ignoreip: Vec::new(),
        observe: false,
        hears_logins: false,
    }
}

/// What the jail of the filters that only observe is called, behind the name of the one that has the others.
pub(super) const OBSERVED: &str = "-observed";

/// The jail in a table, or none where it is switched off. Where some of its filters only observe, these are a jail of their own, after
/// it: their failures are counted apart, and ban nobody.
pub(super) fn read(item: Item<'_>, known: &Known<'_>, findings: &mut Findings<'_>) -> Vec<Jail> {
    let (name, at) = (item.key, item.key_at());
    let default = default(name, known.services);
    if !is_name(name) {
        findings.error(at, Problem::Name(Quoted::new(name)));
    }
    let Some(table) = item.table(findings) else { return Vec::new() };
    let mut table = Section::new(table, JAIL);

    let enabled = table.take("enabled").and_then(|item| item.flag(findings));
    let filters = table.take("filter").map(|item| filters(item, known.filters, findings));
    let has_filters = filters.is_some();
    let source = table.take("source").map(|item| sources(item, findings));
    let maxretry = table.take("maxretry").and_then(|item| item.number(1, MAXRETRY_MAX, findings));
    let findtime = table.take("findtime").and_then(|item| item.duration("", findings));
    let (bantime, bantime_at) = match table.take("bantime") {
        Some(item) => (ban_time(&item, findings), Some(item.at())),
        None => (None, None),
    };
    let services = table.take("services").map(|item| services_mask(item, known.services, findings));
    let ignoreip = table.take("ignoreip").map(|item| prefixes(item, findings));
    let filters = filters.unwrap_or(default.filters);
    let observed = table.take("observe").map(|item| observed(item, &filters, findings)).unwrap_or_default();
    table.finish(findings);

    for (key, example, missing) in [
        ("filter", "filter = \"cyrus\"", filters.is_empty() && !has_filters),
        ("source", "source = \"/var/log/mail.log\"", source.is_none() && default.source.is_empty()),
    ] {
        if missing {
            findings.error(at, Problem::MissingKey { jail: Quoted::new(name), key, example });
        }
    }
    if bantime.unwrap_or(default.bantime) < BanTime::For(findtime.unwrap_or(default.findtime)) {
        findings.warn(Some(bantime_at.unwrap_or(at)), Problem::ShortBan);
    }
    let is_ready = ready(name).enabled;
    if enabled.is_none() && !is_ready {
        findings.warn(Some(at), Problem::Off(Quoted::new(name)));
    }
    if !enabled.unwrap_or(is_ready) {
        return Vec::new();
    }
    let (observed, enforced): (Vec<_>, Vec<_>) = filters.into_iter().partition(|filter| observed.contains(filter));
    let jail = Jail {
        name: default.name,
        filters: enforced,
        source: source.unwrap_or(default.source),
        maxretry: maxretry.unwrap_or(default.maxretry),
        findtime: findtime.unwrap_or(default.findtime),
        bantime: bantime.unwrap_or(default.bantime),
        services: services.unwrap_or(default.services),
        ignoreip: ignoreip.unwrap_or(default.ignoreip),
        observe: false,
        hears_logins: default.hears_logins,
    };
    let name = if jail.filters.is_empty() { Arc::clone(&jail.name) } else { format!("{name}{OBSERVED}").into() };
    let watching = Jail { name, filters: observed, observe: true, ..jail.clone() };
    [jail, watching].into_iter().filter(|jail| !jail.filters.is_empty()).collect()
}

/// Those of a jail's filters that only observe.
fn observed(item: Item<'_>, filters: &[FilterName], findings: &mut Findings<'_>) -> Vec<FilterName> {
    if item.is_flag() {
        return if item.flag(findings) == Some(true) { filters.to_vec() } else { Vec::new() };
    }
    let names = item.names(findings);
    for (name, at) in &names {
        if !filters.iter().any(|filter| &**filter == *name) {
            let known: Vec<&str> = filters.iter().map(|filter| &**filter).collect();
            let nearest = nearest(name, known.iter().copied()).map(Quoted::new);
            let (what, known) = ("filter of this jail", known.join(", "));
            findings.error(*at, Problem::UnknownName { what, name: Quoted::new(name), nearest, known });
        }
    }
    names.into_iter().map(|(name, _)| Arc::from(name)).collect()
}

/// Whether a jail or a service can be called so: it appears in paths, JSON and command lines.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn filters(item: Item<'_>, known: &[String], findings: &mut Findings<'_>) -> Vec<FilterName> {
    let names = item.names(findings);
    for (name, at) in &names {
        if let Some(reference) = Reference::parse(name) {
            if let Err(error) = reference {
                findings.error(*at, Problem::Fail2ban { name: Quoted::new(name), error });
            }
        } else if !known.iter().any(|known| known == name) {
            let nearest = nearest(name, known.iter().map(String::as_str)).map(Quoted::new);
            let problem =
                Problem::UnknownName { what: "filter", name: Quoted::new(name), nearest, known: known.join(", ") };
            findings.error(*at, problem);
        }
    }
    names.into_iter().map(|(name, _)| Arc::from(name)).collect()
}

fn sources(item: Item<'_>, findings: &mut Findings<'_>) -> Vec<String> {
    let mut sources = Vec::new();
    let mut journal = None;
    for (pattern, at) in item.names(findings) {
        if pattern == JOURNAL {
            journal = Some(at);
            sources.push(pattern.to_owned());
        } else if let Some(path) = absolute((pattern, at), findings) {
            sources.push(path.to_owned());
        }
    }
    if let Some(at) = journal.filter(|_| sources.len() > 1) {
        // rsyslog writes what it gets from the journal to its files, which is Debian's default where it is installed.
        findings.warn(Some(at), Problem::JournalAndFiles(Quoted::new("source")));
    }
    sources
}

/// A duration, or what stands for no end: the word, or fail2ban's -1.
fn ban_time(item: &Item<'_>, findings: &mut Findings<'_>) -> Option<BanTime> {
    if item.is("permanent") || item.is_number(-1) {
        return Some(BanTime::Permanent);
    }
    // fail2ban's `bantime.increment`, `bantime.factor` and the like.
    if item.is_table() {
        findings.error(item.at(), Problem::Increment(item.quoted_key()));
        return None;
    }
    item.duration(", or `permanent`", findings).map(BanTime::For)
}

/// The bits of services by their names.
pub(super) fn services_mask(item: Item<'_>, services: &Services, findings: &mut Findings<'_>) -> ServiceMask {
    let mut mask = ServiceMask::NONE;
    for (name, at) in item.names(findings) {
        match services.mask([name]) {
            Ok(service) => mask = mask.union(service),
            Err(ServiceError::Unknown { nearest, .. }) => {
                let known = services.known().collect::<Vec<_>>().join(", ");
                let nearest = nearest.as_deref().map(Quoted::new);
                let problem = Problem::UnknownName { what: "service", name: Quoted::new(name), nearest, known };
                findings.error(at, problem);
            }
            Err(ServiceError::TooMany) => {}
        }
    }
    mask
}

/// A list of addresses and prefixes, here and in the whole configuration. It may be empty, and one may be there twice.
pub(super) fn prefixes(item: Item<'_>, findings: &mut Findings<'_>) -> Vec<IpNet> {
    let mut prefixes = Vec::new();
    for element in item.elements() {
        let Some(text) = element.string(findings) else { continue };
        let value = Quoted::new(text);
        match address::parse(text) {
            Err(error) => findings.error(element.at(), Problem::Address { value, error }),
            Ok(typed) => {
                let prefix = typed.trunc();
                if prefix.prefix_len() == 0 {
                    findings.warn(Some(element.at()), Problem::IgnoresAll(value));
                } else if prefix != typed {
                    findings.warn(Some(element.at()), Problem::HostBits { typed: value, covers: prefix.to_string() });
                }
                prefixes.push(prefix);
            }
        }
    }
    prefixes
}
