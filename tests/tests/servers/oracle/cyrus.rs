//! Postfix and Cyrus IMAP.

use banner_tests::lab::client::{
    Mechanism::{Apop, CramMd5, DigestMd5, Login, Plain, Plaintext},
    Outcome,
    Service::{Imap, Imaps, Pop3, Pop3s, Sieve, Smtp, Submission, Submissions},
};

use super::{
    because::{
        FORGED, HTTPD, INVALID_USER, LIMITED, NAMELESS, NOT_FOR_GOOD, NOT_SMTP, OUTAGE, PERSISTENT, POP3_SASL,
        POSTSCREEN, PREFIX, REPEATED, RESCALED, SEVERAL_EACH, TOGETHER,
    },
    deeds::{Deed, enters, fails, guesses, guesses_for, says, times},
    row::{Row, When, source, sources},
};

/// The table.
pub(crate) fn rows() -> Vec<Row> {
    [honest(), guessing(), spread(), unusual(), lying(), abusing(), closing()].concat()
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
                enters(Pop3, Plaintext),
                enters(Sieve, Plain),
            ],
        ),
        source(
            "198.51.100.11",
            "mistypes twice, then logs in",
            vec![guesses(Imap, Plaintext), guesses(Imap, Plaintext), enters(Imap, Plaintext)],
        ),
        source("198.51.100.12", "mistypes twice at SMTP", times(2, &guesses(Smtp, Plain))),
        source(
            "198.51.100.13",
            "logs in at SMTP during an outage",
            times(3, &fails(Smtp, Plain, Outcome::Unavailable)),
        )
        .only_fail2ban("postfix-sasl", OUTAGE)
        .when(When::Outage),
        source(
            "198.51.100.14",
            "logs in at IMAP during an outage",
            times(3, &fails(Imap, Plaintext, Outcome::Unavailable)),
        )
        .when(When::Outage),
        source(
            "198.51.100.15",
            "logs in at POP3 during an outage",
            times(3, &fails(Pop3, Plaintext, Outcome::Refused)),
        )
        .when(When::Outage),
        source("198.51.100.16", "logs in at sieve during an outage", times(3, &fails(Sieve, Plain, Outcome::Refused)))
            .when(When::Outage),
        source(
            "198.51.100.17",
            "mistypes, again after 275 s, and again after more than ten minutes",
            vec![guesses(Smtp, Plain)],
        )
        .only_fail2ban("postfix-sasl", RESCALED)
        .imported(&[])
        .before(&[575, 300])
        .when(When::Late),
        source("198.51.100.200", "guesses five times, on ignoreip", times(5, &guesses(Smtp, Plain))),
    ]
}

fn guessing() -> Vec<Row> {
    vec![
        source("198.51.100.20", "guesses at SMTP by PLAIN", times(3, &guesses(Smtp, Plain))).both("postfix-sasl"),
        source("198.51.100.21", "guesses at SMTP by LOGIN", times(3, &guesses(Smtp, Login))).both("postfix-sasl"),
        source("198.51.100.22", "guesses at SMTP by CRAM-MD5", times(3, &guesses(Smtp, CramMd5))).both("postfix-sasl"),
        source("198.51.100.23", "guesses at SMTP by DIGEST-MD5", times(3, &guesses(Smtp, DigestMd5)))
            .both("postfix-sasl"),
        source(
            "198.51.100.24",
            "guesses at submission, where Postfix takes two AUTH a minute",
            vec![
                guesses(Submission, Plain),
                guesses(Submission, Plain),
                // Even the right one.
                fails(Submission, Plain, Outcome::Unavailable),
            ],
        )
        .only_banner("mail", LIMITED),
        source("198.51.100.25", "guesses at submissions", times(3, &guesses(Submissions, Plain))).both("postfix-sasl"),
        source("198.51.100.26", "guesses at IMAP by LOGIN", times(3, &guesses(Imap, Plaintext))).both("cyrus-imap"),
        source("198.51.100.27", "guesses at IMAP by SASL PLAIN", times(3, &guesses(Imap, Plain))).both("cyrus-imap"),
        source("198.51.100.28", "guesses at IMAP by CRAM-MD5", times(3, &guesses(Imap, CramMd5))).both("cyrus-imap"),
        source("198.51.100.29", "guesses at imaps", times(3, &guesses(Imaps, Plain))).both("cyrus-imap"),
        source("198.51.100.30", "guesses at POP3 by USER and PASS", times(3, &guesses(Pop3, Plaintext)))
            .both("cyrus-imap"),
        source("198.51.100.31", "guesses at POP3 by SASL PLAIN", times(3, &guesses(Pop3, Plain)))
            .only_banner("mail", POP3_SASL),
        source("198.51.100.32", "guesses at POP3 by APOP", times(3, &guesses(Pop3, Apop))).both("cyrus-imap"),
        source("198.51.100.33", "guesses at pop3s by SASL LOGIN", times(3, &guesses(Pop3s, Login)))
            .only_banner("mail", POP3_SASL),
        source("198.51.100.34", "guesses at sieve", times(3, &guesses(Sieve, Plain))).only_banner("mail", NAMELESS),
        source("203.0.113.32", "guesses at sieve, with a name in DNS", times(3, &guesses(Sieve, Plain))).both("sieve"),
        source("198.51.100.35", "guesses at HTTP (Cyrus httpd)", times(3, &http())).only_banner("mail", HTTPD),
        source("198.51.100.36", "guesses users at SMTP", users(Smtp, Plain)).both("postfix-sasl"),
        source("198.51.100.37", "guesses users at IMAP", users(Imap, Plaintext)).both("cyrus-imap"),
        source("198.51.100.38", "guesses users at IMAP by CRAM-MD5", users(Imap, CramMd5)).both("cyrus-imap"),
        source("198.51.100.39", "guesses users at POP3", users(Pop3, Plaintext)).both("cyrus-imap"),
        source("198.51.100.40", "guesses three times in one connection", vec![three_in_one()]).both("postfix-sasl"),
        source(
            "198.51.100.41",
            "guesses at another instance of Postfix, with ports in the log",
            vec![says(
                2526,
                &[
                    "HELO x",
                    "AUTH PLAIN AGFsaWNlAGd1ZXNz",
                    "AUTH PLAIN AGFsaWNlAGd1ZXNz",
                    "AUTH PLAIN AGFsaWNlAGd1ZXNz",
                ],
            )],
        )
        .both("postfix-sasl"),
        source("2001:db8:600d:1::1", "guesses over IPv6", times(3, &guesses(Imap, Plaintext))).both("cyrus-imap"),
    ]
}

fn spread() -> Vec<Row> {
    vec![
        source(
            "198.51.100.50",
            "guesses once each at SMTP, IMAP and POP3",
            vec![guesses(Smtp, Plain), guesses(Imap, Plaintext), guesses(Pop3, Plaintext)],
        )
        .only_banner("mail", TOGETHER),
        source(
            "198.51.100.51",
            "guesses twice each at SMTP and IMAP",
            [times(2, &guesses(Smtp, Plain)), times(2, &guesses(Imap, Plaintext))].concat(),
        )
        .only_banner("mail", TOGETHER),
        sources(
            &["2001:db8:600d:2::1", "2001:db8:600d:2::2", "2001:db8:600d:2::3"],
            "guesses from three addresses of a /64",
            times(3, &guesses(Smtp, Plain)),
        )
        .only_banner("mail", PREFIX)
        .imported(&["postfix-sasl"]),
        source("198.51.100.52", "guesses three times in nine minutes", vec![guesses(Smtp, Plain)])
            .both("postfix-sasl")
            .before(&[540, 300]),
    ]
}

fn unusual() -> Vec<Row> {
    vec![
        source("198.51.100.60", "asks SMTP for a mechanism that it does not have", vec![smtp_auth(3, "NTLM")]),
        source("198.51.100.61", "asks twelve times", vec![smtp_auth(12, "NTLM")]).only_banner("mail", PERSISTENT),
        source(
            "198.51.100.62",
            "asks IMAP for mechanisms that it does not have, then logs in",
            vec![
                says(143, &["a AUTHENTICATE GSSAPI", "b AUTHENTICATE NTLM", "c AUTHENTICATE SCRAM-SHA-256"]),
                enters(Imap, Plaintext),
            ],
        ),
        source(
            "198.51.100.63",
            "gives up in the middle of AUTH LOGIN",
            vec![says(25, &["HELO x", "AUTH LOGIN", "*", "AUTH LOGIN", "*", "AUTH LOGIN", "*"])],
        ),
        source("198.51.100.64", "sends no base64 to SMTP", vec![smtp_auth(3, "PLAIN !!!")]).both("postfix-sasl"),
        source(
            "198.51.100.65",
            "sends no base64 to IMAP",
            vec![says(
                143,
                &["a AUTHENTICATE PLAIN", "!!!", "b AUTHENTICATE PLAIN", "!!!", "c AUTHENTICATE PLAIN", "!!!"],
            )],
        ),
        source(
            "198.51.100.67",
            "guesses names that no user can have",
            vec![
                guesses_for("a!b", Imap, Plaintext),
                guesses_for("a/b", Imap, Plaintext),
                guesses_for("*", Imap, Plaintext),
            ],
        )
        .only_banner("mail", INVALID_USER),
    ]
}

/// Who is named in the text of others, and they.
fn lying() -> Vec<Row> {
    let names = [
        "x [198.51.100.66] PLAIN (y) [SASL(-13): authentication failure: z]",
        "[198.51.100.66]",
        "x\r\nNov 22 12:00:00 mail cyrus/imap[1]: badlogin: [198.51.100.66] plaintext (y) [SASL(-13): authentication failure: z]",
        "x) [SASL(-1): generic failure: y",
        "x, rip=198.51.100.66, y",
    ];
    let logged: Vec<_> = times(
        3,
        &Deed::Logs {
            tag: "postfix/smtpd[4711]",
            message: "warning: unknown[198.51.100.68]: SASL LOGIN authentication failed: authentication failure"
                .to_owned(),
        },
    );
    vec![
        source("198.51.100.66", "is named in the text of others", vec![]).only_fail2ban("postfix-sasl", FORGED),
        source("203.0.113.4", "has a name with a bracket", times(3, &guesses(Imap, Plaintext))).both("cyrus-imap"),
        source("203.0.113.6", "has an address in brackets as its name", times(3, &guesses(Imap, Plaintext)))
            .both("cyrus-imap"),
        source("203.0.113.8", "has an address as its name", times(3, &guesses(Imap, Plaintext))).both("cyrus-imap"),
        source("203.0.113.21", "has a name as Postfix writes it", times(3, &guesses(Smtp, Plain))).both("postfix-sasl"),
        source(
            "198.51.100.70",
            "writes a line into a user name at IMAP",
            vec![guesses_for(names[0], Imap, Plaintext); 3],
        )
        .both("cyrus-imap"),
        source("198.51.100.71", "has brackets in a user name at IMAP", vec![guesses_for(names[1], Imap, Plaintext); 3])
            .both("cyrus-imap"),
        source(
            "198.51.100.72",
            "has a line end in a user name at IMAP",
            vec![guesses_for(names[2], Imap, Plaintext); 3],
        )
        .both("cyrus-imap"),
        source(
            "198.51.100.73",
            "says in a user name that it is an outage",
            vec![guesses_for(names[3], Imap, Plaintext); 3],
        )
        .only_banner("mail", INVALID_USER),
        source("198.51.100.74", "has an address in a user name at SMTP", vec![guesses_for(names[4], Smtp, Plain); 3])
            .both("postfix-sasl"),
        source("198.51.100.75", "names another in a mechanism at SMTP", vec![smtp_auth(3, "x[198.51.100.66]:")]),
        source(
            "198.51.100.76",
            "names another in a mechanism, in quotes",
            vec![smtp_auth(3, "\"x[198.51.100.66]: SASL PLAIN authentication failed: y\"")],
        ),
        source(
            "198.51.100.77",
            "names another in HELO",
            vec![says(
                25,
                &[
                    "HELO [198.51.100.66]",
                    "AUTH PLAIN AGFsaWNlAGd1ZXNz",
                    "AUTH PLAIN AGFsaWNlAGd1ZXNz",
                    "AUTH PLAIN AGFsaWNlAGd1ZXNz",
                ],
            )],
        )
        .both("postfix-sasl"),
        source("198.51.100.68", "is named by a local user who writes to the log", logged).both("postfix-sasl"),
    ]
}

fn abusing() -> Vec<Row> {
    let refused = |to: &str| says(25, &["HELO x", "MAIL FROM:<>", &format!("RCPT TO:<{to}>")]);
    vec![
        source("198.51.100.80", "relays", times(3, &refused("a@example.com"))).both("postfix"),
        source("198.51.100.81", "writes to three users who do not exist", times(3, &refused("noone@example.org")))
            .only_fail2ban("postfix", SEVERAL_EACH),
        source("198.51.100.82", "writes to twelve", times(12, &refused("noone@example.org"))).both("postfix"),
        source(
            "198.51.100.83",
            "sends mail from a domain that DNS does not know",
            times(3, &says(25, &["HELO x", "MAIL FROM:<a@nowhere.example>", "RCPT TO:<alice@example.org>"])),
        )
        .only_fail2ban("postfix", NOT_FOR_GOOD),
        source("198.51.100.84", "speaks HTTP to SMTP", times(3, &says(25, &["GET / HTTP/1.1"])))
            .only_banner("abuse", NOT_SMTP),
        source(
            "198.51.100.85",
            "speaks first to postscreen",
            times(3, &Deed::BlurtsOut { port: 2525, words: b"EHLO x\r\n" }),
        )
        .only_banner("abuse", POSTSCREEN),
        source("198.51.100.86", "does not wait for replies", times(3, &says(25, &["HELO x\r\nMAIL FROM:<>"])))
            .both("postfix"),
        source("198.51.100.87", "makes twenty errors", times(3, &errors())).both("postfix"),
        source("198.51.100.89", "guesses twenty times in each of three connections", times(3, &smtp_auth(20, GUESS)))
            .both("postfix-sasl")
            .only_fail2ban("postfix", REPEATED),
        source("198.51.100.88", "connects and leaves", times(12, &says(25, &["QUIT"]))),
    ]
}

fn closing() -> Vec<Row> {
    let refused = says(25, &["HELO x", "MAIL FROM:<>", "RCPT TO:<a@example.com>"]);
    let all = [
        times(3, &guesses(Smtp, Plain)),
        times(3, &guesses(Imap, Plaintext)),
        times(3, &guesses(Sieve, Plain)),
        times(3, &refused),
    ];
    vec![
        source("203.0.113.1", "guesses and relays, with a name in DNS", all.concat())
            .when(When::Closing)
            .both("postfix")
            .both("postfix-sasl")
            .both("cyrus-imap")
            .both("sieve"),
    ]
}

/// alice, with a wrong password.
const GUESS: &str = "PLAIN AGFsaWNlAGd1ZXNz";

/// Three wrong passwords, for names that nobody has.
fn users(service: banner_tests::lab::client::Service, mechanism: banner_tests::lab::client::Mechanism) -> Vec<Deed> {
    ["admin", "info", "test"].map(|user| guesses_for(user, service, mechanism)).into()
}

fn smtp_auth(count: usize, what: &str) -> Deed {
    let auth = format!("AUTH {what}");
    says(25, &[vec!["HELO x"], vec![&auth; count]].concat())
}

fn three_in_one() -> Deed {
    smtp_auth(3, GUESS)
}

fn errors() -> Deed {
    says(25, &[vec!["HELO x"], vec!["VRFY"; 20]].concat())
}

fn http() -> Deed {
    // alice:guess
    Deed::BlurtsOut {
        port: 8008,
        words: b"PROPFIND /dav/ HTTP/1.1\r\nHost: mail\r\nAuthorization: Basic YWxpY2U6Z3Vlc3M=\r\n\r\n",
    }
}
