//! What was answered, what was logged, and what banner has counted: source by source, it must be the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    process::Stdio,
};

use anyhow::{Context as _, bail, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    lab::{Lab, client::Service},
    patience::until,
};
use serde_json::Value;

use super::attack::{Guess, MAXRETRY, Tries, guess};

/// Failures of each source.
pub(crate) type Failures = BTreeMap<IpAddr, usize>;

/// The last one to fail: what is logged behind its lines is none of the attack.
const LAST: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 99));

/// Whom the last one fails at.
const LAST_SERVICES: [Service; 2] = [Service::Smtp, Service::Imap];

/// Sees that every failure which was answered was logged, and that these jails have counted what was logged, once.
///
/// `written` is a script that prints all that was logged, and `left` one that prints what a rotation has left of it for banner
/// to read; these `jails` count without end, another one bans.
///
/// # Errors
/// They have not.
pub(crate) fn balance(
    lab: &Lab,
    answered: &BTreeMap<IpAddr, Tries>,
    written: &str,
    left: &str,
    jails: &[&str],
) -> anyhow::Result<()> {
    for service in LAST_SERVICES {
        let last = guess(&lab.clients(), LAST, service)?;
        ensure!(matches!(last, Guess::Refused), "{last:?}");
    }
    let logged = until("the last failure is logged", || {
        let logged = logged(&lab.server.script(written)?)?;
        Ok((logged.get(&LAST) == Some(&LAST_SERVICES.len())).then_some(logged))
    })?;
    for (source, tries) in answered {
        let lines = logged.get(source).copied().unwrap_or_default();
        ensure!(
            (tries.refused..=tries.refused + tries.unanswered).contains(&lines),
            "{source} was answered {tries:?}, and {lines} were logged"
        );
    }
    let unknown: Vec<_> = logged.keys().filter(|source| **source != LAST && !answered.contains_key(source)).collect();
    ensure!(unknown.is_empty(), "nobody sent what was logged of {unknown:?}");

    let left = self::logged(&lab.server.script(left)?)?;
    let mut differences = Vec::new();
    let counted = until("banner has counted everything", || {
        let counted = counted(lab, &logged)?;
        differences = differing(&logged, &left, &counted, jails);
        let excess = differences.iter().find(|difference| difference.counted > difference.logged);
        ensure!(excess.is_none(), "counted more than once: {excess:?}");
        Ok(differences.is_empty().then_some(()))
    });
    counted.with_context(|| {
        format!("{} differences: {:?}", differences.len(), differences.get(..differences.len().min(8)))
    })?;

    let banned: BTreeSet<IpAddr> = lab.bans()?.iter().map(banned_address).collect::<Result<_, _>>()?;
    let over = |failures: &Failures| -> BTreeSet<IpAddr> {
        failures.iter().filter(|(_, lines)| **lines >= MAXRETRY).map(|(source, _)| network(*source)).collect()
    };
    let (wrongly, not) = (&banned - &over(&logged), &over(&left) - &banned);
    ensure!(wrongly.is_empty() && not.is_empty(), "wrongly banned {wrongly:?}, wrongly not {not:?}");
    Ok(())
}

/// A source that a jail has counted otherwise than it was logged.
#[derive(Debug)]
struct Difference<'a> {
    #[expect(dead_code, reason = "printed")]
    source: IpAddr,
    #[expect(dead_code, reason = "printed")]
    jail: &'a str,
    logged: usize,
    counted: usize,
}

fn differing<'a>(
    logged: &Failures,
    left: &Failures,
    counted: &BTreeMap<IpAddr, BTreeMap<String, usize>>,
    jails: &[&'a str],
) -> Vec<Difference<'a>> {
    let mut differences = Vec::new();
    for (source, lines) in logged {
        for jail in jails {
            let counted = counted.get(source).and_then(|jails| jails.get(*jail)).copied().unwrap_or_default();
            let left = left.get(source).copied().unwrap_or_default();
            if !(left..=*lines).contains(&counted) {
                differences.push(Difference { source: *source, jail, logged: *lines, counted });
            }
        }
    }
    differences
}

/// Failures in what two servers write, whatever stands before their words.
pub(crate) fn logged(text: &str) -> anyhow::Result<Failures> {
    let mut failures = Failures::new();
    for line in text.lines() {
        let end = if line.contains(" authentication failed: ") && !line.contains("generic failure") {
            line.find("]: SASL ")
        } else if line.contains(": badlogin: ") && line.contains("[SASL(-13): ") {
            line.find("] plaintext ")
        } else {
            continue;
        };
        let address = end.and_then(|end| line.get(..end)?.rsplit('[').next());
        let source = address.and_then(|address| address.parse().ok()).with_context(|| format!("whose is: {line}"))?;
        *failures.entry(source).or_default() += 1;
    }
    Ok(failures)
}

/// What `banner match --json` finds in what a script on the host prints.
pub(crate) fn matched(lab: &Lab, script: &str) -> anyhow::Result<Failures> {
    let mut failures = Failures::new();
    for line in
        lab.server.script(&format!("{script} | banner match --filter postfix-sasl --filter cyrus --json -"))?.lines()
    {
        let found: Value = serde_json::from_str(line)?;
        if found.get("kind") == Some(&"failure".into()) {
            let source = found.get("addr").and_then(Value::as_str).with_context(|| format!("whose is {line}"))?;
            *failures.entry(source.parse()?).or_default() += 1;
        }
    }
    Ok(failures)
}

/// What each jail has counted of these sources, as the control socket tells it.
fn counted(lab: &Lab, sources: &Failures) -> anyhow::Result<BTreeMap<IpAddr, BTreeMap<String, usize>>> {
    let mut curl = lab.server.command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--unix-socket", "/run/banner/banner.sock", "--config", "-"]);
    let mut curl = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut input = curl.stdin.take().context("it has a standard input")?;
    let urls: String = sources.keys().map(|source| format!("url = \"http://banner/v1/why/{source}\"\n")).collect();
    let asking = std::thread::spawn(move || input.write_all(urls.as_bytes()));
    let output = curl.wait_with_output()?;
    let Ok(asked) = asking.join() else { bail!("asking panicked") };
    if !output.status.success() || asked.is_err() {
        // The daemon is being started again.
        return Ok(BTreeMap::new());
    }
    let mut all = BTreeMap::new();
    for answer in serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>() {
        let answer = answer?;
        let source: IpAddr = answer.get("address").and_then(Value::as_str).context("whose?")?.parse()?;
        let mut jails = BTreeMap::new();
        for tally in answer.get("tally").and_then(Value::as_array).context("no tally")? {
            let jail = tally.get("jail").and_then(Value::as_str).context("no jail")?;
            let failures = tally.get("failures").and_then(Value::as_u64).context("not whole failures")?;
            jails.insert(jail.to_owned(), usize::try_from(failures)?);
        }
        all.insert(source, jails);
    }
    Ok(all)
}

/// What a ban is of, by the first address.
fn banned_address(ban: &Value) -> anyhow::Result<IpAddr> {
    let prefix = ban.get("prefix").and_then(Value::as_str).context("a ban without a prefix")?;
    Ok(prefix.split('/').next().unwrap_or(prefix).parse()?)
}

/// What a source is banned as: itself, or the first address of its /64.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[test]
fn failures_are_read_behind_any_prefix() -> anyhow::Result<()> {
    let text = "\
        Nov  2 03:04:05 mail postfix/smtpd[7]: warning: unknown[198.18.128.1]: SASL PLAIN authentication failed: authentication failure\n\
        2026-11-02T03:04:05.1+00:00 mail cyrus/imap[8]: badlogin: [2001:db8::1] plaintext alice [SASL(-13): authentication failure: checkpass failed]\n\
        <20>1 - mail postfix 7 - warning: unknown[198.18.128.1]: SASL PLAIN authentication failed: generic failure\n";
    let failures = logged(text)?;
    let expected = [("198.18.128.1".parse()?, 1), ("2001:db8::1".parse()?, 1)];
    ensure!(failures == expected.into(), "{failures:?}");
    Ok(())
}
