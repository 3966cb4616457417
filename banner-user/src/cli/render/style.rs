//! Colours, times and columns.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::{
    config::duration::Human,
    control::protocol::{BanTime, Text, Time},
    source::journal::JOURNAL,
};

/// What rendering depends on besides the answer.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Style {
    /// Escape sequences for colour (ECMA-48, SGR).
    pub(in crate::cli) colour: bool,
    /// In which times are shown.
    pub(in crate::cli) zone: TimeZone,
}

impl Style {
    /// No colour, times in UTC.
    #[cfg(test)]
    pub(in crate::cli) fn plain() -> Self {
        Self { colour: false, zone: TimeZone::UTC }
    }

    /// The same for another writer.
    pub(in crate::cli) fn without_colour(&self) -> Self {
        Self { colour: false, zone: self.zone.clone() }
    }

    pub(in crate::cli) fn heading(&self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(in crate::cli) fn good(&self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(in crate::cli) fn warning(&self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(in crate::cli) fn bad(&self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(&self, attribute: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{attribute}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// To the second, with the offset from UTC: what `date --rfc-3339=seconds` writes.
    pub(super) fn time(&self, time: Time) -> String {
        time.0.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
    }
}

/// A length of time.
pub(super) fn seconds(seconds: u64) -> String {
    Human(Duration::from_secs(seconds)).to_string()
}

pub(super) fn ban_time(bantime: BanTime) -> String {
    match bantime {
        BanTime::Permanent => "permanent".to_owned(),
        BanTime::Seconds(length) => seconds(length.get().into()),
    }
}

pub(super) fn list(texts: &[Text]) -> String {
    texts.iter().map(Text::as_str).collect::<Vec<_>>().join(", ")
}

/// A number and its noun: `1 ban`, `2 bans`.
pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// How far in a log something stands: files are measured in bytes, the journal in entries.
pub(super) fn place(log: &Text, offset: u64) -> String {
    let unit = if log.as_str() == JOURNAL { "entry" } else { "byte" };
    format!("{unit} {offset}")
}

/// Rows with their columns aligned, two spaces between, indented by two. The last column is as long as it is.
pub(super) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line<const COLUMNS: usize>(row: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let cells: String = row.iter().zip(widths).map(|(cell, width)| format!("  {cell:width$}")).collect();
    format!("{}\n", cells.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_the_styles_zone_with_its_offset() {
        let time = Time("2026-11-22T12:00:00.5Z".parse().unwrap());
        assert_eq!(Style::plain().time(time), "2026-11-22 12:00:00+00:00");
        let zone = TimeZone::fixed(jiff::tz::offset(-3));
        assert_eq!(Style { colour: false, zone }.time(time), "2026-11-22 09:00:00-03:00");
    }

    #[test]
    fn a_place_in_the_journal_is_no_number_of_bytes() {
        for (log, expected) in [("/var/log/mail.log", "byte 304"), (JOURNAL, "entry 304")] {
            assert_eq!(place(&log.into(), 304), expected);
        }
    }

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        assert_eq!(Style::plain().bad("missing"), "missing");
        assert_eq!(Style { colour: true, ..Style::plain() }.bad("missing"), "\x1b[31mmissing\x1b[0m");
    }
}
