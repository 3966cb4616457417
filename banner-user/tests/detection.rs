//! Detection against what real servers wrote, and against what a client may write into their logs.

#![cfg(test)]

use std::{
    fmt::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use banner_user::{
    clock::{LogTime, WallTime},
    detect::{Detector, Filter},
    event::{Event, User, Weight},
};
use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

fn detector() -> Detector {
    let filters = Filter::built_in_names().map(|name| Filter::built_in(name).unwrap()).collect();
    Detector::new(filters, TimeZone::UTC)
}

/// The day on which the real logs were written.
fn near() -> WallTime {
    WallTime("2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap().as_microsecond())
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/logs").join(path)
}

/// An event as the `.expected` files write it: kind, address, weight, user.
fn told(event: &Event) -> String {
    match event {
        Event::Failure(attempt) => {
            let weight = match attempt.weight {
                Weight::ONE => "one".to_owned(),
                Weight::LOW => "low".to_owned(),
                other => other.to_string(),
            };
            format!("failure {} {weight} {}", attempt.source, quoted(attempt.user.as_ref()))
        }
        Event::Success(attempt) => format!("success {} - {}", attempt.source, quoted(attempt.user.as_ref())),
        Event::Outage(outage) => {
            format!("outage {} - -", outage.source.map_or_else(|| "-".to_owned(), |source| source.to_string()))
        }
    }
}

fn quoted(user: Option<&User>) -> String {
    let Some(user) = user else { return "-".to_owned() };
    let mut text = "\"".to_owned();
    for byte in user.as_bytes() {
        match byte {
            b'"' | b'\\' => write!(text, "\\x{byte:02x}").unwrap(),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}").unwrap(),
        }
    }
    text + "\""
}

/// The logs in a directory of fixtures.
fn logs(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(fixture(directory)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let logs: Vec<_> = names.filter(|name| name.ends_with(".log")).map(|name| format!("{directory}/{name}")).collect();
    assert!(!logs.is_empty(), "{directory}");
    logs
}

fn source(event: &Event) -> Option<IpAddr> {
    match event {
        Event::Failure(attempt) | Event::Success(attempt) => Some(attempt.source),
        Event::Outage(outage) => outage.source,
    }
}

/// The events of a log with their line numbers.
fn detected(log: &str) -> Vec<(usize, Event)> {
    let text = std::fs::read(fixture(log)).unwrap();
    let mut detector = detector();
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines.filter_map(|(index, line)| Some((index + 1, only(detector.handle(line, near()))?))).collect()
}

/// No line is known by two of the filters.
fn only(events: &[Event]) -> Option<Event> {
    assert!(events.len() <= 1, "{events:?}");
    events.first().cloned()
}

fn assert_told(log: &str, expected: &str) {
    let expected = std::fs::read_to_string(fixture(expected)).unwrap();
    let expected: Vec<_> = expected.lines().collect();
    let told: Vec<_> = detected(log).iter().map(|(line, event)| format!("{line} {}", told(event))).collect();
    let missing: Vec<_> = expected.iter().filter(|line| !told.iter().any(|told| told == *line)).collect();
    let invented: Vec<_> = told.iter().filter(|line| !expected.contains(&line.as_str())).collect();
    assert!(missing.is_empty() && invented.is_empty(), "{log}\nmissing: {missing:#?}\ninvented: {invented:#?}");
    assert_eq!(told, expected, "{log}: the order");
}

const REAL: [(&str, &str); 8] = [
    ("real/rsyslog-3164.log", "real/rsyslog.expected"),
    ("real/rsyslog-iso.log", "real/rsyslog.expected"),
    ("real/rsyslog-5424.log", "real/rsyslog.expected"),
    ("real/busybox.log", "real/busybox.expected"),
    ("real/postlogd-maillog.log", "real/postlogd-maillog.expected"),
    ("real/dovecot.log", "real/dovecot.expected"),
    ("real/exim.log", "real/exim.expected"),
    ("real/sendmail.log", "real/sendmail.expected"),
];

#[test]
fn real_failures_are_detected_once_with_address_weight_and_user() {
    for (log, expected) in REAL {
        assert_told(log, expected);
    }
}

#[test]
fn one_stream_in_three_prefixes_is_one_sequence_of_events() {
    let iso = detected("real/rsyslog-iso.log");
    assert_eq!(iso, detected("real/rsyslog-5424.log"));
    // RFC 3164 has whole seconds.
    let whole_second = |(line, mut event): (usize, Event)| {
        let at = match &mut event {
            Event::Failure(attempt) | Event::Success(attempt) => &mut attempt.at,
            Event::Outage(outage) => &mut outage.at,
        };
        *at = LogTime(at.0 - at.0.rem_euclid(1_000_000));
        (line, event)
    };
    assert_eq!(iso.into_iter().map(whole_second).collect::<Vec<_>>(), detected("real/rsyslog-3164.log"));
}

#[test]
fn no_real_line_yields_an_address_that_its_text_forged() {
    let is_client = |source: IpAddr| match source {
        IpAddr::V4(address) => matches!(address.octets(), [198, 18, 0, 10..=22]),
        IpAddr::V6(address) => matches!(address.segments(), [0xfd18, 0, 0, 0, 0, 0, 0, 0x10..=0x22]),
    };
    for (log, _) in REAL {
        for (line, event) in detected(log) {
            assert!(source(&event).is_none_or(is_client), "{log}:{line}: {event:?}");
        }
    }
}

#[test]
fn forged_twins_change_nothing_but_their_own_line() {
    let victim: IpAddr = "203.0.113.9".parse().unwrap();
    for log in logs("forged") {
        assert_told(&log, &log.replace(".log", ".expected"));
        assert!(detected(&log).iter().all(|(_, event)| source(event) != Some(victim)), "{log}");
    }
}

#[test]
fn lines_that_follow_from_a_servers_source_are_detected() {
    for log in logs("derived") {
        assert_told(&log, &log.replace(".log", ".expected"));
    }
}

#[test]
fn what_repeats_a_failure_or_is_none_is_known_and_ignored() {
    for (line, filter) in [
        (
            "Nov 22 10:38:22 mail postfix/smtpd[1]: too many errors after AUTH from unknown[198.51.100.7]",
            "postfix-abuse",
        ),
        (
            "Nov 22 10:38:22 mail postfix/postscreen[1]: HANGUP after 0 from [198.51.100.7]:1 in tests before SMTP handshake",
            "postscreen",
        ),
        ("Nov 22 10:38:22 mail postfix/postscreen[1]: DNSBL rank 3 for [198.51.100.7]:1", "postscreen"),
        (
            "[22-Nov-2026 10:38:22 +0000]: <k3ru8e1v> Failed login for alice from 198.51.100.7 in session k3ru8e1v (error: 0)",
            "roundcube",
        ),
        (
            "[22-Nov-2026 10:38:22 +0000]: Failed login for alice from 198.51.100.7 in session k3ru8e1v (error: 0)",
            "roundcube",
        ),
    ] {
        let mut detector = shared();
        assert!(detector.handle(line.as_bytes(), near()).is_empty(), "{line}");
        assert_eq!(detector.ignored_by().map(|name| &**name), Some(filter), "{line}");
    }
}

/// Lines of true failures, split where the client's text stands, with what they tell whatever it is.
const FAILURES: [(&str, &str, &str); 13] = [
    (
        "Nov 22 10:38:22 mail postfix/smtpd[24665]: warning: unknown[198.51.100.7]: SASL PLAIN authentication failed: authentication failure, sasl_username=",
        "",
        "failure 198.51.100.7 one",
    ),
    (
        "2026-11-22T10:38:22.1+00:00 mail postfix-out/smtpd[24678]: warning: host.example.net[2001:db8::7]:42927: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=",
        "",
        "failure 2001:db8::7 one",
    ),
    (
        "<22>1 2026-11-22T10:38:22.1Z mail cyrus 2097 - -  badlogin: [198.51.100.7] plaintext (",
        ") [SASL(-13): authentication failure: checkpass failed]",
        "failure 198.51.100.7 one",
    ),
    (
        "Nov 22 10:49:24 mail mail.notice cyrus/imap[2097]: badlogin: host.example.net [198.51.100.7] PLAIN (",
        ") [SASL(-13): authentication failure: Password verification failed]",
        "failure 198.51.100.7 one",
    ),
    (
        "Nov 22 10:49:24 mail imap[2097]: badlogin: [198.51.100.7] plaintext (",
        ") invalid user",
        "failure 198.51.100.7 one",
    ),
    (
        "Nov 22 10:49:24 mail cyrus/http[2097]: badlogin: [198.51.100.7] Basic ",
        " SASL(-13): authentication failure: checkpass failed",
        "failure 198.51.100.7 one",
    ),
    (
        "Nov 22 10:49:24 mail cyrus/pop3[2097]: badlogin: [198.51.100.7] PLAIN (",
        ") [authentication failure]",
        "failure 198.51.100.7 one",
    ),
    (
        "Nov 22 10:49:24 mail cyrus/imap[2097]: badlogin: [198.51.100.7] CRAM-MD5 (-notset-) [SASL(-13): user not found: user: ",
        "@mail property: cmusaslsecretCRAM-MD5 not found in sasldb]",
        "failure 198.51.100.7 one",
    ),
    (
        "Nov 22 10:49:24 mail cyrus/sieve[2097]: badlogin: [198.51.100.7] ",
        " error base64 decoding string",
        "failure 198.51.100.7 one",
    ),
    (
        "Nov 22 10:38:22 mail postfix/smtpd[24665]: warning: non-SMTP command from unknown[198.51.100.7]: ",
        "",
        "failure 198.51.100.7 one",
    ),
    (
        "Nov 22 10:38:22 mail postfix/smtpd[24665]: improper command pipelining after EHLO from unknown[198.51.100.7]: ",
        "",
        "failure 198.51.100.7 one",
    ),
    (
        "Nov 22 10:38:22 mail postfix/smtpd[24665]: NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 554 5.7.1 <",
        ">: Relay access denied; from=<a@example.com> to=<x@example.org> proto=ESMTP helo=<cli.test>",
        "failure 198.51.100.7 one",
    ),
    (
        "2026-11-22T10:38:22Z mail postfix/postscreen[24733]: PREGREET 35 after 0 from [198.51.100.7]:40973: ",
        "",
        "failure 198.51.100.7 one",
    ),
];

/// Lines of true failures where the client's text stands beside the address in the same shape: they may tell nothing, but
/// nothing about anybody else.
const AMBIGUOUS: [(&str, &str); 7] = [
    (
        "[22-Nov-2026 10:38:22 +0000]: <k3ru8e1v> IMAP Error: Login failed for ",
        " against localhost from 198.51.100.7. AUTHENTICATE PLAIN: A0001 NO Authentication failed. in /srv/rcube_imap.php on line 211 (POST /)",
    ),
    (
        "Nov 22 10:38:22 mail roundcube: IMAP Error: Login failed for ",
        " from 198.51.100.7. AUTHENTICATE PLAIN: Authentication failed. in /srv/rcube_imap.php on line 198 (POST /)",
    ),
    (
        "[22-Nov-2026 10:38:22 +0000]: <k3ru8e1v> IMAP Error: Login failed for alice against localhost from 198.51.100.7 (X-Real-IP: ",
        "). AUTHENTICATE PLAIN: A0001 NO Authentication failed. in /srv/rcube_imap.php on line 211 (POST /)",
    ),
    (
        "[22-Nov-2026 10:38:22 +0000]: <k3ru8e1v> Failed login for ",
        " from 198.51.100.7 in session k3ru8e1v2p5qa0b1 (error: 4)",
    ),
    (
        "[22-Nov-2026 10:38:22 +0000]: <k3ru8e1v> Failed login for alice from 198.51.100.7 (X-Forwarded-For: ",
        ") in session k3ru8e1v2p5qa0b1 (error: 4)",
    ),
    (
        "Nov 22 10:38:22 sogod [4711]: SOGoRootPage Login from '198.51.100.7' for user '",
        "' might not have worked - password policy: 65535  grace: -1  expire: -1  bound: 0",
    ),
    (
        "Nov 22 10:38:22 sogod [4711]: SOGoRootPage Login from '",
        ", 198.51.100.7' for user 'alice' might not have worked - password policy: 65535  grace: -1  expire: -1  bound: 0",
    ),
];

/// Ordinary lines, split where the client's text stands: they tell nothing whatever it is.
const ORDINARY: [(&str, &str); 9] = [
    ("Nov 22 10:38:22 mail postfix/smtpd[24665]: connect from ", "[198.51.100.7]"),
    ("Nov 22 10:38:22 mail postfix/smtpd[24665]: warning: SASL authentication failure: Couldn't find mech ", ""),
    (
        "Nov 22 10:38:22 mail postfix/smtpd[24665]: NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 450 4.2.0 <",
        ">: Recipient address rejected: Greylisted; from=<a@example.com> to=<x@example.org> proto=ESMTP helo=<cli.test>",
    ),
    (
        "2026-11-22T10:38:22Z mail postfix/smtpd[24733]: 4fQ2Xn3Zz1z9: milter-reject: RCPT from unknown[198.51.100.7]: 451 ",
        "",
    ),
    ("[22-Nov-2026 10:38:22 +0000]: <k3ru8e1v> PHP Error: ", " in /srv/index.php on line 3 (GET /)"),
    ("Nov 22 10:38:22 sogod [4711]: 198.51.100.7 \"GET /SOGo/", " HTTP/1.1\" 404 34/38 0.311 - - 2M"),
    (
        "<22>1 2026-11-22T10:38:22Z mail saslauthd 1 - -                  : auth failure: [user=",
        "] [service=smtp] [realm=]",
    ),
    ("Nov 22 10:38:22 mail cyrus/imap[2097]: client id sessionid=<mail-1>: \"name\" \"", "\""),
    ("Nov 22 10:38:22 mail cyrus/imap[2097]: SASL Couldn't find mech ", ""),
];

/// What an attacker would try, mixed with what nobody thinks of.
fn hostile_text() -> impl Strategy<Value = Vec<u8>> {
    const TRICKS: [&str; 35] = [
        "\n",
        "\r\n",
        "#012",
        "[203.0.113.9]",
        " [203.0.113.9] ",
        "unknown[203.0.113.9]: ",
        "]: ",
        ") [",
        "(",
        ")",
        "\"",
        "Nov 22 10:00:00 mail postfix/smtpd[1]: ",
        "2026-11-22T10:00:00Z mail cyrus/imap[1]: ",
        "<22>1 - m cyrus 1 - - ",
        "warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x",
        "badlogin: v [203.0.113.9] plaintext (q) invalid user",
        "login: [203.0.113.9] bob plaintext User logged in",
        "4Qx: client=x[203.0.113.9], sasl_method=PLAIN, sasl_username=y",
        "event=login.bad r.clienthost=[203.0.113.9] u.username=x",
        ", sasl_username=",
        "SASL(-1): generic failure",
        "[SASL(-4): x]",
        ") [SASL(-1): generic failure: x",
        "authentication failed: generic failure",
        "[generic failure]",
        " invalid user",
        "no mechanism available",
        "(-notset-)",
        "PLAIN (x) ",
        " from 203.0.113.9. LOGIN: x",
        " against localhost from 203.0.113.9 (X-Real-IP: ",
        " from 203.0.113.9 in session x (error: 4)",
        " in /srv/rcube_imap.php on line 1 (POST /)",
        "203.0.113.9' for user '",
        "' might not have worked - password policy: ",
    ];
    let trick = proptest::sample::select(TRICKS.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    let piece = prop_oneof![proptest::collection::vec(any::<u8>(), 0..40), trick];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn line(before: &str, text: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), text, after.as_bytes()].concat()
}

/// Compiling the filters takes longer than a case: one detector for all of them.
fn shared() -> MutexGuard<'static, Detector> {
    static DETECTOR: LazyLock<Mutex<Detector>> = LazyLock::new(|| Mutex::new(detector()));
    DETECTOR.lock().unwrap_or_else(PoisonError::into_inner)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in hostile_text()) {
        let mut detector = shared();
        detector.handle(&bytes, WallTime(i64::MAX));
        detector.handle(&text, WallTime(i64::MIN));
        for prefix in [
            "Nov 22 10:00:00 mail ",
            "2026-11-22T10:00:00Z mail ",
            "<22>1 ",
            "1 - m a 1 - [",
            "Nov 22 10:00:00 mail imap[1]: event=login.bad r.clienthost=",
        ] {
            detector.handle(&line(prefix, &bytes, ""), WallTime(i64::MAX));
            detector.handle(&line(prefix, &text, ""), near());
        }
    }

    #[test]
    fn the_text_in_a_true_failure_never_changes_its_address_or_weight(text in hostile_text()) {
        // A server that logs a newline escapes it; one that does not ends the line with it.
        let text: Vec<u8> = text.into_iter().filter(|byte| *byte != b'\n').collect();
        for (before, after, expected) in FAILURES {
            let line = line(before, &text, after);
            let told = shared().handle(&line, near()).first().map(told).unwrap_or_default();
            prop_assert!(told.starts_with(expected), "{}: {told}", line.escape_ascii());
        }
    }

    #[test]
    fn only_the_first_physical_line_is_read(text in hostile_text(), second in hostile_text()) {
        for (before, after, _) in FAILURES {
            let whole = line(before, &[&text[..], b"\n", &second].concat(), after);
            let first = whole.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let mut detector = shared();
            let of_first = only(detector.handle(first, near()));
            prop_assert_eq!(only(detector.handle(&whole, near())), of_first, "{}", whole.escape_ascii());
        }
    }

    #[test]
    fn quoted_text_in_logfmt_never_changes_address_or_weight(user in hostile_text()) {
        let mut quoted = String::new();
        for byte in &user {
            match byte {
                b'"' | b'\\' => write!(quoted, "\\{}", char::from(*byte)).unwrap(),
                b' '..=b'~' => quoted.push(char::from(*byte)),
                _ => write!(quoted, "\\x{{{byte:02x}}}").unwrap(),
            }
        }
        let before = "Nov 22 10:00:00 mail cyrus/imap[1]: event=login.bad r.clienthost=[198.51.100.7] u.username=\"";
        let after = "\" login.mech=PLAIN error=\"SASL(-13): authentication failure: checkpass failed\"";
        let line = line(before, quoted.as_bytes(), after);
        let told = shared().handle(&line, near()).first().map(told).unwrap_or_default();
        let user = self::quoted(Some(&User::new(&user)));
        prop_assert_eq!(told, format!("failure 198.51.100.7 one {user}"), "{}", line.escape_ascii());
    }

    #[test]
    fn text_that_could_be_the_servers_never_accuses_anybody_else(text in hostile_text()) {
        // A line break in it makes whole lines, which no filter can know: the filters' heads say what keeps it out.
        let text: Vec<u8> = text.into_iter().filter(|byte| *byte != b'\n').collect();
        for (before, after) in AMBIGUOUS {
            let line = line(before, &text, after);
            for event in shared().handle(&line, near()) {
                prop_assert!(
                    source(event).is_none_or(|source| source.to_string() == "198.51.100.7"),
                    "{}: {event:?}",
                    line.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn what_a_client_writes_into_an_ordinary_line_tells_nothing(text in hostile_text()) {
        for (before, after) in ORDINARY {
            let line = line(before, &text, after);
            prop_assert!(shared().handle(&line, near()).is_empty(), "{}", line.escape_ascii());
        }
    }
}
