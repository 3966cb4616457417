//! fail2ban's own mail filters against fail2ban's own sample logs, both as Debian installs them: every line says there whether
//! it counts, for whom, and when it was written.
//!
//! `fail2ban.disagreements` beside this file lists where banner decides otherwise, and why: `FILE:LINE reason`.

#![cfg(test)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use banner_user::{
    catalogue::fail2ban::{self, Reference},
    clock::WallTime,
    detect::Detector,
    event::Event,
};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

const FILTERS: &str = "/etc/fail2ban/filter.d";
const LOGS: &str = "/usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

/// All that is about mail.
const MAIL: [&str; 25] = [
    "assp",
    "courier-auth",
    "courier-smtp",
    "cyrus-imap",
    "domino-smtp",
    "dovecot",
    "exim",
    "exim-spam",
    "groupoffice",
    "horde",
    "kerio",
    "openwebmail",
    "oracleims",
    "perdition",
    "postfix",
    "qmail",
    "roundcube-auth",
    "sendmail-auth",
    "sendmail-reject",
    "sieve",
    "sogo-auth",
    "solid-pop3d",
    "squirrelmail",
    "tine20",
    "uwimap-auth",
];

/// What one line was found to say with one set of options: address and time, or that it counts for nobody.
struct Compared {
    /// `FILE:LINE`; a line is compared once for each set of options.
    place: String,
    expected: Option<String>,
    found: Option<String>,
}

#[test]
fn lines_count_for_whom_fail2ban_counts_them() {
    if !is_installed() {
        return;
    }
    let compared: Vec<_> = MAIL.iter().flat_map(|name| samples(name)).collect();
    let listed = listed();
    let differs: BTreeMap<_, _> = compared
        .iter()
        .filter(|line| line.expected != line.found)
        .map(|line| (line.place.as_str(), format!("expected {:?}, found {:?}", line.expected, line.found)))
        .collect();
    let unlisted: Vec<_> = differs.iter().filter(|(place, _)| !listed.contains_key(**place)).collect();
    let stale: Vec<_> = listed.keys().filter(|place| !differs.contains_key(place.as_str())).collect();
    assert!(unlisted.is_empty() && stale.is_empty(), "not listed: {unlisted:#?}\nlisted and agreeing: {stale:#?}");
    let agree = compared.iter().filter(|line| line.expected == line.found).count();
    println!("{agree} of {} lines agree", compared.len());
    assert!(agree * 100 >= compared.len() * 99, "{agree} of {} lines agree", compared.len());
    // A third of the lines are to count for nobody.
    assert!(compared.len() > 400 && compared.iter().filter(|line| line.expected.is_some()).count() > 250);
}

#[test]
fn no_line_costs_more_than_its_length() {
    if !is_installed() {
        return;
    }
    let mut detectors: Vec<_> = MAIL.iter().map(|name| (*name, detector(name, &Value::Null))).collect();
    for mode in ["normal", "auth", "ddos", "extra", "aggressive"] {
        detectors.push(("postfix", detector("postfix", &serde_json::json!({ "mode": mode }))));
    }
    for name in ["dovecot", "exim", "sendmail-reject"] {
        detectors.push((name, detector(name, &serde_json::json!({ "mode": "aggressive" }))));
    }
    for (name, detector) in &mut detectors {
        for line in hostile() {
            let start = Instant::now();
            detector.handle(&line, now());
            let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
            // Unoptimised, on a busy machine: a thousand times what it takes. Backtracking takes years.
            assert!(start.elapsed() < Duration::from_secs(5), "{name}: {:?} for {shown:?}", start.elapsed());
            assert_eq!(detector.gave_up(), 0, "{name}: {shown:?}");
        }
    }
}

/// Lines of 16 KiB that make backtracking engines try everything, or that are rubbish.
fn hostile() -> Vec<Vec<u8>> {
    let filled = |start: &str, middle: &str, end: &str| {
        let times = (16_384 - start.len() - end.len()) / middle.len();
        format!("Nov  2 03:04:05 mail {start}{}{end}", middle.repeat(times)).into_bytes()
    };
    let mut lines = vec![
        // Debian 12's filter for Dovecot: a repeated group whose parts match the same text. fail2ban hangs on it.
        filled("dovecot: imap-login: Disconnected", ": a", " (auth failed, 1 attempts): user=<x>"),
        filled("dovecot: imap-login: Disconnected", ": a(b) c", " (auth failed"),
        filled("dovecot: imap-login: Aborted login", ": ", "("),
        filled("exim: SMTP protocol error in \"", "\"a", " H=x [192.0.2.1] AUTH command used"),
        filled("postfix/smtpd[1]: disconnect from x[192.0.2.1]", " a=1", " auth=0/"),
        filled("postfix/smtpd[1]: warning: ", "x[192.0.2.1]: SASL ", " authentication failed"),
        filled("roundcube: IMAP Error: Login failed for ", "x from 192.0.2.1. ", " in x.php on line 1 (a"),
        filled("cyrus/imap[1]: badlogin: x [192.0.2.1] ", "a [SASL(-13): ", "x"),
        filled("imapd: LOGIN FAILED, ", "a=b, ", "ip=x"),
        filled("sm-mta[1]: s1GNXHYB005133: AUTH failure (", "a): (", "relay="),
        filled("", "a ", ""),
        filled("", "<a.a> ", ""),
        filled("kernel:", "[ 1.1]", ""),
    ];
    for byte in [0, b' ', b'\t', b'\\', b'"', b'[', b'(', b'<', b'>', b':', b'%', b'0', b'a', b'\x80', b'\xff'] {
        lines.push([b"Nov  2 03:04:05 ".as_slice(), &vec![byte; 16_384]].concat());
        lines.push(vec![byte; 16_384]);
    }
    lines
}

/// Without fail2ban there is nothing to compare with. CI installs it.
fn is_installed() -> bool {
    let installed = Path::new(FILTERS).is_dir() && Path::new(LOGS).is_dir();
    assert!(installed || std::env::var_os("CI").is_none(), "fail2ban is not installed: apt-get install fail2ban");
    if !installed {
        println!("skipped: apt-get install fail2ban");
    }
    installed
}

/// All lines of a sample log, with each set of options that the log asks for.
fn samples(name: &str) -> Vec<Compared> {
    let text = fs::read(Path::new(LOGS).join(name)).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut detectors = Vec::new();
    let mut expected = None;
    let mut compared = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(json) = tagged(line, "filterOptions:") {
            let sets = if let Value::Array(sets) = json { sets } else { vec![json] };
            detectors = sets.iter().map(|set| detector(name, set)).collect();
            continue;
        }
        if let Some(json) = tagged(line, "failJSON:") {
            let matches = json.get("match").and_then(Value::as_bool).unwrap_or(false);
            let text = |key| json.get(key).and_then(Value::as_str).unwrap_or_default();
            // An address is one, however it is written.
            let host =
                text("host").parse().map_or_else(|_| text("host").to_owned(), |address: IpAddr| address.to_string());
            expected = Some(matches.then(|| format!("{host} {}", without_year(text("time")))));
            continue;
        }
        // What is described may look like a comment.
        if expected.is_none() && (line.starts_with('#') || line.trim().is_empty()) {
            continue;
        }
        if detectors.is_empty() {
            detectors.push(detector(name, &Value::Null));
        }
        let expected = expected.take().flatten();
        for detector in &mut detectors {
            let found = counted(detector.handle(line.as_bytes(), now()));
            compared.push(Compared { place: format!("{name}:{}", index + 1), expected: expected.clone(), found });
        }
    }
    for line in &mut compared {
        // Some lines are described without a time.
        if let (Some(expected), Some(found)) = (&line.expected, &mut line.found)
            && expected.ends_with(' ')
        {
            found.truncate(found.find(' ').map_or(0, |space| space + 1));
        }
    }
    compared
}

/// The JSON behind a word in a comment.
fn tagged(line: &str, word: &str) -> Option<Value> {
    let comment = line.strip_prefix('#')?.trim_start_matches('#');
    let (_, json) =
        comment.strip_prefix(' ').unwrap_or(comment).split_once(word).filter(|(before, _)| before.is_empty())?;
    Some(serde_json::from_str(json).unwrap())
}

fn detector(name: &str, options: &Value) -> Detector {
    let options = options.as_object().into_iter().flatten();
    let options = options.map(|(option, value)| (option.clone(), value.as_str().unwrap().to_owned())).collect();
    let reference = Reference { path: Path::new(FILTERS).join(format!("{name}.conf")), options };
    let filter = fail2ban::filter(name, reference).unwrap_or_else(|error| panic!("{name}: {error}"));
    Detector::new(vec![filter], zone())
}

fn counted(events: &[Event]) -> Option<String> {
    match events {
        [] => None,
        [Event::Failure(attempt)] => {
            let time = Timestamp::from_microsecond(attempt.at.0).unwrap().to_zoned(zone()).datetime();
            Some(format!("{} {}", attempt.source, without_year(&time.to_string())))
        }
        other => panic!("{other:?}"),
    }
}

/// `08-14T12:00:00` of `2005-08-14T12:00:00.5`. For a stamp without a year fail2ban takes the latest one in the past, banner the
/// nearest one.
fn without_year(time: &str) -> &str {
    time.get(5..19).unwrap_or_default()
}

/// Where fail2ban's tests take place: Zurich.
fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

/// When fail2ban's tests take place.
fn now() -> WallTime {
    WallTime("2005-08-14T12:00:00Z".parse::<Timestamp>().unwrap().as_microsecond())
}

/// The known disagreements with their reasons.
fn listed() -> BTreeMap<String, String> {
    let text = include_str!("fail2ban.disagreements");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut listed = BTreeMap::new();
    let mut places = BTreeSet::new();
    for line in lines {
        let (place, reason) = line.split_once(' ').unwrap_or_else(|| panic!("`{line}` has no reason"));
        assert!(places.insert(place), "{place} is listed twice");
        listed.insert(place.to_owned(), reason.to_owned());
    }
    listed
}
