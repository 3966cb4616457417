//! `banner bans`: a line for each ban, written as the pages come, so that a long listing takes no memory.

use super::{
    columns::Columns,
    style::{Style, list, seconds},
};
use crate::control::protocol::{Ban, Origin};

/// A listing under way.
#[derive(Debug, Default)]
pub(in crate::cli) struct Listing {
    begun: bool,
}

impl Listing {
    /// The line of one ban; before the first, the heading too.
    pub(in crate::cli) fn row(&mut self, ban: &Ban, style: &Style) -> String {
        let heading = COLUMNS.heading(&mut self.begun, style);
        format!("{heading}{}\n", COLUMNS.row(&cells(ban, style)))
    }

    /// What is left to say.
    pub(in crate::cli) fn end(&self) -> &'static str {
        if self.begun { "" } else { "no bans\n" }
    }
}

/// A /64 written out, a time with its offset, `364d 23h 59m 59s`, and so on.
const COLUMNS: Columns<7> =
    Columns([("PREFIX", 23), ("UNTIL", 25), ("LEFT", 16), ("BY", 12), ("PACKETS", 10), ("BYTES", 12), ("SERVICES", 0)]);

fn cells(ban: &Ban, style: &Style) -> [String; 7] {
    let left = ban.remaining.map_or_else(|| "-".to_owned(), seconds);
    let only = match (ban.waits, ban.observe) {
        (true, _) => " (waits for room: nothing is dropped)",
        (false, true) => " (observed only)",
        (false, false) => "",
    };
    [
        ban.prefix.to_string(),
        ban.until.map_or_else(|| "permanent".to_owned(), |until| style.time(until)),
        left,
        by(ban),
        ban.packets.to_string(),
        ban.bytes.to_string(),
        format!("{}{only}", list(&ban.services)),
    ]
}

/// Who made a ban, in a word or two.
pub(super) fn by(ban: &Ban) -> String {
    match (ban.origin, &ban.jail) {
        (Origin::Jail, Some(jail)) => jail.to_string(),
        (Origin::Jail, None) => "a jail".to_owned(),
        (Origin::Hand, Some(jail)) => format!("hand, {jail}"),
        (Origin::Hand, None) => "hand".to_owned(),
        (Origin::Adopted, _) => "earlier run".to_owned(),
        (Origin::List, _) => ban.list.as_ref().map_or_else(|| "a list".to_owned(), |list| format!("list {list}")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::control::protocol::Time;

    pub(in crate::cli::render) fn example(prefix: &str) -> Ban {
        Ban {
            prefix: prefix.parse().unwrap(),
            origin: Origin::Jail,
            jail: Some("mail".into()),
            list: None,
            services: vec!["smtp".into(), "imap".into()],
            since: Some(Time("2026-11-22T12:00:00Z".parse().unwrap())),
            until: Some(Time("2026-11-22T12:10:00Z".parse().unwrap())),
            remaining: Some(552),
            packets: 12,
            bytes: 720,
            last_seen: Some(Time("2026-11-22T12:00:47Z".parse().unwrap())),
            observe: false,
            waits: false,
        }
    }

    #[test]
    fn bans_are_listed_in_columns_under_one_heading() {
        let waiting = Ban { waits: true, ..example("192.0.2.2") };
        let by_hand = Ban {
            origin: Origin::Hand,
            jail: None,
            until: None,
            remaining: None,
            observe: true,
            ..example("2001:db8::/64")
        };
        let mut listing = Listing::default();
        let shown: String =
            [example("192.0.2.1"), waiting, by_hand].iter().map(|ban| listing.row(ban, &Style::plain())).collect();
        assert_eq!(
            shown,
            "\
PREFIX                   UNTIL                      LEFT              BY            PACKETS     BYTES         SERVICES
192.0.2.1                2026-11-22 12:10:00+00:00  9m 12s            mail          12          720           smtp, imap
192.0.2.2                2026-11-22 12:10:00+00:00  9m 12s            mail          12          720           smtp, imap (waits for room: nothing is dropped)
2001:db8::/64            permanent                  -                 hand          12          720           smtp, imap (observed only)
"
        );
        assert_eq!(listing.end(), "");
    }

    #[test]
    fn an_empty_listing_says_so() {
        assert_eq!(Listing::default().end(), "no bans\n");
    }
}
