//! `banner why`.

use super::{
    bans::by,
    style::{Style, count, list, place, seconds, table},
};
use crate::control::protocol::{Ban, BanTime, Cause, Failure, Network, Origin, PastBan, Reason, Standing, Tally, Why};

/// Everything that is known of an address, the verdict first.
pub(in crate::cli) fn why(why: &Why, style: &Style) -> String {
    let counted_as =
        if why.source == why.address.into() { String::new() } else { format!(" (counted as {})", why.source) };
    let verdict = match &why.protected {
        Some(reason) => style.good(&format!("is never banned: {reason}")),
        None if why.bans.is_empty() => "is not banned".to_owned(),
        None if why.bans.iter().all(|ban| ban.waits) => {
            style.warning("is to be banned, and waits for room in the kernel: nothing is dropped")
        }
        None if why.bans.iter().all(|ban| ban.observe) => style.warning("would be banned, and is only observed"),
        None => style.bad("is banned"),
    };
    let mut text = format!("{}{counted_as} {verdict}\n", why.address);
    for each in &why.bans {
        let is_its =
            |cause: &&Cause| (cause.prefix, cause.origin, &cause.jail) == (each.prefix, each.origin, &each.jail);
        text += &ban(each, why.causes.iter().find(is_its), style);
    }
    if why.failures_while_banned > 0 {
        let still = format!(
            "{} logged while it was banned: does it come through a proxy, another interface or another namespace?",
            count(why.failures_while_banned, "failure")
        );
        text += &format!("{} {still}\n", style.warning("warning:"));
    }
    if !why.tally.is_empty() {
        text += &format!("\n{}\n{}", style.heading("tally"), tally(&why.tally));
    }
    let known = known(why.standing, why.network.as_ref());
    if !known.is_empty() {
        text += &format!("\n{}\n{}", style.heading("known of it"), table(&known));
    }
    if !why.failures.is_empty() {
        // They stay known after an unban or their `findtime`.
        let heading =
            if why.bans.is_empty() && why.tally.is_empty() { "failures that no longer count" } else { "failures" };
        text += &format!("\n{}\n{}", style.heading(heading), failures(&why.failures, style));
    }
    if !why.history.is_empty() {
        text += &format!("\n{}\n{}", style.heading("earlier bans"), history(&why.history, style));
    }
    if let Some(reason) = &why.history_unknown {
        text += &format!("\n{} earlier bans are not known: {reason}\n", style.warning("warning:"));
    }
    if let Some(line) = &why.newest_line {
        text += &format!("\n{}\n  {line}\n", style.heading("newest line"));
    }
    if !why.remedies.is_empty() {
        text += &format!("\n{}\n", style.heading("to let it in"));
        why.remedies.iter().for_each(|remedy| text += &format!("  {remedy}\n"));
    }
    text
}

/// What is known of a source beside its failures, as far as that says something.
fn known(standing: Standing, network: Option<&Network>) -> Vec<[String; 2]> {
    let Standing { customer, accounts, shared, spared, tried, attacked, banned_before } = standing;
    let mut rows = Vec::new();
    let mut say = |name: &str, value: String| rows.push([name.to_owned(), value]);
    if shared {
        say("logins", format!("{accounts} accounts or more have logged in from there lately: it is shared by many"));
    } else if accounts > 0 {
        say("logins", format!("{} logged in from there lately: a customer's", count(accounts, "account")));
    } else if customer {
        say("logins", "somebody has logged in from there lately: a customer's".to_owned());
    }
    if spared {
        say("fuse", "tripped: failures on accounts that logged in from there count against nobody".to_owned());
    }
    if tried > 1 || attacked > 0 {
        let under_attack = if attacked > 0 { format!(", {attacked} of them under attack") } else { String::new() };
        say("tried", format!("{} lately{under_attack}", count(tried, "account")));
    }
    if banned_before > 0 {
        say("banned", format!("{} before, which makes the next ban longer", count(banned_before, "time")));
    }
    if let Some(network) = network.filter(|network| !network.members.is_empty()) {
        let spared = if network.customers { ", but somebody has logged in from there: it is not banned" } else { "" };
        let failed = count(network.members.len() as u64, "source");
        say("network", format!("{failed} of {} failed, {} ban it{spared}", network.prefix, network.limit));
    }
    rows
}

/// `3.25 of 3 failures, the last by filter cyrus; banned once before`.
fn because(cause: &Cause) -> String {
    let limit = cause.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    format!("{}{limit} failures, the last by filter {}{}", cause.failures, cause.filter, reasons(&cause.reasons))
}

fn reasons(reasons: &[Reason]) -> String {
    reasons.iter().map(|reason| format!("; {}", reason.text)).collect()
}

fn ban(ban: &Ban, cause: Option<&Cause>, style: &Style) -> String {
    let only = match (ban.waits, ban.observe) {
        (true, _) => ", waits for room in the kernel: nothing is dropped",
        (false, true) => ", observed only: nothing is dropped",
        (false, false) => "",
    };
    let since = ban.since.map(|since| format!("since {}, ", style.time(since))).unwrap_or_default();
    let left = ban.remaining.map(|left| format!(", {} left", seconds(left))).unwrap_or_default();
    let last = ban.last_seen.map(|last| format!(", the last at {}", style.time(last))).unwrap_or_default();
    let rows = [
        ("by", format!("{}{only}", by(ban))),
        (
            "time",
            format!(
                "{since}{}{left}",
                ban.until.map_or_else(|| "permanent".to_owned(), |until| format!("until {}", style.time(until)))
            ),
        ),
        ("from", list(&ban.services)),
        (
            if ban.observe { "counted" } else { "dropped" },
            format!("{}, {}{last}", count(ban.packets, "packet"), count(ban.bytes, "byte")),
        ),
    ];
    let why = cause.map(|cause| ("for", because(cause)));
    let [by, others @ ..] = rows;
    let rows: Vec<_> =
        [by].into_iter().chain(why).chain(others).map(|(name, value)| [name.to_owned(), value]).collect();
    format!("\n{}\n{}", style.heading(&format!("ban of {}", ban.prefix)), table(&rows))
}

fn tally(tally: &[Tally]) -> String {
    let row = |tally: &Tally| {
        [
            format!("jail {}", tally.jail),
            match &tally.protected {
                None => stands(tally),
                Some(reason) => format!("never bans it: {reason}"),
            },
        ]
    };
    table(&tally.iter().map(row).collect::<Vec<_>>())
}

/// `1.25 of 3 within 10m; those on accounts known there weigh half (2.25 without that); a ban would last 2m`.
fn stands(tally: &Tally) -> String {
    let weighed = tally.weighed.unwrap_or(tally.failures);
    let stands = format!("{weighed} of {} within {}", tally.maxretry, seconds(tally.findtime));
    let without = if weighed == tally.failures { String::new() } else { format!(" ({} without that)", tally.failures) };
    let bantime = match tally.bantime.filter(|_| !tally.reasons.is_empty()) {
        Some(BanTime::Seconds(length)) => format!("; a ban would last {}", seconds(length.get().into())),
        Some(BanTime::Permanent) | None => String::new(),
    };
    format!("{stands}{}{without}{bantime}", reasons(&tally.reasons))
}

fn failures(failures: &[Failure], style: &Style) -> String {
    let row = |failure: &Failure| {
        [
            style.time(failure.at),
            failure.filter.to_string(),
            format!("weight {}", failure.weight),
            failure.user.as_ref().map_or_else(|| "-".to_owned(), |user| format!("user {user}")),
            format!("{} at {}", failure.file, place(&failure.file, failure.offset)),
        ]
    };
    table(&failures.iter().map(row).collect::<Vec<_>>())
}

fn history(bans: &[PastBan], style: &Style) -> String {
    let row = |ban: &PastBan| {
        let by = match (&ban.jail, ban.origin) {
            (Some(jail), _) => format!("jail {jail}"),
            (None, Origin::Hand) => "by hand".to_owned(),
            (None, Origin::List) => "by a list".to_owned(),
            (None, Origin::Adopted | Origin::Jail) => "an earlier run".to_owned(),
        };
        let failures = ban.failures.map(|failures| format!("{failures} failures")).unwrap_or_default();
        let only = if ban.observe { "observed only, " } else { "" };
        [
            ban.prefix.to_string(),
            format!("{} to {}", style.time(ban.since), style.time(ban.ended)),
            by,
            format!("{failures}{}", reasons(&ban.reasons)),
            format!("{only}{}", ban.end),
        ]
    };
    table(&bans.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::{super::bans::tests::example, *};
    use crate::{
        control::protocol::{Failures, Text, Time},
        event::Weight,
    };

    fn failure(second: u8, weight: Failures, user: Option<&[u8]>) -> Failure {
        Failure {
            at: Time(format!("2026-11-22T11:59:{second:02}Z").parse().unwrap()),
            filter: "cyrus".into(),
            user: user.map(Text::escape),
            weight,
            file: "/var/log/mail.log".into(),
            offset: 4096 + u64::from(second),
        }
    }

    fn half() -> Reason {
        Reason { reason: "known_accounts".into(), text: "those on accounts known there weigh half".into() }
    }

    fn unknown(address: &str) -> Why {
        let address = address.parse().unwrap();
        Why {
            address,
            source: address.into(),
            protected: None,
            bans: Vec::new(),
            tally: Vec::new(),
            failures: Vec::new(),
            newest_line: None,
            failures_while_banned: 0,
            history: Vec::new(),
            history_unknown: None,
            causes: Vec::new(),
            standing: Standing::default(),
            network: None,
            remedies: Vec::new(),
        }
    }

    #[test]
    fn a_banned_address_shows_its_bans_failures_and_the_newest_line() {
        let banned = Why {
            source: "2001:db8::/64".parse().unwrap(),
            bans: vec![example("2001:db8::/64")],
            tally: vec![
                Tally {
                    jail: "mail".into(),
                    failures: Failures::of_quarters(9),
                    weighed: Some(Failures::of_quarters(5)),
                    maxretry: 3,
                    findtime: 600,
                    bantime: Some(BanTime::Seconds(std::num::NonZeroU32::new(120).unwrap())),
                    reasons: vec![half()],
                    protected: None,
                },
                Tally {
                    jail: "web".into(),
                    failures: Failures::of_quarters(0),
                    weighed: None,
                    maxretry: 3,
                    findtime: 600,
                    bantime: None,
                    reasons: Vec::new(),
                    protected: Some("ignoreip 2001:db8::/32".into()),
                },
            ],
            failures: vec![failure(1, Weight::LOW.into(), None), failure(2, Weight::ONE.into(), Some(b"root\x1b[2J"))],
            newest_line: Some("Nov 22 11:59:02 mail cyrus/imap[7]: badlogin: [2001:db8::5]".into()),
            failures_while_banned: 1,
            causes: vec![Cause {
                prefix: "2001:db8::/64".parse().unwrap(),
                origin: Origin::Jail,
                jail: Some("mail".into()),
                failures: Failures::of_quarters(13),
                limit: Some(Failures::of_quarters(12)),
                filter: "cyrus".into(),
                reasons: vec![half()],
                line: None,
            }],
            standing: Standing {
                customer: true,
                accounts: 2,
                tried: 3,
                attacked: 1,
                banned_before: 1,
                ..Standing::default()
            },
            network: Some(Network {
                prefix: "2001:db8::/56".parse().unwrap(),
                members: vec!["2001:db8::/64".parse().unwrap()],
                limit: 10,
                customers: true,
            }),
            remedies: vec!["banner unban 2001:db8::/64".into()],
            ..unknown("2001:db8::5")
        };
        assert_eq!(
            why(&banned, &Style::plain()),
            "\
2001:db8::5 (counted as 2001:db8::/64) is banned

ban of 2001:db8::/64
  by       mail
  for      3.25 of 3 failures, the last by filter cyrus; those on accounts known there weigh half
  time     since 2026-11-22 12:00:00+00:00, until 2026-11-22 12:10:00+00:00, 9m 12s left
  from     smtp, imap
  dropped  12 packets, 720 bytes, the last at 2026-11-22 12:00:47+00:00
warning: 1 failure logged while it was banned: does it come through a proxy, another interface or another namespace?

tally
  jail mail  1.25 of 3 within 10m; those on accounts known there weigh half (2.25 without that); a ban would last 2m
  jail web   never bans it: ignoreip 2001:db8::/32

known of it
  logins   2 accounts logged in from there lately: a customer's
  tried    3 accounts lately, 1 of them under attack
  banned   1 time before, which makes the next ban longer
  network  1 source of 2001:db8::/56 failed, 10 ban it, but somebody has logged in from there: it is not banned

failures
  2026-11-22 11:59:01+00:00  cyrus  weight 0.25  -                   /var/log/mail.log at byte 4097
  2026-11-22 11:59:02+00:00  cyrus  weight 1     user root\\u{1b}[2J  /var/log/mail.log at byte 4098

newest line
  Nov 22 11:59:02 mail cyrus/imap[7]: badlogin: [2001:db8::5]

to let it in
  banner unban 2001:db8::/64
"
        );
    }

    #[test]
    fn an_observed_address_is_not_called_banned() {
        let ban = Ban { observe: true, until: None, remaining: None, last_seen: None, ..example("192.0.2.9") };
        assert_eq!(
            why(&Why { bans: vec![ban], ..unknown("192.0.2.9") }, &Style::plain()),
            "\
192.0.2.9 would be banned, and is only observed

ban of 192.0.2.9
  by       mail, observed only: nothing is dropped
  time     since 2026-11-22 12:00:00+00:00, permanent
  from     smtp, imap
  counted  12 packets, 720 bytes
"
        );
    }

    #[test]
    fn failures_that_were_forgotten_are_not_taken_for_counted_ones() {
        let forgotten = Why { failures: vec![failure(1, Weight::ONE.into(), None)], ..unknown("192.0.2.9") };
        assert_eq!(
            why(&forgotten, &Style::plain()),
            "\
192.0.2.9 is not banned

failures that no longer count
  2026-11-22 11:59:01+00:00  cyrus  weight 1  -  /var/log/mail.log at byte 4097
"
        );
    }

    #[test]
    fn a_failure_in_the_journal_is_an_entry() {
        let entry = Failure { file: "journal".into(), ..failure(1, Weight::ONE.into(), None) };
        let shown = why(&Why { failures: vec![entry], ..unknown("192.0.2.9") }, &Style::plain());
        assert!(shown.ends_with("  journal at entry 4097\n"), "{shown}");
    }

    #[test]
    fn an_unknown_address_is_one_line() {
        assert_eq!(why(&unknown("192.0.2.9"), &Style::plain()), "192.0.2.9 is not banned\n");
    }

    #[test]
    fn a_protected_address_says_what_protects_it() {
        let protected = Why { protected: Some("ignoreip 192.0.2.0/24".into()), ..unknown("192.0.2.9") };
        assert_eq!(why(&protected, &Style::plain()), "192.0.2.9 is never banned: ignoreip 192.0.2.0/24\n");
    }
}
