use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;

use super::*;
use crate::event::{Outage, User, Weight};

/// 22 November 2026, 13:15 UTC, and so many microseconds.
fn at(micros: i64) -> LogTime {
    LogTime("2026-11-22T13:15:00Z".parse::<Timestamp>().unwrap().as_microsecond() + micros)
}

fn attempt(weight: Weight) -> Attempt {
    let source = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    Attempt { filter: "cyrus".into(), source, user: Some(User::new(b"alice\x1b[2J")), weight, at: at(0) }
}

fn events() -> [Event; 3] {
    let source = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7));
    [
        Event::Failure(attempt(Weight::LOW)),
        Event::Success(Attempt { source, user: None, at: at(250_000), ..attempt(Weight::ZERO) }),
        Event::Outage(Outage { filter: "postfix-sasl".into(), source: None, retold: false, at: at(0) }),
    ]
}

#[test]
fn a_row_says_all_of_an_event_and_nothing_steers_the_terminal() {
    let mut listing = MatchedListing::of(["cyrus".into(), "postfix-sasl".into()].iter());
    let style = Style::plain();
    let mut text = String::new();
    for (line, event) in (17..).zip(events()) {
        text += &listing.row(Place { file: None, line, offset: None }, &event, &style);
    }
    let expected = "    LINE  TIME                       KIND     WEIGHT  FILTER        ADDRESS          USER
      17  2026-11-22 13:15:00+00:00  failure    0.25  cyrus         198.51.100.7     alice\\u{1b}[2J
      18  2026-11-22 13:15:00+00:00  success       0  cyrus         2001:db8::7      -
      19  2026-11-22 13:15:00+00:00  outage        0  postfix-sasl  -                -
";
    assert_eq!(text, expected);
    let file = Text::from("mail.log\x07");
    let row = listing.row(Place { file: Some(&file), line: 1, offset: None }, &events()[0], &style);
    assert!(row.starts_with("mail.log\\u{7}:1  2026-11-22"), "{row}");
}

#[test]
fn a_counted_line_has_just_these_keys_and_an_outage_is_none() {
    let file = Text::from("mail.log");
    let [failure, success, outage] = events();
    let json = |file, event| {
        let counted = counted_line(Place { file, line: 17, offset: None }, event)?;
        Some(serde_json::to_string(&counted).unwrap())
    };
    let table = [
        (
            None,
            &failure,
            Some(
                r#"{"line":17,"filter":"cyrus","addr":"198.51.100.7","user":"alice\\u{1b}[2J","weight":0.25,"kind":"failure","at":"2026-11-22T13:15:00Z"}"#,
            ),
        ),
        (
            Some(&file),
            &success,
            Some(
                r#"{"file":"mail.log","line":17,"filter":"cyrus","addr":"2001:db8::7","user":null,"weight":0,"kind":"success","at":"2026-11-22T13:15:00.25Z"}"#,
            ),
        ),
        (None, &outage, None),
    ];
    for (file, event, expected) in table {
        assert_eq!(json(file, event).as_deref(), expected);
    }
}

#[test]
fn a_line_is_explained_with_all_that_it_means() {
    let explained = explained(b"Nov 22 \x1b[31m", &events(), &Style::plain());
    let expected = "Nov 22 \\u{1b}[31m
  means    failure
  filter   cyrus
  time     2026-11-22 13:15:00+00:00
  address  198.51.100.7
  user     alice\\u{1b}[2J
  weight   0.25
  means    success
  filter   cyrus
  time     2026-11-22 13:15:00+00:00
  address  2001:db8::7
  means   outage of the authentication backend: counts against nobody
  filter  postfix-sasl
  time    2026-11-22 13:15:00+00:00
";
    assert_eq!(explained, expected);
}

#[test]
fn a_missed_line_is_shown_with_the_reason_and_escaped() {
    let place = Place { file: None, line: 3, offset: None };
    let why = Missed::NoFilter { ident: Some(b"x\x1b".to_vec()) };
    assert_eq!(missed(place, b"a\x07", &why), "3: a\\u{7}\n    no filter reads lines of `x\\u{1b}`\n");
    let text = unexplained(b"a\x07", Some(at(0)), &Missed::NoStamp, &Style::plain());
    let expected = "a\\u{7}
  means  nothing
  why    it does not start with a time that loggers write
  time   2026-11-22 13:15:00+00:00
";
    assert_eq!(text, expected);
    assert_eq!(overlong(place, 1 << 30), "3: 1073741824 bytes\n    longer than the 16384 bytes that are read\n");
}

#[test]
fn totals_name_every_kind_of_line_and_every_filter() {
    let cyrus = FilterTotals { failures: 2, quarters: 13, successes: 1, outages: 0, ignored: 1 };
    let sums = Totals {
        lines: 200_000,
        matched: 3,
        outages: 1,
        ignored: 1,
        missed: 199_994,
        overlong: 1,
        gave_up: 2,
        filters: vec![("cyrus".into(), cyrus), ("postfix-sasl".into(), FilterTotals::default())],
    };
    let text = totals(&sums, Duration::from_millis(100), &Style::plain());
    let expected = "200000 lines: 3 matched, 1 outage, 1 ignored, 199994 missed
  1 line not read: longer than 16384 bytes
  2 lines not decided by an imported filter: a pattern turned back too often
  FILTER        FAILURES  WEIGHT  SUCCESSES  OUTAGES  IGNORED
  cyrus         2         3.25    1          0        1
  postfix-sasl  0         0       0          0        0
  read in 0.10 s, 2.00 million lines/s
";
    assert_eq!(text, expected);
    let json = serde_json::to_string(&totals_json(&sums)).unwrap();
    let expected = r#"{"lines":200000,"matched":3,"outages":1,"ignored":1,"missed":199994,"overlong":1,"gave_up":2,"filters":[{"filter":"cyrus","failures":2,"weight":3.25,"successes":1,"outages":0,"ignored":1},{"filter":"postfix-sasl","failures":0,"weight":0,"successes":0,"outages":0,"ignored":0}]}"#;
    assert_eq!(json, expected);
}
