//! What attackers say beside their names: commands, hosts, senders, recipients, mechanisms, messages.

use banner_tests::lab::{
    client::{
        conversation::literal,
        sasl::{base64, plain},
    },
    root::Kind,
};

use super::{
    attack::{Attack, HTTP, LOW, NOTHING, ONE, POSTSCREEN},
    user_names::request,
};

/// Lines of a client.
fn lines(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|line| [line, &b"\r\n"[..]].concat()).collect()
}

/// What Postfix puts into its log of what it is told, with every filter at work.
pub(super) fn smtp(kind: Kind) -> Vec<Attack> {
    let forged = b"x[203.0.113.9]: SASL PLAIN authentication failed: authentication failure";
    let after = |what: &[u8], rest: &[u8]| [what, forged, rest].concat();
    let wrong = format!("AUTH PLAIN {}", plain(b"alice", b"wrong")).into_bytes();
    let relay: [&[u8]; 2] = [b"MAIL FROM:<a@example.net>", b"RCPT TO:<a@example.com>"];
    let message: [&[u8]; 4] = [b"EHLO x", b"MAIL FROM:<>", b"RCPT TO:<alice@example.org>", b"DATA"];
    let message = |text: &[u8]| lines(&[&message[..], &[text]].concat());
    let attacks: Vec<(&str, u16, f64, Vec<Vec<u8>>)> = vec![
        ("HELO with a line of Postfix", 25, ONE, lines(&[&after(b"HELO ", b""), relay[0], relay[1]])),
        ("EHLO with an address", 25, ONE, lines(&[b"EHLO [203.0.113.9]", relay[0], relay[1]])),
        ("EHLO with an IPv6 address", 587, ONE, lines(&[b"EHLO [IPv6:2001:db8:9::9]", relay[0], relay[1]])),
        ("EHLO with bytes", 25, ONE, lines(&[b"EHLO \xff\xfe\x1b[31m\x00x", relay[0], relay[1]])),
        ("EHLO with 4000 bytes", 25, ONE, lines(&[&[&b"EHLO "[..], &[b'x'; 4000]].concat(), relay[0], relay[1]])),
        (
            "a sender with a line of Postfix",
            25,
            ONE,
            lines(&[b"EHLO x", &after(b"MAIL FROM:<\"", b"\"@example.net>"), relay[1]]),
        ),
        ("a sender that is none", 25, LOW, lines(&[b"EHLO x", b"MAIL FROM:<x[203.0.113.9]>: reject: RCPT from x[203.0.113.9]: 554"])),
        (
            "a recipient that ends a rejection",
            25,
            ONE,
            lines(&[b"EHLO x", b"MAIL FROM:<>", b"RCPT TO:<\"> from x[203.0.113.9]: 554 5.7.1 <\"@example.com>"]),
        ),
        (
            "a recipient with control characters",
            2526,
            LOW,
            lines(&[b"EHLO x", relay[0], b"RCPT TO:<\x1b[203.0.113.9]\xe2\x80\xa8@example.com>"]),
        ),
        // Refused before it is a command, and not logged.
        ("a recipient that is no UTF-8", 25, NOTHING, lines(&[b"EHLO x", relay[0], b"RCPT TO:<\xff@example.com>"])),
        ("MAIL with an AUTH", 25, NOTHING, lines(&[b"EHLO x", &after(b"MAIL FROM:<> AUTH=", b""), b"RCPT TO:<alice@example.org>"])),
        ("a request of HTTP", 25, ONE, lines(&[b"GET / HTTP/1.1 from x[203.0.113.9]: y"])),
        ("a line of Postfix as a command", 25, ONE, lines(&[&after(b"warning: ", b"")])),
        ("a client as a command", 25, ONE, lines(&[&after(b"", b"")])),
        ("an unknown mechanism", 25, LOW, lines(&[b"EHLO x", b"AUTH x[203.0.113.9]:"])),
        ("an unknown mechanism with a port", 2526, LOW, lines(&[b"EHLO x", b"AUTH x]:25:[203.0.113.9]:"])),
        ("an unknown mechanism of forty letters", 25, LOW, lines(&[b"EHLO x", &[&b"AUTH "[..], &[b'x'; 40]].concat()])),
        ("an exchange that is left", 25, LOW, lines(&[b"EHLO x", b"AUTH LOGIN", b"*"])),
        ("XCLIENT", 25, ONE, lines(&[b"EHLO x", b"XCLIENT ADDR=203.0.113.9 NAME=x", &wrong])),
        ("XFORWARD", 25, ONE, lines(&[b"EHLO x", b"XFORWARD ADDR=203.0.113.9 NAME=x", &wrong])),
        ("PROXY", 25, ONE, lines(&[b"PROXY TCP4 203.0.113.9 192.0.2.25 1 25", b"EHLO x", &wrong])),
        ("VRFY", 25, LOW, lines(&[b"EHLO x", b"VRFY x[203.0.113.9]:"])),
        ("ETRN", 25, NOTHING, lines(&[b"EHLO x", b"ETRN x[203.0.113.9]:"])),
        (
            "a message's identity",
            25,
            NOTHING,
            message(&after(b"Message-ID: <warning: ", b">\r\nSubject: badlogin: [203.0.113.9] plaintext (q) invalid user\r\n\r\nx\r\n.")),
        ),
        (
            "a message's identity on its own",
            25,
            NOTHING,
            message(b"Message-ID:\r\n badlogin: [203.0.113.9] plaintext (q) invalid user\r\n\r\nx\r\n."),
        ),
        ("words before the greeting", POSTSCREEN, ONE, lines(&[b"EHLO x[203.0.113.9]:1: y"])),
        (
            "postscreen's words before the greeting",
            POSTSCREEN,
            ONE,
            lines(&[b"PREGREET 5 after 0 from [203.0.113.9]:1: x\r\nNov 22 22:00:00 mail postfix/postscreen[1]: PREGREET 5 after 0 from [203.0.113.9]:1: x"]),
        ),
        (
            "commands at once",
            25,
            ONE,
            lines(&[b"EHLO x\r\nNOOP a\r\nNOOP from x[203.0.113.9]: z"]),
        ),
    ];
    let mut attacks = named(attacks);
    if kind == Kind::Dovecot {
        attacks.extend(named(vec![
            (
                "CRAM-MD5 of SMTP",
                25,
                ONE,
                lines(&[b"EHLO x", b"AUTH CRAM-MD5", cram("x], sasl_username=y[203.0.113.9]: z").as_bytes()]),
            ),
            (
                "DIGEST-MD5 of SMTP",
                587,
                ONE,
                lines(&[b"EHLO x", b"AUTH DIGEST-MD5", digest("x[203.0.113.9]: y").as_bytes()]),
            ),
        ]));
    }
    attacks
}

/// A response of CRAM-MD5 (RFC 2195), which is wrong.
fn cram(user: &str) -> String {
    base64(format!("{user} {:032x}", 1).as_bytes())
}

/// A response of DIGEST-MD5 (RFC 2831), to another challenge.
fn digest(text: &str) -> String {
    base64(
        format!(
            "username=\"{text}\",realm=\"{text}\",nonce=\"{text}\",cnonce=\"x\",nc=00000001,qop=auth,digest-uri=\"{text}\",response={:032x}",
            1
        )
        .as_bytes(),
    )
}

/// Responses to challenges, to servers that have the passwords themselves.
pub(super) fn challenged() -> Vec<Attack> {
    let name = "x[203.0.113.9]: SASL PLAIN authentication failed: y";
    let mailbox = "x) [203.0.113.9] plaintext (y) [SASL(-1): generic failure: z";
    // Cyrus asks for nobody with such a name.
    named(vec![
        ("CRAM-MD5 of SMTP", 25, ONE, lines(&[b"EHLO x", b"AUTH CRAM-MD5", cram(name).as_bytes()])),
        ("CRAM-MD5 of SMTP for alice", 587, ONE, lines(&[b"EHLO x", b"AUTH CRAM-MD5", cram("alice").as_bytes()])),
        ("DIGEST-MD5 of SMTP", 25, ONE, lines(&[b"EHLO x", b"AUTH DIGEST-MD5", digest(name).as_bytes()])),
        ("CRAM-MD5 of IMAP", 143, LOW, lines(&[b"a AUTHENTICATE CRAM-MD5", cram(mailbox).as_bytes()])),
        ("CRAM-MD5 of IMAP for alice", 143, ONE, lines(&[b"a AUTHENTICATE CRAM-MD5", cram("alice").as_bytes()])),
        ("DIGEST-MD5 of IMAP", 143, LOW, lines(&[b"a AUTHENTICATE DIGEST-MD5", digest(mailbox).as_bytes()])),
        ("CRAM-MD5 of POP3", 110, ONE, lines(&[b"AUTH CRAM-MD5", cram(mailbox).as_bytes()])),
        ("DIGEST-MD5 of POP3", 110, ONE, lines(&[b"AUTH DIGEST-MD5", digest(mailbox).as_bytes()])),
    ])
}

/// What Cyrus puts there.
pub(super) fn cyrus() -> Vec<Attack> {
    let line = b"x\r\nNov 22 22:00:00 mail cyrus/imap[1]: badlogin: [203.0.113.9] plaintext (q) invalid user\r\n";
    let with_literal = |words: &[u8]| [words, &literal(line)[..], b"\r\n"].concat();
    named(vec![
        ("an unknown mechanism of IMAP", 143, LOW, lines(&[b"a AUTHENTICATE x[203.0.113.9]:"])),
        ("an unknown mechanism of POP3", 110, LOW, lines(&[b"AUTH x[203.0.113.9]:"])),
        (
            "an unknown mechanism of ManageSieve",
            4190,
            LOW,
            lines(&[b"AUTHENTICATE \"x [203.0.113.9] plaintext (y) invalid user\""]),
        ),
        ("a line as a mechanism", 4190, LOW, vec![with_literal(b"AUTHENTICATE ")]),
        ("an outage as a mechanism", 4190, LOW, lines(&[b"AUTHENTICATE \"PLAIN SASL(-1): generic failure: y\""])),
        ("a tag", 143, ONE, lines(&[b"badlogin:[203.0.113.9] LOGIN alice wrong"])),
        ("ID", 143, NOTHING, lines(&[b"a ID (\"name\" \"x] badlogin: [203.0.113.9] plaintext (q) invalid user\")"])),
        ("ID with a line", 143, NOTHING, vec![[b"a ID (\"name\" ", &literal(line)[..], b")\r\n"].concat()]),
        ("a mailbox", 143, NOTHING, vec![with_literal(b"a SELECT ")]),
        ("PROXY", 143, ONE, lines(&[b"PROXY TCP4 203.0.113.9 192.0.2.25 1 143", b"a LOGIN alice wrong"])),
        ("XCLIENT of POP3", 110, ONE, lines(&[b"XCLIENT ADDR=203.0.113.9", b"USER alice", b"PASS wrong"])),
        ("APOP", 110, ONE, lines(&[b"APOP x[203.0.113.9] 0123456789abcdef0123456789abcdef"])),
        ("APOP of an outage", 110, ONE, lines(&[b"APOP x)SASL(-1):generic 0123456789abcdef0123456789abcdef"])),
        (
            "a request of HTTP",
            HTTP,
            NOTHING,
            vec![request(
                "/badlogin:[203.0.113.9]",
                "User-Agent: badlogin: [203.0.113.9] x\r\nX-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n",
            )],
        ),
        (
            "HTTP Basic behind a proxy",
            HTTP,
            ONE,
            vec![request(
                "/dav/",
                &format!("X-Forwarded-For: 203.0.113.9\r\nAuthorization: Basic {}\r\n", base64(b"alice:wrong")),
            )],
        ),
    ])
}

/// What Dovecot puts there.
pub(super) fn dovecot() -> Vec<Attack> {
    let wrong = &b"a LOGIN alice wrong"[..];
    named(vec![
        ("an unknown mechanism of IMAP", 143, LOW, lines(&[b"a AUTHENTICATE PLAIN,RIP=203.0.113.9"])),
        ("an unknown mechanism of POP3", 110, LOW, lines(&[b"AUTH x[203.0.113.9]"])),
        ("an unknown mechanism of ManageSieve", 4190, LOW, lines(&[b"AUTHENTICATE \"x, rip=203.0.113.9, lip=192.0.2.25 y\""])),
        ("a wrong password, hidden by an unknown mechanism", 143, ONE, lines(&[wrong, b"a AUTHENTICATE XYZ"])),
        ("a wrong password, hidden by an anonymous login", 143, ONE, lines(&[wrong, b"a AUTHENTICATE ANONYMOUS"])),
        ("a wrong password and an exchange that is left", 143, 2.0, lines(&[wrong, b"a AUTHENTICATE PLAIN", b"*"])),
        ("a wrong password and what is no base64", 143, 2.0, lines(&[wrong, b"a AUTHENTICATE PLAIN", b"!!!"])),
        ("a wrong password and a logout", 143, ONE, lines(&[wrong, b"a LOGOUT"])),
        ("CRAM-MD5", 143, ONE, lines(&[b"a AUTHENTICATE CRAM-MD5", cram("x>, rip=203.0.113.9, lip=192.0.2.25").as_bytes()])),
        ("DIGEST-MD5", 143, ONE, lines(&[b"a AUTHENTICATE DIGEST-MD5", digest("x>, rip=203.0.113.9, lip=y").as_bytes()])),
        ("a tag", 143, ONE, lines(&[b"rip=203.0.113.9, LOGIN alice wrong"])),
        (
            "ID of a proxy",
            143,
            ONE,
            lines(&[b"a ID (\"x-originating-ip\" \"203.0.113.9\" \"x-connected-ip\" \"203.0.113.9\" \"x-session-id\" \"y>, rip=203.0.113.9\")", wrong]),
        ),
        ("XCLIENT of POP3", 110, ONE, lines(&[b"XCLIENT ADDR=203.0.113.9 SESSION=x", b"USER alice", b"PASS wrong"])),
        ("XCLIENT of ManageSieve", 4190, ONE, lines(&[b"XCLIENT ADDR=203.0.113.9", format!("AUTHENTICATE \"PLAIN\" \"{}\"", plain(b"alice", b"wrong")).as_bytes()])),
        ("PROXY", 143, ONE, lines(&[b"PROXY TCP4 203.0.113.9 192.0.2.25 1 143", wrong])),
    ])
}

fn named(attacks: Vec<(&str, u16, f64, Vec<Vec<u8>>)>) -> Vec<Attack> {
    attacks.into_iter().map(|(name, port, counts, says)| Attack::new(name, port, counts, says)).collect()
}
