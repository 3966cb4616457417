//! What a client writes into the lines of Dovecot, Exim, Sendmail and Courier never makes them tell of somebody else.

#![cfg(test)]

use std::{
    net::IpAddr,
    sync::{LazyLock, Mutex, PoisonError},
};

use banner_user::{
    clock::WallTime,
    detect::{Detector, Filter},
    event::{Event, Weight},
};
use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

/// Lines of true failures, split where the client's text stands, that count one whatever it is.
const FAILURES: [(&str, &str); 10] = [
    (
        "Nov 22 10:38:22 mail dovecot: imap-login: Disconnected: Inactivity (auth failed, 1 attempts in 2 secs): user=<",
        ">, method=PLAIN, rip=198.51.100.7, lip=192.0.2.25, TLS, session=<4MUOdd9gRa7GEgAK>",
    ),
    (
        "Nov 22 10:38:22 mail dovecot: imap-login: Login aborted: Logged out (auth failed, 1 attempts in 2 secs) (auth_failed): user=<",
        ">, rip=198.51.100.7, lip=192.0.2.25",
    ),
    (
        "Nov 22 10:38:22 pop3-login: Info: Disconnected (auth failed, 1 attempts in 2 secs): user=<",
        ">, method=PLAIN, rip=198.51.100.7, lip=192.0.2.25, session=<x>",
    ),
    (
        "Nov 22 10:38:22 mail sm-mta[1]: 09DJDgOM005976: AUTH failure (LOGIN): authentication failure (-13) SASL(-13): x, user=",
        ", relay=host.example.net [198.51.100.7]",
    ),
    (
        "Nov 22 10:38:22 mail sm-mta[1]: 09DJDgOM005976: AUTH failure (CRAM-MD5): user not found (-20) SASL(-13): user not found: user: ",
        "@mail property: userPassword not found in sasldb, relay=[198.51.100.7] (may be forged)",
    ),
    ("Nov 22 10:38:22 mail imapd: LOGIN FAILED, user=", ", ip=[::ffff:198.51.100.7], port=[4711]"),
    ("Nov 22 10:38:22 mail pop3d[4711]: LOGIN FAILED, user=", ", ip=[::ffff:198.51.100.7]"),
    ("Nov 22 10:38:22 mail imapd-ssl: LOGIN FAILED, method=", ", ip=[::ffff:198.51.100.7], port=[4711]"),
    (
        "Nov 22 10:38:22 mail courieresmtpd: error,relay=::ffff:198.51.100.7,port=4711,msg=\"535 Authentication failed.\",cmd: ",
        "",
    ),
    (
        "2026-11-22 10:38:22 SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from H=[198.51.100.7]:4711 input=\"",
        "\"",
    ),
];

/// Lines in which a client's text may make its own failure uncertain: then they tell nothing.
const UNCERTAIN: [(&str, &str); 21] = [
    ("2026-11-22 10:38:22 plain authenticator failed for (", ") [198.51.100.7]: 535 Incorrect authentication data"),
    (
        "2026-11-22 10:38:22 plain authenticator failed for (",
        ") [198.51.100.7]:4711: 535 Incorrect authentication data (set_id=alice)",
    ),
    (
        "2026-11-22 10:38:22 plain authenticator failed for (",
        ") [198.51.100.7] I=[192.0.2.25]:25: 535 Incorrect authentication data (set_id=alice)",
    ),
    ("2026-11-22 10:38:22 plain authenticator failed for (", ") [198.51.100.7]: 501 Authentication cancelled"),
    (
        "2026-11-22 10:38:22 plain authenticator failed for (",
        ") [198.51.100.7]: 435 Unable to authenticate at present (set_id=alice): x",
    ),
    (
        "2026-11-22 10:38:22 plain authenticator failed for (x) [198.51.100.7] U=",
        ": 535 Incorrect authentication data (set_id=alice)",
    ),
    (
        "2026-11-22 10:38:22 plain authenticator failed for host.example.net (x) [198.51.100.7]: 535 Incorrect authentication data (set_id=",
        ")",
    ),
    (
        "2026-11-22 10:38:22 SMTP protocol error in \"AUTH ",
        "\" H=(x) [198.51.100.7]:4711 NTLM authentication mechanism not supported",
    ),
    (
        "2026-11-22 10:38:22 SMTP protocol error in \"AUTH ",
        "\" H=(x) [198.51.100.7] AUTH command used when not advertised",
    ),
    (
        "2026-11-22 10:38:22 SMTP protocol error in \"AUTH\" H=(",
        ") [198.51.100.7] AUTH command used when not advertised",
    ),
    (
        "2026-11-22 10:38:22 SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised): rejected \"",
        "\" H=(x) [198.51.100.7] next input=\"x\"",
    ),
    (
        "2026-11-22 10:38:22 SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised): rejected \"x\" H=(x) [198.51.100.7] next input=\"",
        "\"",
    ),
    ("2026-11-22 10:38:22 SMTP call from (", ") [198.51.100.7] dropped: too many nonmail commands (last was \"x\")"),
    ("2026-11-22 10:38:22 SMTP call from (x) [198.51.100.7] dropped: too many nonmail commands (last was \"", "\")"),
    ("2026-11-22 10:38:22 no MAIL in SMTP connection from (", ") [198.51.100.7] D=0s C=EHLO,QUIT"),
    ("2026-11-22 10:38:22 H=(", ") [198.51.100.7] F=<x> rejected RCPT <y>: relay not permitted"),
    ("2026-11-22 10:38:22 H=(x) [198.51.100.7] F=<", "> rejected RCPT <y>: relay not permitted"),
    ("2026-11-22 10:38:22 H=(x) [198.51.100.7] F=<x> rejected RCPT <", ">: relay not permitted"),
    ("2026-11-22 10:38:22 1xV9uu-0008A5-0A <= ", " H=(x) [198.51.100.7] P=esmtpa A=plain:alice S=1"),
    (
        "Nov 22 10:38:22 mail sm-mta[1]: 09DJDgOM005976: ruleset=check_rcpt, arg1=",
        ", relay=[198.51.100.7], reject=550 5.7.1 <x>... Relaying denied",
    ),
    (
        "Nov 22 10:38:22 mail sm-mta[1]: 09DJDgOM005976: ruleset=check_rcpt, arg1=<x>, relay=[198.51.100.7] (may be forged), reject=550 5.7.1 ",
        "... Relaying denied",
    ),
];

/// Parts of the servers' lines, of which an attacker would build one.
const PARTS: [&str; 40] = [
    "[203.0.113.9]",
    ") [203.0.113.9]",
    " [203.0.113.9] ",
    "[203.0.113.9",
    "]",
    "] ",
    "]:",
    "(",
    ")",
    ">",
    "\"",
    " U=",
    ":4711",
    " I=",
    " I=[192.0.2.25]:25",
    ": 535 Incorrect authentication data",
    " (set_id=",
    ": 501 Authentication cancelled",
    ": 435 Unable to authenticate at present",
    " NTLM authentication mechanism not supported",
    " AUTH command used when not advertised",
    "\" H=(x",
    " H=(x",
    " next input=\"",
    " dropped: too many nonmail commands (",
    " D=0s",
    " rejected RCPT <x>: relay not permitted",
    " P=esmtpa A=plain:bob",
    "\\",
    ", rip=203.0.113.9, lip=192.0.2.25",
    ">, rip=203.0.113.9, lip=192.0.2.25",
    ", method=PLAIN",
    ", session=<x",
    " (auth failed, 9 attempts in 2 secs): user=<",
    " (auth service reported temporary failure): user=<",
    ", user=x, relay=[203.0.113.9]",
    ", relay=[203.0.113.9], reject=550 5.7.1 x... Relaying denied",
    ", ip=[203.0.113.9], port=[4711]",
    " (-1) ",
    " (may be forged)",
];

fn hostile_text() -> impl Strategy<Value = Vec<u8>> {
    let part = proptest::sample::select(PARTS.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    let piece = prop_oneof![1 => proptest::collection::vec(any::<u8>(), 0..4), 6 => part];
    // A server that logs a newline escapes it; one that does not ends the line with it.
    proptest::collection::vec(piece, 0..6)
        .prop_map(|pieces| pieces.concat().into_iter().filter(|byte| *byte != b'\n').collect())
}

/// What a line with the text in it tells, of whom and how much: nothing for a weight is no failure.
fn told((before, after): (&str, &str), text: &[u8]) -> Option<(Option<IpAddr>, Option<Weight>)> {
    static DETECTOR: LazyLock<Mutex<Detector>> = LazyLock::new(|| {
        let filters = Filter::built_in_names().map(|name| Filter::built_in(name).unwrap()).collect();
        Mutex::new(Detector::new(filters, TimeZone::UTC))
    });
    let line = [before.as_bytes(), text, after.as_bytes()].concat();
    let near = WallTime("2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap().as_microsecond());
    let mut detector = DETECTOR.lock().unwrap_or_else(PoisonError::into_inner);
    let events = detector.handle(&line, near);
    assert!(events.len() <= 1, "{}: {events:?}", line.escape_ascii());
    Some(match events.first()? {
        Event::Failure(attempt) => (Some(attempt.source), Some(attempt.weight)),
        Event::Success(attempt) => (Some(attempt.source), None),
        Event::Outage(outage) => (outage.source, None),
    })
}

fn client() -> IpAddr {
    IpAddr::from([198, 51, 100, 7])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn the_text_in_a_true_failure_never_changes_its_address_or_weight(text in hostile_text()) {
        for line in FAILURES.into_iter() {
            prop_assert_eq!(told(line, &text), Some((Some(client()), Some(Weight::ONE))), "{:?}", line);
        }
    }

    #[test]
    fn the_text_in_an_uncertain_line_never_makes_it_tell_of_somebody_else(text in hostile_text()) {
        for line in UNCERTAIN {
            if let Some((source, _)) = told(line, &text) {
                prop_assert_eq!(source, Some(client()), "{:?}", line);
            }
        }
    }
}

#[test]
fn an_uncertain_line_is_certain_with_ordinary_text_in_it() {
    for line in UNCERTAIN {
        assert_eq!(told(line, b"client.test").and_then(|(source, _)| source), Some(client()), "{line:?}");
    }
}
