//! Postfix and Dovecot.

use banner_tests::lab::client::{
    Mechanism::{CramMd5, Login, Plain, Plaintext},
    Outcome,
    Service::{Imap, Imaps, Pop3, Pop3s, Sieve, Smtp, Submission, Submissions},
};

use super::{
    because::{ATTEMPTS, BRACKET, PERSISTENT, PREFIX, RETOLD, TOGETHER, WITHOUT_TLS},
    deeds::{Deed, enters, fails, guesses, guesses_for, says, times},
    row::{Row, When, source, sources},
};

/// The table.
pub(crate) fn rows() -> Vec<Row> {
    [honest(), guessing(), lying(), closing()].concat()
}

fn honest() -> Vec<Row> {
    vec![
        source(
            "198.51.100.10",
            "logs in everywhere",
            vec![
                enters(Smtp, Plain),
                enters(Submission, Login),
                enters(Submissions, Plain),
                enters(Imap, Plaintext),
                enters(Imaps, Plain),
                enters(Pop3s, Plaintext),
                enters(Sieve, Plain),
            ],
        ),
        source(
            "198.51.100.11",
            "mistypes twice, then logs in",
            vec![guesses(Imap, Plaintext), guesses(Imap, Plaintext), enters(Imap, Plaintext)],
        ),
        source(
            "198.51.100.12",
            "mistypes three times in a connection, then logs in there",
            vec![says(
                143,
                &[
                    "a LOGIN carol guess",
                    "b LOGIN carol guess",
                    "c LOGIN carol guess",
                    "d LOGIN carol secret",
                    "e LOGOUT",
                ],
            )],
        ),
        source("198.51.100.13", "connects and leaves", times(5, &says(143, &["a LOGOUT"]))),
        source(
            "198.51.100.14",
            "logs in at POP3 without TLS, which it may not",
            times(3, &says(110, &["USER carol", "PASS secret", "QUIT"])),
        )
        .only_fail2ban("dovecot", WITHOUT_TLS),
        source("198.51.100.15", "logs in at SMTP during an outage", times(3, &fails(Smtp, Plain, Outcome::Refused)))
            .only_fail2ban("postfix-sasl", RETOLD)
            .imported(&[])
            .when(When::Outage),
        source(
            "198.51.100.16",
            "logs in at IMAP during an outage",
            times(3, &fails(Imap, Plaintext, Outcome::Unavailable)),
        )
        .when(When::Outage),
    ]
}

fn guessing() -> Vec<Row> {
    vec![
        source("198.51.100.20", "guesses at SMTP by PLAIN", times(3, &guesses(Smtp, Plain))).both("postfix-sasl"),
        source("198.51.100.21", "guesses at SMTP by CRAM-MD5", times(3, &guesses(Smtp, CramMd5))).both("postfix-sasl"),
        source("198.51.100.22", "guesses at IMAP by LOGIN", times(3, &guesses(Imap, Plaintext))).both("dovecot"),
        source("198.51.100.23", "guesses at IMAP by SASL PLAIN", times(3, &guesses(Imap, Plain))).both("dovecot"),
        source("198.51.100.24", "guesses at imaps by CRAM-MD5", times(3, &guesses(Imaps, CramMd5))).both("dovecot"),
        source("198.51.100.25", "guesses at pop3s", times(3, &guesses(Pop3s, Plaintext))).both("dovecot"),
        source("198.51.100.26", "guesses at POP3 by CRAM-MD5", times(3, &guesses(Pop3, CramMd5))).both("dovecot"),
        source("198.51.100.27", "guesses at pop3s by SASL PLAIN", times(3, &guesses(Pop3s, Plain))).both("dovecot"),
        source("198.51.100.28", "guesses at sieve", times(3, &guesses(Sieve, Plain))).both("dovecot"),
        source(
            "198.51.100.29",
            "guesses users",
            ["admin", "info", "test"].map(|user| guesses_for(user, Imap, Plaintext)).into(),
        )
        .both("dovecot"),
        source("198.51.100.30", "guesses three times in a connection", vec![three_in_one()])
            .only_banner("mail", ATTEMPTS),
        source(
            "198.51.100.31",
            "guesses twice in a connection, and once in another",
            vec![says(143, &["a LOGIN alice guess", "b LOGIN alice guess", "c LOGOUT"]), guesses(Imap, Plaintext)],
        )
        .only_banner("mail", ATTEMPTS),
        source(
            "198.51.100.32",
            "guesses once each at SMTP, IMAP and pop3s",
            vec![guesses(Smtp, Plain), guesses(Imap, Plaintext), guesses(Pop3s, Plaintext)],
        )
        .only_banner("mail", TOGETHER),
        sources(
            &["2001:db8:600d:2::1", "2001:db8:600d:2::2", "2001:db8:600d:2::3"],
            "guesses from three addresses of a /64",
            times(3, &guesses(Imap, Plaintext)),
        )
        .only_banner("mail", PREFIX)
        .imported(&["dovecot"]),
        source(
            "198.51.100.33",
            "asks IMAP for a mechanism that it does not have",
            times(3, &says(143, &["a AUTHENTICATE NTLM", "b LOGOUT"])),
        ),
        source("198.51.100.34", "asks twelve times", times(12, &says(143, &["a AUTHENTICATE NTLM", "b LOGOUT"])))
            .only_banner("mail", PERSISTENT),
        source(
            "198.51.100.35",
            "gives up in the middle of AUTHENTICATE",
            times(3, &says(143, &["a AUTHENTICATE PLAIN", "*", "b LOGOUT"])),
        ),
    ]
}

fn lying() -> Vec<Row> {
    let guess = |user: &str| vec![guesses_for(user, Imap, Plaintext); 3];
    vec![
        source("198.51.100.66", "is named in the text of others", vec![]),
        source(
            "198.51.100.40",
            "has the end of a line in a user name",
            guess("a>, method=PLAIN, rip=198.51.100.66, lip=192.0.2.25, session=<b"),
        ).only_banner("mail", BRACKET),
        source("198.51.100.41", "has an address in a user name", guess("a, rip=198.51.100.66")).both("dovecot"),
        source("198.51.100.42", "has a bracket in a user name", guess("a>b")).only_banner("mail", BRACKET),
        source(
            "198.51.100.43",
            "has a line end in a user name",
            guess(
                "a\r\nNov 22 12:00:00 mail dovecot: imap-login: Disconnected (auth failed, 9 attempts in 2 secs): user=<b>, method=PLAIN, rip=198.51.100.66, lip=192.0.2.25, session=<c>",
            ),
        ).both("dovecot"),
        source("203.0.113.16", "has Dovecot's field as its name", guess("alice")).both("dovecot"),
        source(
            "198.51.100.44",
            "names another in a mechanism, in quotes",
            vec![says(
                25,
                &[
                    "HELO x",
                    "AUTH \"x[198.51.100.66]: SASL PLAIN authentication failed: y\"",
                    "AUTH \"x[198.51.100.66]: SASL PLAIN authentication failed: y\"",
                    "AUTH \"x[198.51.100.66]: SASL PLAIN authentication failed: y\"",
                ],
            )],
        ),
    ]
}

fn closing() -> Vec<Row> {
    let refused = says(25, &["HELO x", "MAIL FROM:<>", "RCPT TO:<a@example.com>"]);
    let all = [times(3, &guesses(Smtp, Plain)), times(3, &guesses(Imap, Plaintext)), times(3, &refused)];
    vec![
        source("203.0.113.1", "guesses and relays", all.concat())
            .when(When::Closing)
            .both("postfix")
            .both("postfix-sasl")
            .both("dovecot"),
    ]
}

fn three_in_one() -> Deed {
    says(143, &["a LOGIN alice guess", "b LOGIN alice guess", "c LOGIN alice guess", "d LOGOUT"])
}
