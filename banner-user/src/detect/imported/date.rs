//! Where a line's time is: fail2ban cuts it out of the line and matches what is left, so that `[2026-11-02 03:04:05] failed`
//! becomes `[] failed`.
//!
//! A filter without `datepattern`, and one that says `{^LN-BEG}`, takes the shapes that banner reads anyway at the start of the
//! line (see `super::super::prefix`), and a dozen more that fail2ban knows; the first also anywhere in the line. A
//! `datepattern` of its own is a regular expression with strptime's directives, or with `{DATE}` for any of those shapes. What is
//! cut out is its first plain group, or all of it.

use jiff::tz::Offset;

use super::{
    super::{
        prefix,
        stamp::{Parts, Stamp, month, offset, two_digits},
    },
    expression::{Expression, Spans},
    refused::{ImportRefused, Place},
};

/// Shapes that are not among those of `prefix`, or not there in each variant. Where two fit the first counts: day before month.
const SHAPES: [&str; 13] = [
    "%Y[-/.]%m[-/.]%d(?:T| {1,2})%H:%M:%S(?:[.,]%f)?(?: ?%z)?",
    "(?:%a )?%b %d %H:%M:%S(?:\\.%f)?(?: %Y)?",
    "(?:%a )?%b %d %Y %H:%M:%S(?:\\.%f)?",
    "%d[-/]%m[-/]%Y %H:%M:%S",
    "%d[-/]%m[-/]%y %H:%M:%S",
    "%d[-/]%b[-/]%Y[ :]?%H:%M:%S(?:\\.%f)?(?: %z)?",
    "%m/%d/%Y:%H:%M:%S",
    "%m-%d-%Y %H:%M:%S(?:\\.%f)?",
    "%b-%d-%y %H:%M:%S",
    "%b %d, %Y %I:%M:%S %p",
    "%Y%m%d(?:T| {1,2})%H%M%S(?:[.,]%f)?",
    "%y%m%d {1,2}%H:%M:%S",
    "@(?P<tai>[0-9a-f]{24})",
];

/// At the start of a line: at most two characters may stand before.
const LINE_BEGIN: &str = r"^\W{0,2}";

/// Finds times.
#[derive(Debug)]
pub(super) struct Dates(Vec<Source>);

#[derive(Debug)]
enum Source {
    /// The shapes of `prefix`.
    Prefix,
    Shape(Box<Shape>),
}

/// A shape, compiled.
#[derive(Debug)]
struct Shape {
    expression: Expression,
    /// The group that is cut out.
    cut: Option<usize>,
    /// The group of each directive.
    fields: Fields<Option<usize>>,
}

#[derive(Debug)]
struct Fields<T> {
    year: T,
    short_year: T,
    month: T,
    month_name: T,
    day: T,
    hour: T,
    minute: T,
    second: T,
    fraction: T,
    zone: T,
    half: T,
    tai: T,
}

/// A time and where in the line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dated<'l> {
    pub(super) stamp: Stamp<'l>,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Dates {
    /// Compiles the lines of `datepattern`.
    pub(super) fn compile(patterns: &[String]) -> Result<Self, ImportRefused> {
        let mut sources = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            sources.extend(sources_of(pattern, Place::Datepattern(index + 1))?);
        }
        if patterns.is_empty() {
            sources = everything(Place::Datepattern(0))?;
        }
        Ok(Self(sources))
    }

    /// The time of a line. None for a line without: it tells nothing.
    pub(super) fn find<'l>(&self, line: &'l [u8]) -> Option<Dated<'l>> {
        self.0.iter().find_map(|source| match source {
            Source::Prefix => at_start(line),
            Source::Shape(shape) => shape.find(line),
        })
    }
}

fn sources_of(pattern: &str, place: Place) -> Result<Vec<Source>, ImportRefused> {
    let refused = |part: &str, why| Err(ImportRefused::Date { place, part: part.to_owned(), why });
    let tai = "@(?P<tai>[0-9a-f]{24})";
    match pattern.to_uppercase().as_str() {
        "{^LN-BEG}" => line_begin(place),
        "{DEFAULT}" => everything(place),
        "TAI64N" => Ok(vec![shape(tai, place)?]),
        "{^LN-BEG}TAI64N" | "^TAI64N" => Ok(vec![shape(&format!("{{^LN-BEG}}{tai}"), place)?]),
        "{NONE}" => refused("{NONE}", "is for lines without a time, and those tell nothing here"),
        upper if upper.contains("EPOCH") => refused(pattern, "asks for seconds since 1970, which are not read"),
        upper if upper.contains("{DATE}") => {
            let start = upper.find("{DATE}").unwrap_or_default();
            let (before, after) = (pattern.get(..start), pattern.get(start + "{DATE}".len()..));
            let (Some(before), Some(after)) = (before, after) else { return refused(pattern, "cannot be read") };
            SHAPES.iter().map(|date| shape(&format!("{before}{date}{after}"), place)).collect()
        }
        _ if pattern.contains('%') => Ok(vec![shape(pattern, place)?]),
        _ => refused(pattern, "has no time in it"),
    }
}

fn line_begin(place: Place) -> Result<Vec<Source>, ImportRefused> {
    let shapes = SHAPES.iter().map(|date| shape(&format!("{{^LN-BEG}}{date}"), place));
    std::iter::once(Ok(Source::Prefix)).chain(shapes).collect()
}

fn everything(place: Place) -> Result<Vec<Source>, ImportRefused> {
    let mut sources = line_begin(place)?;
    for date in SHAPES {
        sources.push(shape(&format!(r"(?:^|\b){{UNB}}{date}\b"), place)?);
    }
    Ok(sources)
}

/// Compiles one pattern.
fn shape(pattern: &str, place: Place) -> Result<Source, ImportRefused> {
    let (start, pattern) = match pattern.strip_prefix("{^LN-BEG}") {
        Some(rest) => (LINE_BEGIN, rest),
        None => match pattern.split_once("{UNB}") {
            Some(("", rest)) => ("", rest),
            Some((_, rest)) => (r"\b", rest),
            None => ("", pattern),
        },
    };
    let (anchor, pattern) = pattern.strip_prefix('^').map_or(("", pattern), |rest| ("^", rest));
    let cut = with_cut(pattern);
    // Not in the middle of a word.
    let end = if ends_with_directive(pattern) { r"\b" } else { "" };
    let expression = Expression::compile(&format!("{start}{anchor}{}{end}", directives(&cut, place)?), place)?;
    let group = |name| expression.group(name);
    let fields = Fields {
        year: group("Y"),
        short_year: group("y"),
        month: group("m"),
        month_name: group("b"),
        day: group("d"),
        hour: group("H"),
        minute: group("M"),
        second: group("S"),
        fraction: group("f"),
        zone: group("z"),
        half: group("p"),
        tai: group("tai"),
    };
    let has_date = fields.day.is_some() && (fields.month.is_some() || fields.month_name.is_some());
    let has_time = fields.hour.is_some() && fields.minute.is_some();
    if fields.tai.is_none() && !(has_date && has_time) {
        let why = "has not month, day, hour and minute";
        return Err(ImportRefused::Date { place, part: pattern.to_owned(), why });
    }
    Ok(Source::Shape(Box::new(Shape { cut: group("cut"), fields, expression })))
}

/// Makes the first plain group the one that is cut out, or all of the pattern.
fn with_cut(pattern: &str) -> String {
    let plain = pattern.match_indices('(').find(|(at, _)| {
        let before = pattern.get(..*at).unwrap_or_default();
        !pattern.get(at + 1..).unwrap_or_default().starts_with('?') && !before.ends_with('\\')
    });
    match plain.and_then(|(at, _)| Some((pattern.get(..at)?, pattern.get(at + 1..)?))) {
        Some((before, after)) => format!("{before}(?P<cut>{after}"),
        None => format!("(?P<cut>{pattern})"),
    }
}

fn ends_with_directive(pattern: &str) -> bool {
    let end = pattern.trim_end_matches([')', '?']);
    let mut last = end.chars().rev();
    last.next().is_some_and(|character| character.is_ascii_alphabetic()) && matches!(last.next(), Some('%' | 'x'))
}

/// Replaces strptime's directives by groups of their names.
fn directives(pattern: &str, place: Place) -> Result<String, ImportRefused> {
    let mut replaced = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        replaced.push_str(before);
        // %ExY and the like: the same, told more exactly.
        let after = after.strip_prefix("Ex").unwrap_or(after);
        let Some(directive) = after.chars().next() else { break };
        replaced.push_str(match directive {
            '%' => "%",
            'Y' => "(?P<Y>[12][0-9]{3})",
            'y' => "(?P<y>[0-9]{2})",
            'm' => "(?P<m>1[0-2]|0?[1-9])",
            'd' => "(?P<d>3[01]|[12][0-9]|[0 ]?[1-9])",
            'b' | 'B' => "(?P<b>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))(?i:uary|ruary|ch|il|e|y|ust|tember|ober|ember)?",
            'a' | 'A' => "(?i:mon|tue|wed|thu|fri|sat|sun)(?i:day|sday|nesday|rsday|urday)?",
            'H' | 'k' | 'I' => "(?P<H>2[0-3]|1[0-9]|[0 ]?[0-9])",
            'M' => "(?P<M>[0-5][0-9])",
            'S' => "(?P<S>[0-5][0-9]|60)",
            'f' => "(?P<f>[0-9]{1,9})",
            'z' => "(?P<z>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})",
            'p' => "(?P<p>(?i:am|pm))",
            other => {
                let why = "is a directive that is not read";
                return Err(ImportRefused::Date { place, part: format!("%{other}"), why });
            }
        });
        rest = after.get(directive.len_utf8()..).unwrap_or_default();
    }
    replaced.push_str(rest);
    Ok(replaced)
}

impl Shape {
    fn find<'l>(&self, line: &'l [u8]) -> Option<Dated<'l>> {
        let spans = self.expression.search(line).ok()??;
        let (start, end) = spans.get(self.cut)?;
        Some(Dated { stamp: self.stamp(line, &spans)?, start, end })
    }

    fn stamp<'l>(&self, line: &'l [u8], spans: &Spans) -> Option<Stamp<'l>> {
        let text = |group| spans.get(group).and_then(|(start, end)| line.get(start..end));
        let number = |group| text(group).and_then(number);
        let fields = &self.fields;
        if let Some(label) = text(fields.tai) {
            return Some(Stamp::Tai64n(label.try_into().ok()?));
        }
        let year = match (number(fields.year), number(fields.short_year)) {
            (Some(year), _) => Some(year),
            (None, Some(short)) => Some(short + if short < 69 { 2000 } else { 1900 }),
            (None, None) => None,
        };
        let month = match text(fields.month_name) {
            Some([a, b, c]) => month([a.to_ascii_uppercase(), b.to_ascii_lowercase(), c.to_ascii_lowercase()])?,
            _ => i8::try_from(number(fields.month)?).ok()?,
        };
        let small = |group| number(group).and_then(|number| i8::try_from(number).ok());
        let hour = match (small(fields.hour)?, text(fields.half).map(<[u8]>::to_ascii_lowercase).as_deref()) {
            (12, Some(b"am")) => 0,
            (12, Some(_)) => 12,
            (hour, Some(b"pm")) => hour + 12,
            (hour, _) => hour,
        };
        Some(Stamp::Parts(Parts {
            year,
            month,
            day: small(fields.day)?,
            hour,
            minute: small(fields.minute)?,
            second: small(fields.second).unwrap_or(0),
            micros: text(fields.fraction).map_or(0, micros),
            offset: match text(fields.zone) {
                None => None,
                Some(zone) => Some(zone_offset(zone)?),
            },
        }))
    }
}

fn number(text: &[u8]) -> Option<i16> {
    str::from_utf8(text).ok()?.trim_start().parse().ok()
}

fn micros(digits: &[u8]) -> i64 {
    let digits = digits.iter().chain(std::iter::repeat(&b'0')).take(6);
    digits.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'))
}

fn zone_offset(zone: &[u8]) -> Option<Offset> {
    match zone {
        b"Z" | b"UTC" | b"GMT" => Some(Offset::UTC),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => offset(&[*sign, *h1, *h2, b':', *m1, *m2]),
        _ => None,
    }
}

/// A shape of `prefix`, where it surely is one: this is nearly every line of a mail log, and costs a tenth of a pattern.
fn at_start(line: &[u8]) -> Option<Dated<'_>> {
    let (stamp, rest) = prefix::stamp(line)?;
    let end = line.len() - rest.len() - 1;
    let (start, end) = match stamp {
        Stamp::Local(text) => {
            let [m1, m2, m3, b' ', d1, d2, b' ', h1, h2, b':', ..] = text else { return None };
            month([m1, m2, m3])?;
            two_digits(if d1 == b' ' { b'0' } else { d1 }, d2).and(two_digits(h1, h2))?;
            // A year behind the time is part of it.
            if matches!(rest, [b'1' | b'2', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..]) {
                return None;
            }
            (0, end)
        }
        Stamp::Absolute(text) => {
            let zoned = text.ends_with(b"Z") || matches!(text, [.., b'+' | b'-', _, _, b':', _, _]);
            if text.get(10) != Some(&b'T') || !zoned {
                return None;
            }
            (0, end)
        }
        Stamp::Civil(text) => {
            let whole = text.len() >= 19 && matches!(text.get(19), None | Some(b'.' | b' '));
            // An offset with a colon is part of it.
            let zoned = matches!(rest, [b'+' | b'-', b'0'..=b'9', b'0'..=b'9', b':', ..]);
            if !whole || zoned || text.last().is_some_and(u8::is_ascii_punctuation) {
                return None;
            }
            (0, end)
        }
        Stamp::Bracketed(text) => {
            if !matches!(text, [_, _, b'-', _, _, _, b'-', _, _, _, _, b' ', ..]) {
                return None;
            }
            (1, 1 + text.len())
        }
        Stamp::Tai64n(_) => (0, end),
        Stamp::Parts(_) | Stamp::Absent => return None,
    };
    Some(Dated { stamp, start, end })
}

#[cfg(test)]
mod tests;
