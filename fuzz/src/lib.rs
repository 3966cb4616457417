//! The doors through which banner takes what others wrote: lines, filters, configurations. Each is given any bytes at all, and
//! must not panic, must end soon, and must keep the promises that are asserted here.
//!
//! `cargo test -p banner-fuzz` gives them mutations of the committed corpora on any compiler; `cargo fuzz run --features
//! libfuzzer TARGET` looks for more with a nightly one.

use std::{collections::BTreeSet, fs, net::IpAddr, path::PathBuf, sync::Mutex};

use banner_user::{
    catalogue::fail2ban::{self, ImportError, Reference},
    clock::WallTime,
    config::Config,
    detect::{Detector, Filter},
    event::Event,
};
use jiff::tz::TimeZone;

/// 2026-11-22 12:00:00 UTC.
const NEAR: WallTime = WallTime(1_795_348_800_000_000);

/// Compiled once.
static DETECTOR: Mutex<Option<Detector>> = Mutex::new(None);

/// Lines, through every built-in filter.
///
/// # Panics
/// An event names an address that is not written in the lines, or a line tells another thing because of what follows it.
pub fn detection(data: &[u8]) {
    let mut detector = DETECTOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let detector = detector.get_or_insert_with(built_in);
    let mut written = BTreeSet::new();
    for line in data.split(|byte| *byte == b'\n') {
        written.extend(addresses(line));
        let events = detector.handle(line, NEAR).to_vec();
        if events.is_empty() {
            let why = detector.why_missed(line, NEAR).to_string();
            assert!(!why.bytes().any(|byte| byte.is_ascii_control()), "{why:?}");
        }
        for event in &events {
            // A session that an earlier input opened lends its address.
            let known =
                &**event.filter() == "opensmtpd" || source(event).is_none_or(|source| written.contains(&source));
            assert!(known, "{} tells {event:?}", line.escape_ascii());
        }
        let followed = [line, b"\n", data].concat();
        assert_eq!(detector.handle(&followed, NEAR), events, "{} is changed by what follows it", line.escape_ascii());
    }
}

/// A filter in banner's own form, and what it then makes of lines with its own text in them.
pub fn filter(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(filter) = Filter::parse("fuzzed", &text) else { return };
    let mut detector = Detector::new(vec![filter], TimeZone::UTC);
    for line in data.split(|byte| *byte == b'\n').take(100) {
        for prefix in ["Nov 22 10:00:00 mail smtpd[1]: ", "Nov 22 10:00:00 "] {
            detector.handle(&[prefix.as_bytes(), line].concat(), NEAR);
            // What is written in quotes, as examples are.
            for part in line.split(|byte| matches!(byte, b'"' | b'\'')) {
                detector.handle(&[prefix.as_bytes(), part].concat(), NEAR);
            }
        }
    }
}

/// A filter in fail2ban's form, as it is and in a mode, and what it then makes of its own lines. A NUL byte ends the filter; what
/// follows is a file that it can include as `included.conf`.
///
/// # Panics
/// The temporary directory cannot be written, or an error would steer a terminal.
pub fn fail2ban(data: &[u8]) {
    for options in [vec![], vec![("mode".to_owned(), "aggressive".to_owned())]] {
        let filter = match import(data, options) {
            Ok(filter) => filter,
            Err(error) => {
                let told = error.to_string();
                assert!(!told.chars().any(|character| character.is_control() && character != '\n'), "{told:?}");
                continue;
            }
        };
        let mut detector = Detector::new(vec![filter], TimeZone::UTC);
        for line in data.split(|byte| *byte == b'\n').take(100) {
            for prefix in ["Nov 22 10:00:00 mail smtpd[1]: ", "Nov 22 10:00:00 ", ""] {
                detector.handle(&[prefix.as_bytes(), line].concat(), NEAR);
            }
        }
    }
}

#[expect(clippy::expect_used, reason = "without its files there is nothing to be tried")]
fn import(data: &[u8], options: Vec<(String, String)>) -> Result<Filter, ImportError> {
    let (main, included) = data.split_at(data.iter().position(|byte| *byte == 0).unwrap_or(data.len()));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("fuzzed.conf");
    fs::write(&path, main).expect("the filter is written");
    fs::write(path.with_file_name("included.conf"), included.get(1..).unwrap_or_default())
        .expect("the include is written");
    fail2ban::filter("fuzzed", Reference { path, options })
}

/// A configuration file. What is wrong with it is told without control bytes.
///
/// # Panics
/// An error would steer a terminal.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let filters: Vec<String> = Filter::built_in_names().map(str::to_owned).collect();
    if let Err(errors) = Config::parse(&[(PathBuf::from("banner.toml"), text)], &filters) {
        let told = errors.to_string();
        assert!(!told.chars().any(|character| character.is_control() && character != '\n'), "{told:?}");
    }
}

fn built_in() -> Detector {
    let filters = Filter::built_in_names().filter_map(|name| Filter::built_in(name).ok()).collect();
    Detector::new(filters, TimeZone::UTC)
}

fn source(event: &Event) -> Option<IpAddr> {
    match event {
        Event::Failure(attempt) | Event::Success(attempt) => Some(attempt.source),
        Event::Outage(outage) => outage.source,
    }
}

/// Every address that stands in a line, however it is delimited.
fn addresses(line: &[u8]) -> Vec<IpAddr> {
    let text = String::from_utf8_lossy(line).replace("IPv6:", " ");
    let part_of_one = |character: char| character.is_ascii_hexdigit() || matches!(character, ':' | '.');
    text.split(|character| !part_of_one(character))
        // A sentence's end or a port may follow.
        .flat_map(|word| {
            [word, word.trim_end_matches('.'), word.trim_end_matches(':'), word.rsplit_once(':').unwrap_or_default().0]
        })
        .filter_map(|word| word.parse::<IpAddr>().ok())
        .map(|address| address.to_canonical())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpora_of_filters_are_filters() {
        let corpus = |name: &str| {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
            fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap())
        };
        for file in corpus("fail2ban") {
            assert!(import(&file, Vec::new()).is_ok(), "{}", file.escape_ascii());
        }
        for file in corpus("filter") {
            let text = String::from_utf8(file).unwrap();
            assert!(Filter::parse("fuzzed", &text).is_ok(), "{text}");
        }
    }
}
