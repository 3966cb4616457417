//! `banner why`.

use super::{
    bans::by,
    style::{Style, count, list, place, seconds, table},
};
use crate::control::protocol::{Ban, Failure, Origin, PastBan, Tally, Why};

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
    why.bans.iter().for_each(|each| text += &ban(each, style));
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
    text
}

fn ban(ban: &Ban, style: &Style) -> String {
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
    let rows = rows.map(|(name, value)| [name.to_owned(), value]);
    format!("\n{}\n{}", style.heading(&format!("ban of {}", ban.prefix)), table(&rows))
}

fn tally(tally: &[Tally]) -> String {
    let row = |tally: &Tally| {
        [
            format!("jail {}", tally.jail),
            match &tally.protected {
                None => format!("{} of {} within {}", tally.failures, tally.maxretry, seconds(tally.findtime)),
                Some(reason) => format!("never bans it: {reason}"),
            },
        ]
    };
    table(&tally.iter().map(row).collect::<Vec<_>>())
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
            failures,
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
                    maxretry: 3,
                    findtime: 600,
                    protected: None,
                },
                Tally {
                    jail: "web".into(),
                    failures: Failures::of_quarters(0),
                    maxretry: 3,
                    findtime: 600,
                    protected: Some("ignoreip 2001:db8::/32".into()),
                },
            ],
            failures: vec![failure(1, Weight::LOW.into(), None), failure(2, Weight::ONE.into(), Some(b"root\x1b[2J"))],
            newest_line: Some("Nov 22 11:59:02 mail cyrus/imap[7]: badlogin: [2001:db8::5]".into()),
            failures_while_banned: 1,
            ..unknown("2001:db8::5")
        };
        assert_eq!(
            why(&banned, &Style::plain()),
            "\
2001:db8::5 (counted as 2001:db8::/64) is banned

ban of 2001:db8::/64
  by       mail
  time     since 2026-11-22 12:00:00+00:00, until 2026-11-22 12:10:00+00:00, 9m 12s left
  from     smtp, imap
  dropped  12 packets, 720 bytes, the last at 2026-11-22 12:00:47+00:00
warning: 1 failure logged while it was banned: does it come through a proxy, another interface or another namespace?

tally
  jail mail  2.25 of 3 within 10m
  jail web   never bans it: ignoreip 2001:db8::/32

failures
  2026-11-22 11:59:01+00:00  cyrus  weight 0.25  -                   /var/log/mail.log at byte 4097
  2026-11-22 11:59:02+00:00  cyrus  weight 1     user root\\u{1b}[2J  /var/log/mail.log at byte 4098

newest line
  Nov 22 11:59:02 mail cyrus/imap[7]: badlogin: [2001:db8::5]
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
