//! Whom each has banned, and whether that is what the table says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::IpAddr,
};

use anyhow::{Context as _, ensure};
use banner_tests::{command_line::CommandLine as _, lab::Lab, patience::until};
use jiff::Timestamp;

use super::{
    fail2ban,
    row::{Row, When},
    trial::LOG,
};

/// fail2ban's jails, with their filters.
pub(crate) const JAILS: [(&str, &str); 5] = [
    ("postfix", "postfix.conf[mode=more]"),
    ("postfix-sasl", "postfix.conf[mode=auth]"),
    ("cyrus-imap", "cyrus-imap.conf"),
    ("dovecot", "dovecot.conf"),
    ("sieve", "sieve.conf"),
];

/// What the names of banner's jails with fail2ban's filters begin with.
pub(crate) const IMPORTED: &str = "fail2ban-";

/// Waits until the last ones are banned, and compares all with the table, which it prints.
///
/// # Errors
/// Somebody is banned otherwise than the table says.
pub(crate) fn compare(lab: &Lab, rows: &[Row]) -> anyhow::Result<()> {
    let mut found = Found::default();
    let closed = until("the last ones are banned", || {
        found = Found::now(lab)?;
        let closing = rows.iter().filter(|row| row.when == When::Closing);
        let mut verdicts = closing.map(|row| found.of(row) == Verdict::expected(row));
        Ok(verdicts.all(|is_expected| is_expected).then_some(()))
    });
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for row in rows {
        let (expected, verdict) = (Verdict::expected(row), found.of(row));
        if verdict != expected {
            wrong.push(format!("{} {}:\n  expected {expected:?}\n  found    {verdict:?}", row.named, row.does));
        }
        known.extend(row.from.iter().map(|address| prefix(*address)));
    }
    let all = found.fail2ban.keys().chain(found.banner.keys());
    wrong.extend(all.filter(|(_, source)| !known.contains(source)).map(|ban| format!("nobody in the table: {ban:?}")));
    write!(std::io::stdout(), "{}\n{}", table(rows, &found), delays(lab, rows, &found)?).context("the table")?;
    closed?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Who bans a source.
#[derive(Debug, PartialEq)]
struct Verdict {
    fail2ban: BTreeSet<String>,
    banner: BTreeSet<String>,
    imported: BTreeSet<String>,
}

impl Verdict {
    fn expected(row: &Row) -> Self {
        let owned = |jails: &BTreeSet<&str>| jails.iter().map(|jail| (*jail).to_owned()).collect();
        Self { fail2ban: owned(&row.fail2ban), banner: owned(&row.banner), imported: owned(&row.imported) }
    }
}

/// All bans, by jail and source as banner sees it, and when they began.
#[derive(Debug, Default)]
struct Found {
    fail2ban: BTreeMap<(String, String), Timestamp>,
    banner: BTreeMap<(String, String), Timestamp>,
}

impl Found {
    fn now(lab: &Lab) -> anyhow::Result<Self> {
        let fail2ban = fail2ban::bans(lab)?;
        let fail2ban = fail2ban.into_iter().map(|((jail, address), at)| ((jail, prefix(address)), at)).collect();
        let word = |ban: &serde_json::Value, name| ban.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let bans = lab.bans()?;
        let banner = bans.iter().map(|ban| {
            let parsed = (|| {
                let since = word(ban, "since")?.parse().ok()?;
                Some(((word(ban, "jail")?, word(ban, "prefix")?), since))
            })();
            parsed.with_context(|| format!("no ban of a jail: {ban}"))
        });
        Ok(Self { fail2ban, banner: banner.collect::<Result<_, _>>()? })
    }

    fn of(&self, row: &Row) -> Verdict {
        let sources: BTreeSet<_> = row.from.iter().map(|address| prefix(*address)).collect();
        let jails = |bans: &BTreeMap<(String, String), Timestamp>| -> BTreeSet<String> {
            bans.keys().filter(|(_, source)| sources.contains(source)).map(|(jail, _)| jail.clone()).collect()
        };
        let (imported, banner) = jails(&self.banner).into_iter().partition(|jail| jail.starts_with(IMPORTED));
        let imported: BTreeSet<String> = imported;
        let imported = imported.iter().filter_map(|jail| jail.strip_prefix(IMPORTED)).map(str::to_owned).collect();
        Verdict { fail2ban: jails(&self.fail2ban), banner, imported }
    }
}

/// What banner bans for an address.
fn prefix(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// As Markdown.
fn table(rows: &[Row], found: &Found) -> String {
    let list = |jails: &BTreeSet<String>| {
        if jails.is_empty() { "–".to_owned() } else { jails.iter().cloned().collect::<Vec<_>>().join(", ") }
    };
    let mut text = "| source | does | fail2ban | banner | banner with fail2ban's filters | because |\n".to_owned();
    text += "| --- | --- | --- | --- | --- | --- |\n";
    for row in rows {
        let verdict = found.of(row);
        let imported =
            if verdict.imported == verdict.fail2ban { "as fail2ban".to_owned() } else { list(&verdict.imported) };
        text += &format!(
            "| {} | {} | {} | {} | {imported} | {} |\n",
            row.named,
            row.does,
            list(&verdict.fail2ban),
            list(&verdict.banner),
            row.because
        );
    }
    text
}

/// How long after the line of the third failure the two began their bans, where there are three lines and nothing before. For
/// information: it depends on what else this machine does.
fn delays(lab: &Lab, rows: &[Row], found: &Found) -> anyhow::Result<String> {
    let log = fs::read_to_string(lab.server.path(LOG)).context("the log")?;
    let (mut fail2ban, mut banner) = (Vec::new(), Vec::new());
    for row in rows.iter().filter(|row| row.before.is_empty() && row.fail2ban.len() == 1 && row.banner.contains("mail"))
    {
        let [from] = row.from[..] else { continue };
        let signs = [format!("[{from}]"), format!("rip={from},")];
        let told = |line: &&str| signs.iter().any(|sign| line.contains(sign)) && line.contains("fail");
        let stamps: Vec<_> = log.lines().filter(told).filter_map(|line| line.split(' ').next()).collect();
        let [_, _, third] = stamps[..] else { continue };
        let third: Timestamp = third.parse()?;
        let began = |bans: &BTreeMap<(String, String), Timestamp>, jail: &str| {
            let at = bans.get(&(jail.to_owned(), prefix(from)))?;
            Some(at.duration_since(third).as_millis())
        };
        fail2ban.extend(row.fail2ban.iter().filter_map(|jail| began(&found.fail2ban, jail)));
        banner.extend(began(&found.banner, "mail"));
    }
    let line = |who: &str, mut delays: Vec<i128>| {
        delays.sort_unstable();
        let median = delays.get(delays.len() / 2).copied().unwrap_or_default();
        let worst = delays.last().copied().unwrap_or_default();
        format!("{who}: {} bans, {median} ms after the third line (median), {worst} ms at worst\n", delays.len())
    };
    Ok(line("fail2ban", fail2ban) + &line("banner", banner))
}
