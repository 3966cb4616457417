//! The built-in filters against the sample logs of Debian's fail2ban package, where every line is described by what fail2ban's
//! own filters make of it. They are read where apt puts them, and never copied: their licence is not this project's.
//!
//! A line that fail2ban counts is counted here, for the same host, or stands in `samples.exceptions` with the reason why not.

#![cfg(test)]

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
};

use banner_user::{
    clock::WallTime,
    detect::{Detector, Filter},
    event::Event,
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;

const DIRECTORY: &str = "/usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

/// A sample log, and the filters that stand for the one that it is a sample of.
const SAMPLES: [(&str, &[&str]); 9] = [
    ("courier-auth", &["courier"]),
    ("courier-smtp", &["courier"]),
    ("cyrus-imap", &["cyrus"]),
    ("dovecot", &["dovecot"]),
    ("exim", &["exim", "exim-abuse"]),
    ("postfix", &["postfix-abuse", "postfix-reject", "postfix-sasl", "postscreen"]),
    ("sendmail-auth", &["sendmail"]),
    ("sendmail-reject", &["sendmail-reject"]),
    ("sieve", &["cyrus"]),
];

#[test]
fn every_failure_in_fail2bans_samples_is_found_or_excepted_with_a_reason() {
    let directory = Path::new(DIRECTORY);
    if !directory.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{DIRECTORY} is not there: apt-get install fail2ban");
        // Straight to the descriptor: the test harness swallows what a passing test prints.
        writeln!(std::io::stderr(), "skipped: {DIRECTORY} is not there: apt-get install fail2ban").unwrap();
        return;
    }
    let mut exceptions = exceptions();
    let mut faults = Vec::new();
    for (log, filters) in SAMPLES {
        for sample in samples(directory, log) {
            let found = sources(filters, &sample.line);
            let agrees = found == sample.host.into_iter().collect::<Vec<_>>();
            match (agrees, exceptions.remove(&sample.key)) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(reason)) => faults.push(format!("{} is found, though excepted: {reason}", sample.key)),
                (false, None) => faults.push(format!(
                    "{}: {:?} expected, {found:?} found: {}",
                    sample.key,
                    sample.host,
                    sample.line.escape_ascii()
                )),
            }
        }
    }
    faults.extend(exceptions.into_keys().map(|key| format!("{key} is excepted, but is no sample")));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A line with what fail2ban makes of it.
struct Sample {
    /// `LOG LINE HASH`.
    key: String,
    line: Vec<u8>,
    /// Whom a line that counts is counted for.
    host: Option<IpAddr>,
}

/// `# failJSON: {..}`, which describes the next line that is no comment.
#[derive(Deserialize)]
struct Description {
    #[serde(rename = "match")]
    counts: bool,
    host: Option<String>,
}

/// The samples of a log. What fail2ban counts only in its mode `aggressive` is there twice, with both answers.
fn samples(directory: &Path, log: &str) -> Vec<Sample> {
    let text = fs::read(directory.join(log)).unwrap();
    let mut samples = Vec::new();
    let mut described = None;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let comment = line.strip_prefix(b"#").map(<[u8]>::trim_ascii_start);
        if let Some(json) = comment.and_then(|comment| comment.strip_prefix(b"failJSON:")) {
            described = Some(serde_json::from_slice::<Description>(json).unwrap());
        } else if comment.is_none()
            && let Some(Description { counts, host }) = described.take_if(|_| !line.is_empty())
        {
            let host = host.filter(|_| counts).map(|host| host.parse().unwrap());
            let key = format!("{log} {} {:08x}", index + 1, hash(line));
            samples.push(Sample { key, line: line.to_vec(), host });
        }
    }
    assert!(!samples.is_empty(), "{log}");
    samples
}

/// Whose failures a line tells of.
fn sources(filters: &[&str], line: &[u8]) -> Vec<IpAddr> {
    let filters = filters.iter().map(|name| Filter::built_in(name).unwrap()).collect();
    // Any year will do: the samples' hosts are compared, not their times.
    let near = WallTime("2005-06-15T12:00:00Z".parse::<Timestamp>().unwrap().as_microsecond());
    let mut detector = Detector::new(filters, TimeZone::UTC);
    let failure = |event: &Event| match event {
        Event::Failure(attempt) => Some(attempt.source),
        Event::Success(_) | Event::Outage(_) => None,
    };
    detector.handle(line, near).iter().filter_map(failure).collect()
}

/// The reasons of `samples.exceptions` by the lines that they are given for: a paragraph is a reason, after `# `, and its
/// lines' keys.
fn exceptions() -> BTreeMap<String, String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples.exceptions");
    let text = fs::read_to_string(path).unwrap();
    let mut exceptions = BTreeMap::new();
    for paragraph in text.split("\n\n") {
        let (reason, keys): (Vec<_>, Vec<_>) = paragraph.lines().partition(|line| line.starts_with('#'));
        let reason = reason.join(" ").replace("# ", "");
        for key in keys.into_iter().filter(|key| !key.is_empty()) {
            assert!(!reason.is_empty(), "{key} has no reason");
            assert_eq!(exceptions.insert(key.to_owned(), reason.clone()), None, "{key} stands there twice");
        }
    }
    exceptions
}

/// FNV-1a, 32 bits (draft-eastlake-fnv): so that a line can be named without being repeated.
fn hash(line: &[u8]) -> u32 {
    line.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
