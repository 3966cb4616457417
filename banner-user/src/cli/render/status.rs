//! `banner status`.

use super::style::{Style, ban_time, count, list, place, seconds, table};
use crate::control::protocol::{
    AccountsUnderAttack, File, FileState, Fill, Interface, InterfaceState, Jail, Lag, Limits, List, ListAction, Mode,
    Packets, Status, Text,
};

/// Everything.
pub(in crate::cli) fn status(status: &Status, style: &Style) -> String {
    let running = match &status.daemon {
        Some(daemon) => {
            format!("banner {}, process {}, running since {}", daemon.version, daemon.pid, style.time(daemon.since))
        }
        None => style.bad("banner is not running"),
    };
    let warnings: String =
        status.warnings.iter().map(|text| format!("{} {text}\n", style.warning("warning:"))).collect();
    let sections = [
        section("interfaces", &interfaces(&status.interfaces, style), style),
        status.jails.iter().map(|each| format!("\n{}", jail(each, style))).collect(),
        section("accounts under attack", &attacks(&status.accounts_under_attack, style), style),
        section("logs", &(files(&status.files, style) + &lag(status.lag)), style),
        section("lists", &lists(&status.lists, style), style),
        section("packets", &packets(&status.packets), style),
        section("limits", &limits(&status.limits, style), style),
    ];
    format!("{running}\n{warnings}{}", sections.concat())
}

/// One jail.
pub(in crate::cli) fn jail(jail: &Jail, style: &Style) -> String {
    let observing = if jail.observe { style.warning(" (observes only: drops nothing)") } else { String::new() };
    let now_and_ever = |now: u64, ever: u64| format!("{now} now, {ever} since the start");
    let rows = [
        ("failed", now_and_ever(jail.currently_failed, jail.total_failed)),
        ("banned", now_and_ever(jail.currently_banned, jail.total_banned)),
        (
            "limit",
            format!(
                "maxretry {} within findtime {}, bantime {}",
                jail.maxretry,
                seconds(jail.findtime),
                ban_time(jail.bantime)
            ),
        ),
        ("services", list(&jail.services)),
        ("filter", list(&jail.filter)),
        ("source", list(&jail.source)),
    ];
    let rows = rows.map(|(name, value)| [name.to_owned(), value]);
    format!("{}{observing}\n{}", style.heading(&format!("jail {}", jail.name)), table(&rows))
}

fn section(heading: &str, body: &str, style: &Style) -> String {
    if body.is_empty() { String::new() } else { format!("\n{}\n{body}", style.heading(heading)) }
}

fn interfaces(interfaces: &[Interface], style: &Style) -> String {
    let row = |interface: &Interface| {
        let state = match interface.state {
            InterfaceState::Attached => "attached".to_owned(),
            InterfaceState::Missing => style.bad("missing"),
            InterfaceState::Failed => style.bad("failed"),
        };
        let mode = match interface.mode {
            Some(Mode::Native) => "native",
            Some(Mode::Generic) => "generic",
            None => "-",
        };
        [interface.name.to_string(), mode.to_owned(), with_note(state, interface.note.as_ref())]
    };
    table(&interfaces.iter().map(row).collect::<Vec<_>>())
}

fn files(files: &[File], style: &Style) -> String {
    let row = |file: &File| {
        let state = match file.state {
            FileState::Following => "following".to_owned(),
            FileState::Draining => "rotated away or no longer configured, read to its end".to_owned(),
            FileState::Missing => style.bad("missing"),
            FileState::Unreadable => style.bad("unreadable"),
        };
        let behind = if file.behind > 0 { format!(", {} behind", count(file.behind, "byte")) } else { String::new() };
        let read = format!("{}, at {}{behind}", count(file.lines, "line"), place(&file.path, file.offset));
        [file.path.to_string(), read, with_note(state, file.note.as_ref())]
    };
    table(&files.iter().map(row).collect::<Vec<_>>())
}

/// How long lines wait, in the words of someone who waits for a ban.
fn lag(lag: Option<Lag>) -> String {
    let seconds = |milliseconds: u64| format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000);
    lag.map_or_else(String::new, |lag| {
        let (current, worst) = (seconds(lag.current_ms), seconds(lag.worst_ms));
        format!("  lines are judged at most {current} after they were written; within the last minute, {worst}\n")
    })
}

fn lists(lists: &[List], style: &Style) -> String {
    let row = |list: &List| {
        let entries = match list.action {
            ListAction::Ignore => format!("{} never banned", count_of(list.entries)),
            ListAction::Ban if list.observe => format!("{} observed only", count_of(list.banned)),
            ListAction::Ban => format!("{} banned", count_of(list.banned)),
        };
        let dropped = match list.action {
            ListAction::Ban => {
                let what = if list.observe { "counted" } else { "dropped" };
                format!("{}, {} {what}", count(list.packets, "packet"), count(list.bytes, "byte"))
            }
            ListAction::Ignore => String::new(),
        };
        let read = list.read.map_or_else(|| "never read".to_owned(), |at| format!("read {}", style.time(at)));
        let lags = if list.follows { "" } else { ", the kernel follows" };
        let trouble = list.trouble.as_ref().map(|why| style.bad(&format!(": its file {why}"))).unwrap_or_default();
        [list.name.to_string(), entries, dropped, format!("{read}{lags}{trouble}")]
    };
    table(&lists.iter().map(row).collect::<Vec<_>>())
}

fn count_of(entries: u64) -> String {
    if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") }
}

fn with_note(state: String, note: Option<&Text>) -> String {
    match note {
        Some(note) => format!("{state}: {note}"),
        None => state,
    }
}

/// How many accounts under attack are listed; `--json` has more.
const ATTACKS_SHOWN: usize = 10;

fn attacks(attacks: &AccountsUnderAttack, style: &Style) -> String {
    let shown = attacks.accounts.iter().take(ATTACKS_SHOWN).map(|attack| {
        let account = attack.account.as_ref().map_or("?", Text::as_str).to_owned();
        [account, format!("since {}", style.time(attack.since)), format!("last {}", style.time(attack.last))]
    });
    let rows: Vec<[String; 3]> = shown.collect();
    let more = attacks.total.saturating_sub(rows.len() as u64);
    let more = if more == 0 { String::new() } else { format!("  and {more} more\n") };
    table(&rows) + &more
}

fn packets(packets: &Packets) -> String {
    let rows = [
        (packets.dropped_ban, "dropped: banned source, guarded port"),
        (packets.dropped_odd, "dropped: the same, in an odd shape (tags, options, fragments)"),
        (packets.dropped_unreadable, "dropped: banned source, its port cannot be read"),
        (packets.observed, "passed, though an observing ban would have dropped them"),
        (packets.passed_clean, "passed: guarded port, no ban"),
        (packets.passed_ban, "passed: the ban was over or for other services"),
        (packets.passed_odd, "passed: odd shape, no ban"),
        (packets.passed_unguarded, "passed: odd shape that cannot reach a guarded port"),
    ];
    let width = rows.iter().map(|(number, _)| number.to_string().len()).max().unwrap_or(0);
    rows.iter().map(|(number, meaning)| format!("  {number:width$}  {meaning}\n")).collect()
}

fn limits(limits: &Limits, style: &Style) -> String {
    let row = |name: &str, fill: Fill| {
        let used = format!("{} of {}", fill.used, fill.limit);
        let overflowed = match fill.overflowed {
            0 => String::new(),
            number => style.warning(&format!("{number} found no room or had to give way")),
        };
        [name.to_owned(), used, overflowed]
    };
    let mut rows = vec![
        row("IPv4 addresses", limits.bans_v4),
        row("IPv6 /64s", limits.bans_v6),
        row("other IPv4 prefixes", limits.prefixes_v4),
        row("other IPv6 prefixes", limits.prefixes_v6),
    ];
    rows.extend(limits.sources.map(|sources| row("sources with failures", sources)));
    rows.extend(limits.offenders.map(|offenders| row("sources banned before", offenders)));
    rows.extend(limits.customers.map(|customers| row("logins", customers)));
    table(&rows)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::control::protocol::{AccountUnderAttack, BanTime, Daemon, Time};

    fn example() -> Status {
        Status {
            daemon: Some(Daemon {
                version: "0.1.0".into(),
                pid: 812,
                since: Time("2026-11-22T12:00:00Z".parse().unwrap()),
            }),
            interfaces: vec![
                Interface {
                    name: "eth0".into(),
                    mode: Some(Mode::Native),
                    state: InterfaceState::Attached,
                    note: None,
                },
                Interface {
                    name: "wan1".into(),
                    mode: None,
                    state: InterfaceState::Missing,
                    note: Some("there is no such interface".into()),
                },
            ],
            jails: vec![Jail {
                name: "mail".into(),
                currently_failed: 3,
                total_failed: 120,
                currently_banned: 2,
                total_banned: 14,
                maxretry: 3,
                findtime: 600,
                bantime: BanTime::Seconds(NonZeroU32::new(5400).unwrap()),
                services: vec!["smtp".into(), "imap".into()],
                filter: vec!["postfix-sasl".into(), "cyrus".into()],
                source: vec!["/var/log/mail.log".into()],
                observe: false,
            }],
            files: vec![File {
                path: "/var/log/mail.log".into(),
                state: FileState::Following,
                offset: 52_000,
                behind: 0,
                lines: 1,
                note: Some("its stamps are an hour behind".into()),
            }],
            lists: Vec::new(),
            lag: Some(Lag { current_ms: 251, worst_ms: 12_003 }),
            packets: Packets { dropped_ban: 1200, passed_clean: 9, ..Packets::default() },
            limits: Limits {
                bans_v4: Fill { used: 2, limit: 262_144, overflowed: 5 },
                sources: Some(Fill { used: 5, limit: 1_000_000, overflowed: 0 }),
                customers: Some(Fill { used: 7, limit: 200_000, overflowed: 0 }),
                ..Limits::default()
            },
            foreign_entries: Some(0),
            fuse: Vec::new(),
            accounts_under_attack: AccountsUnderAttack {
                total: 3,
                accounts: [Some("alice".into()), None]
                    .map(|account| AccountUnderAttack {
                        account,
                        since: Time("2026-11-22T12:00:00Z".parse().unwrap()),
                        last: Time("2026-11-22T12:10:00Z".parse().unwrap()),
                    })
                    .into(),
            },
            warnings: vec!["wan1 is not guarded".into()],
        }
    }

    #[test]
    fn a_running_daemon_shows_everything() {
        assert_eq!(
            status(&example(), &Style::plain()),
            "\
banner 0.1.0, process 812, running since 2026-11-22 12:00:00+00:00
warning: wan1 is not guarded

interfaces
  eth0  native  attached
  wan1  -       missing: there is no such interface

jail mail
  failed    3 now, 120 since the start
  banned    2 now, 14 since the start
  limit     maxretry 3 within findtime 10m, bantime 1h 30m
  services  smtp, imap
  filter    postfix-sasl, cyrus
  source    /var/log/mail.log

accounts under attack
  alice  since 2026-11-22 12:00:00+00:00  last 2026-11-22 12:10:00+00:00
  ?      since 2026-11-22 12:00:00+00:00  last 2026-11-22 12:10:00+00:00
  and 1 more

logs
  /var/log/mail.log  1 line, at byte 52000  following: its stamps are an hour behind
  lines are judged at most 0.251 s after they were written; within the last minute, 12.003 s

packets
  1200  dropped: banned source, guarded port
     0  dropped: the same, in an odd shape (tags, options, fragments)
     0  dropped: banned source, its port cannot be read
     0  passed, though an observing ban would have dropped them
     9  passed: guarded port, no ban
     0  passed: the ban was over or for other services
     0  passed: odd shape, no ban
     0  passed: odd shape that cannot reach a guarded port

limits
  IPv4 addresses         2 of 262144   5 found no room or had to give way
  IPv6 /64s              0 of 0
  other IPv4 prefixes    0 of 0
  other IPv6 prefixes    0 of 0
  sources with failures  5 of 1000000
  logins                 7 of 200000
"
        );
    }

    #[test]
    fn without_a_daemon_there_are_no_jails_logs_and_sources() {
        let offline = Status {
            daemon: None,
            jails: Vec::new(),
            accounts_under_attack: AccountsUnderAttack::default(),
            files: Vec::new(),
            lag: None,
            limits: Limits { sources: None, customers: None, ..example().limits },
            ..example()
        };
        let shown = status(&offline, &Style::plain());
        assert!(shown.starts_with("banner is not running\n"), "{shown}");
        for absent in ["jail", "attack", "logs", "sources with failures", "logins"] {
            assert!(!shown.contains(absent), "{shown}");
        }
    }

    #[test]
    fn colour_marks_what_is_wrong_and_moves_no_column() {
        let colour = Style { colour: true, ..Style::plain() };
        let shown = status(&example(), &colour);
        assert!(shown.contains("\x1b[31mmissing\x1b[0m: there is"), "{shown}");
        let codes = ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[33m"];
        let stripped = codes.iter().fold(shown, |shown, code| shown.replace(code, ""));
        assert_eq!(stripped, status(&example(), &Style::plain()));
    }
}
