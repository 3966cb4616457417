//! Who attackers say that they are.

use banner_tests::{
    lab::client::{
        conversation::literal,
        sasl::{base64, plain},
    },
    lab::root::Kind,
};

use super::attack::{Attack, HTTP, LOW, NOTHING, ONE};

/// A name, and whether it may be one of a mailbox in Cyrus, which does not try the password of any other with SASL.
struct Name {
    what: &'static str,
    bytes: &'static [u8],
    is_possible: bool,
}

const fn possible(what: &'static str, bytes: &'static [u8]) -> Name {
    Name { what, bytes, is_possible: true }
}

const fn impossible(what: &'static str, bytes: &'static [u8]) -> Name {
    Name { what, bytes, is_possible: false }
}

const NAMES: &[Name] = &[
    possible("an honest name", b"alice"),
    possible("nobody's name", b"mallory"),
    impossible(
        "a line of Cyrus",
        b"x\r\nNov 22 22:00:00 mail cyrus/imap[1]: badlogin: [203.0.113.9] plaintext (q) [SASL(-13): authentication failure: checkpass failed]\r\ny",
    ),
    impossible(
        "an ISO line of Postfix",
        b"x\n2026-11-22T22:00:00.000000+00:00 mail postfix/smtpd[1]: warning: unknown[203.0.113.9]: SASL PLAIN authentication failed: authentication failure\ny",
    ),
    impossible(
        "a line of Postfix in RFC 5424",
        b"x\n<22>1 2026-11-22T22:00:00.000000+00:00 mail postfix/smtpd 1 - - warning: unknown[203.0.113.9]: SASL PLAIN authentication failed: x",
    ),
    impossible(
        "a line of Dovecot",
        b"x\r\nNov 22 22:00:00 mail dovecot: imap-login: Disconnected (auth failed, 9 attempts in 2 secs): user=<q>, method=PLAIN, rip=203.0.113.9, lip=192.0.2.25",
    ),
    impossible("the end of Postfix's line", b"x]: SASL PLAIN authentication failed: generic failure"),
    impossible("the end of Cyrus' line", b"x) [203.0.113.9] plaintext (y) [SASL(-13): authentication failure: checkpass failed]"),
    impossible("an outage", b"x) [SASL(-1): generic failure: y"),
    impossible("no mechanism", b"x) [SASL(-4): no mechanism available: y"),
    possible("a name of Postfix's own", b"(unavailable)"),
    possible("Cyrus' field", b"x [203.0.113.9]"),
    possible("Postfix's field", b"x, sasl_username=y, client=unknown[203.0.113.9]"),
    possible("Dovecot's field", b"x>, method=PLAIN, rip=203.0.113.9, lip=192.0.2.25, session=<y"),
    impossible("Dovecot's IPv6 field", b"x>, rip=2001:db8:9::9, lip=fd00:25::25"),
    impossible("Dovecot's reason", b"x (auth failed, 99 attempts in 1 secs): user=<y"),
    impossible("Dovecot's outage", b"x (auth service reported temporary failure): user=<y"),
    possible("Cyrus' logfmt", b"x\" event=login.bad r.clienthost=[203.0.113.9] u.username=\"y"),
    impossible("the logger's repetition", b"message repeated 9 times: [ badlogin: [203.0.113.9] plaintext (y) invalid user]"),
    possible("a bare address", b"[203.0.113.9]"),
    impossible("bytes that are no UTF-8", b"\xff\xfe\x80[203.0.113.9]\xc3"),
    impossible("a terminal's escape sequences", b"\x1b[31mred\x1b]0;title\x07\x9b2J"),
    impossible("line ends of Unicode", "a\u{2028}b\u{2029}c\u{85}d\u{202e}e".as_bytes()),
    impossible("a carriage return", b"a\rb"),
    impossible("a format", b"a%s%n%d"),
    impossible("a variable", b"%{auth_user}${hostname}"),
    possible("an escape of rsyslog", b"a#012b"),
    possible("a literal", b"{5}"),
    possible("quotes", b"a\"b\\c'd"),
    possible("Cyrus' word for no name", b"-notset-"),
    impossible("a path", b"../../../etc/passwd"),
    possible("spaces around a name", b" alice "),
];

/// Lengths of names that are more than something holds: a logger, or a server.
const LENGTHS: [usize; 5] = [250, 600, 1000, 1900, 8000];

/// Every name, through every field that takes one.
pub(super) fn attacks(kind: Kind) -> Vec<Attack> {
    let mut attacks: Vec<_> =
        NAMES.iter().flat_map(|name| with_name(kind, name.what, name.bytes, name.is_possible)).collect();
    for length in LENGTHS {
        // What is cut off must not end where an attacker wants it to.
        for (what, end) in [("letters", &b""[..]), ("a forged end", b"\n203.0.113.9], rip=203.0.113.9")] {
            let mut name = vec![b'u'; length.saturating_sub(end.len())];
            name.extend(end);
            attacks.extend(with_name(kind, &format!("{length} bytes, {what}"), &name, false));
        }
    }
    attacks
}

fn with_name(kind: Kind, what: &str, name: &[u8], is_possible: bool) -> Vec<Attack> {
    let encoded = plain(name, b"wrong");
    // On behalf of somebody with that name.
    let for_other = base64(&[name, b"\0alice\0wrong"].concat());
    let line = |words: &[u8]| [words, b"\r\n"].concat();
    let text = |words: String| line(words.as_bytes());
    // Cyrus asks for the password of nobody with such a name. Dovecot hangs up on longer commands, and longer responses.
    let (command, response, imap, sieve) = match kind {
        Kind::Cyrus => (ONE, ONE, if is_possible { ONE } else { LOW }, ONE),
        Kind::Dovecot => {
            let command = if name.len() > 1000 { NOTHING } else { ONE };
            let (response, sieve) = if name.len() > 1900 { (LOW, NOTHING) } else { (ONE, ONE) };
            (command, response, response, sieve)
        }
    };
    let mut attacks = vec![
        ("SMTP PLAIN", 25, ONE, vec![line(b"EHLO x"), text(format!("AUTH PLAIN {encoded}"))]),
        ("SMTP PLAIN for another", 587, ONE, vec![line(b"EHLO x"), text(format!("AUTH PLAIN {for_other}"))]),
        (
            "SMTP LOGIN",
            2526,
            ONE,
            vec![line(b"EHLO x"), line(b"AUTH LOGIN"), text(base64(name)), text(base64(b"wrong"))],
        ),
        ("IMAP LOGIN", 143, command, vec![[b"a LOGIN ", &literal(name)[..], b" wrong\r\n"].concat()]),
        ("IMAP PLAIN", 143, imap, vec![line(b"a AUTHENTICATE PLAIN"), text(encoded.clone())]),
        ("POP3 USER", 110, command, vec![line(&[b"USER ", name].concat()), line(b"PASS wrong")]),
        ("POP3 PLAIN", 110, response, vec![line(b"AUTH PLAIN"), text(encoded.clone())]),
        ("ManageSieve PLAIN", 4190, sieve, vec![text(format!("AUTHENTICATE \"PLAIN\" \"{encoded}\""))]),
    ];
    if kind == Kind::Cyrus {
        let basic = base64(&[name, b":wrong"].concat());
        // What is behind a percent sign is not of the name.
        let counts = if name.starts_with(b"%") { LOW } else { ONE };
        attacks.push((
            "HTTP Basic",
            HTTP,
            counts,
            vec![request("/dav/", &format!("Authorization: Basic {basic}\r\n"))],
        ));
    }
    named(what, attacks)
}

/// No name at all: nothing is guessed, and no backend is down. (What timsieved says of that cannot be told from an outage, nor what
/// Postfix and pop3d say where Cyrus SASL has it by PLAIN.)
pub(super) fn nameless(kind: Kind) -> Vec<Attack> {
    let counts = if kind == Kind::Cyrus { LOW } else { ONE };
    let line = |words: &str| format!("{words}\r\n").into_bytes();
    let (nobody, wrong) = (plain(b"", b"wrong"), base64(b"wrong"));
    let mut attacks = vec![
        ("SMTP LOGIN", 2526, counts, vec![line("EHLO x"), line("AUTH LOGIN"), line(""), line(&wrong)]),
        ("SMTP login", 587, counts, vec![line("EHLO x"), line("AUTH login"), line(""), line(&wrong)]),
        ("IMAP LOGIN", 143, counts, vec![line("a LOGIN \"\" wrong")]),
        ("IMAP PLAIN", 143, counts, vec![line("a AUTHENTICATE PLAIN"), line(&nobody)]),
    ];
    if kind == Kind::Dovecot {
        attacks.extend([
            ("SMTP PLAIN", 25, counts, vec![line("EHLO x"), line(&format!("AUTH PLAIN {nobody}"))]),
            ("SMTP plain", 587, counts, vec![line("EHLO x"), line(&format!("AUTH plain {nobody}"))]),
            ("POP3 PLAIN", 110, counts, vec![line("AUTH PLAIN"), line(&nobody)]),
        ]);
    } else {
        let basic = base64(b":wrong");
        attacks.push((
            "HTTP Basic",
            HTTP,
            counts,
            vec![request("/dav/", &format!("Authorization: Basic {basic}\r\n"))],
        ));
    }
    named("no name", attacks)
}

fn named(what: &str, attacks: Vec<(&str, u16, f64, Vec<Vec<u8>>)>) -> Vec<Attack> {
    let attack = |(way, port, counts, says)| Attack::new(format!("{way}: {what}"), port, counts, says);
    attacks.into_iter().map(attack).collect()
}

/// A request, and no other after it.
pub(super) fn request(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n").into_bytes()
}

/// An honest user's failures with each of the servers.
pub(super) fn honest() -> Vec<Attack> {
    vec![
        Attack::new(
            "SMTP",
            25,
            ONE,
            vec![b"EHLO x\r\n".to_vec(), format!("AUTH PLAIN {}\r\n", plain(b"bob", b"wrong")).into()],
        ),
        Attack::new("IMAP", 143, ONE, vec![b"a LOGIN bob wrong\r\n".to_vec()]),
    ]
}
