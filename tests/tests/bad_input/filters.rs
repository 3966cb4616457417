//! Filters of the operator's own that are broken, could be deceived, or lie about unused.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::line,
    network::Network,
    patience::until,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::expect_error;

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));

/// What stands in `filters.d/mine.toml` behind its first line, and what is said about it. `HEAD` has three lines more.
#[rustfmt::skip]
const ROWS: &[(&str, &str, &[&str])] = &[
    ("no TOML",            "[[rule]",                                              &["not TOML", "filters.d/mine.toml:2:"]),
    ("an unknown key",     "patern = 'x'",                                         &["filter `mine`", "unknown field `patern`", "mine.toml:2:1"]),
    ("nobody to count",    "HEADpattern = 'x'\nexample = 'failed x'",              &["rule 1", "nobody could be counted", "mine.toml:5:11"]),
    ("two addresses",      "HEADpattern = '.*\\[<ADDR>\\].*'\nexample = 'failed [192.0.2.1]'", &["rule 1", "in two ways", "`failed [::][<ADDR>]`", "mine.toml:5:11", "<NAME>"]),
    ("a forged address",   "HEADpattern = '[^\\[]*\\[<ADDR>\\].*'\nexample = 'failed [192.0.2.1]'", &["deceived", "`failed [::][<ADDR>]`", "it reads `failed [<ADDR>][::]`", "mine.toml:5:11"]),
    ("a back-reference",   "HEADpattern = '(a)\\1<ADDR>'\nexample = 'x'",          &["back-references are not supported", "mine.toml:5:11"]),
    ("look-around",        "HEADpattern = '(?!a)<ADDR>'\nexample = 'x'",           &["look-around is not supported", "mine.toml:5:11"]),
    ("too large",          "HEADpattern = '(?:.{1000}){1000}<ADDR>'\nexample = 'x'", &["more than 1024 KiB", "mine.toml:5:11"]),
    ("a missed example",   "HEADpattern = '<ADDR>'\nexample = 'failed to 192.0.2.1'", &["its own example", "mine.toml:6:11"]),
    ("a control byte",     "HEADpattern = '<ADDR>'\n\"\\u001b[31m\" = 1",          &["unknown field `\\u{1b}[31m`"]),
];

fn filter(row: &str) -> String {
    format!("ident = ['mine']\n{}", row.replace("HEAD", "[[rule]]\nkind = 'failure'\nstart = 'failed '\n"))
}

fn sound() -> String {
    filter("HEADpattern = 'for <USER> from <ADDR>'\nexample = 'failed for x from 192.0.2.1'")
}

/// With a jail that names the filter.
fn with_jail(installation: &Installation<'_>) -> Configuration {
    let more = format!("[jail.mine]\nfilter = \"mine\"\nsource = {:?}\n", installation.log.path());
    Configuration { more, ..Configuration::default() }
}

fn write(installation: &Installation<'_>, name: &str, text: &str) -> anyhow::Result<()> {
    fs::create_dir_all(installation.path("filters.d"))?;
    fs::write(installation.path("filters.d").join(name), text).context("writing a filter")
}

#[test]
fn a_filter_that_cannot_be_trusted_is_refused_with_its_place_and_what_to_write() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    installation.configure(&with_jail(&installation))?;
    for (case, text, said) in ROWS {
        write(&installation, "mine.toml", &filter(text))?;
        for command in ["run", "check"] {
            let answer = installation.banner(command)?;
            expect_error(&answer, 2, said).with_context(|| format!("{case}, banner {command}"))?;
            ensure!(!answer.stderr.contains("error: error"), "{answer:?}");
            ensure!(!answer.stderr.contains('\u{1b}'), "a control byte reaches the terminal: {answer:?}");
        }
    }
    Ok(())
}

#[test]
fn a_broken_filter_that_no_jail_uses_is_told_by_check_and_stops_nothing() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    write(&installation, "mine.toml", "ident =")?;
    write(&installation, "idle.toml", &sound())?;
    write(&installation, "cyrus2.toml~", "an editor's")?;
    let check = installation.banner("check --json")?.expect(2)?;
    let check: Value = serde_json::from_str(&check.stdout)?;
    let problems = check["problems"].as_array().context("problems")?;
    ensure!(problems.len() == 2, "{check}");
    ensure!(problems[0]["error"] == true && problems[0]["line"] == 1, "{check}");
    ensure!(problems[0]["file"].to_string().contains("filters.d/mine.toml"), "{check}");
    ensure!(problems[1]["error"] == false && problems[1]["message"].to_string().contains("`idle`"), "{check}");
    ensure!(check["findings"].as_array().is_some_and(|findings| !findings.is_empty()), "{check}");

    let _daemon = installation.start()?;
    installation.banner("reload")?.expect(0)?;
    Ok(())
}

#[test]
fn a_name_of_a_built_in_filter_is_refused_and_a_broken_one_is_not_called_unknown() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    write(&installation, "cyrus.toml", &sound())?;
    for command in ["run", "check"] {
        let said = ["filters.d/cyrus.toml", "`cyrus` is the name of a built-in filter", "rename the file"];
        expect_error(&installation.banner(command)?, 2, &said)?;
    }
    fs::remove_file(installation.path("filters.d/cyrus.toml"))?;
    write(&installation, "my filter.toml", &sound())?;
    installation.configure(&Configuration {
        more: format!("[jail.mine]\nfilter = \"my filter\"\nsource = {:?}\n", installation.log.path()),
        ..Configuration::default()
    })?;
    expect_error(&installation.banner("run")?, 2, &["`my filter` cannot be the name of a filter", "rename the file"])
}

#[test]
fn an_own_filter_bans_and_once_it_is_broken_reload_keeps_the_one_before() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    write(&installation, "mine.toml", &sound())?;
    installation.configure(&with_jail(&installation))?;
    let daemon = installation.start()?;
    // What stands in the name is the client's.
    let failure = line("mine", &format!("failed for x from 203.0.113.9 from {ATTACKER}"));
    installation.log.append(&failure.repeat(2))?;
    installation.await_log_read()?;

    write(&installation, "mine.toml", &filter(ROWS[3].1))?;
    expect_error(&installation.banner("reload")?, 2, &["the old one stays in force", "in two ways", "mine.toml:5:11"])?;
    daemon.signal(Signal::SIGHUP)?;
    until("the daemon tells that the old one stays", || {
        let output = daemon.output();
        Ok((output.contains("the old configuration stays in force") && output.contains("in two ways")).then_some(()))
    })?;
    installation.log.append(&failure)?;
    installation.await_ban("198.51.100.66").context("with the filter and the failures before")?;
    ensure!(installation.bans()?.len() == 1, "{:?}", installation.bans()?);
    Ok(())
}
