use super::*;

/// The bytes, whether the first of the connection, and what the first reply of them is; None where it is not whole.
#[test]
fn a_reply_is_whole_when_its_last_line_is() {
    let cases: [(Protocol, bool, &str, Option<&str>); 18] = [
        (Protocol::Smtp, true, "220 mail ESMTP\r\n", Some("220 mail ESMTP\r\n")),
        (
            Protocol::Smtp,
            false,
            "250-mail\r\n250-SIZE\r\n250 DSN\r\n220 x",
            Some("250-mail\r\n250-SIZE\r\n250 DSN\r\n"),
        ),
        (Protocol::Smtp, false, "250-mail\r\n250 DS", None),
        (Protocol::Smtp, false, "250\r\n", Some("250\r\n")),
        (
            Protocol::Imap,
            true,
            "* OK [CAPABILITY IMAP4rev1] ready\r\n* x",
            Some("* OK [CAPABILITY IMAP4rev1] ready\r\n"),
        ),
        (Protocol::Imap, false, "* OK [CAPABILITY IMAP4rev1] ready\r\n", None),
        (Protocol::Imap, false, "* BYE out\r\na OK done\r\n", Some("* BYE out\r\na OK done\r\n")),
        (Protocol::Imap, false, "+ Z28gb24=\r\na", Some("+ Z28gb24=\r\n")),
        (Protocol::Imap, false, "* LIST () {4}\r\na OK\r\n", None),
        (Protocol::Imap, false, "* LIST () {3}\r\nx\r\n y\r\na OK\r\nz", Some("* LIST () {3}\r\nx\r\n y\r\na OK\r\n")),
        (
            Protocol::Imap,
            false,
            "* LIST {99999999999999999999}\r\na OK\r\n",
            Some("* LIST {99999999999999999999}\r\na OK\r\n"),
        ),
        (Protocol::Imap, false, "* LIST {18446744073709551615}\r\na OK\r\n", None),
        (Protocol::Pop3, false, "+OK list\r\n1 2\r\n.\r\n", Some("+OK list\r\n")),
        (Protocol::Pop3, false, "-ERR {3}\r\nx", Some("-ERR {3}\r\n")),
        (Protocol::Sieve, true, "\"SASL\" \"PLAIN\"\r\nOK\r\n", Some("\"SASL\" \"PLAIN\"\r\nOK\r\n")),
        (Protocol::Sieve, false, "\"SASL\" \"PLAIN\"\r\n", None),
        (Protocol::Sieve, false, "\"OK\"\r\nok \"x\"\r\n", Some("\"OK\"\r\nok \"x\"\r\n")),
        (Protocol::Sieve, false, "NO {4}\r\nOK\r\n\r\n\"x\"", Some("NO {4}\r\nOK\r\n\r\n")),
    ];
    for (protocol, first, bytes, reply) in cases {
        let length = protocol.reply_length(bytes.as_bytes(), first);
        assert_eq!(length.map(|length| &bytes[..length]), reply, "{protocol:?} {bytes:?}");
    }
}

/// The first lines of each are what Postfix 3.7, Cyrus 3.6 and Dovecot 2.3 of Debian 12 say.
#[test]
fn a_line_says_what_it_means_for_a_login() {
    let cases = [
        (Protocol::Smtp, "235 2.7.0 Authentication successful", Answer::Accepted),
        (Protocol::Smtp, "535 5.7.8 Error: authentication failed: authentication failure", Answer::Refused),
        (Protocol::Smtp, "454 4.7.0 Temporary authentication failure: generic failure", Answer::Unavailable),
        (Protocol::Smtp, "421 4.7.0 mail Error: too many connections from 198.51.100.1", Answer::Unavailable),
        (Protocol::Smtp, "334 UGFzc3dvcmQ6", Answer::Continue),
        (Protocol::Smtp, "503 5.5.1 Error: authentication not enabled", Answer::Other),
        (Protocol::Smtp, "", Answer::Other),
        (Protocol::Imap, "a OK [CAPABILITY IMAP4rev1] User logged in", Answer::Accepted),
        (Protocol::Imap, "a NO Login failed: authentication failure", Answer::Refused),
        (Protocol::Imap, "a NO Login failed: generic failure", Answer::Unavailable),
        (Protocol::Imap, "A002 no generic failure", Answer::Unavailable),
        (Protocol::Imap, "a NO [AUTHENTICATIONFAILED] Authentication failed.", Answer::Refused),
        (Protocol::Imap, "a NO [UNAVAILABLE] Temporary authentication failure.", Answer::Unavailable),
        (Protocol::Imap, "a NO [PRIVACYREQUIRED] Plaintext authentication disallowed", Answer::Other),
        (Protocol::Imap, "a BAD Unknown command", Answer::Other),
        (Protocol::Imap, "* BYE too many", Answer::Unavailable),
        (Protocol::Imap, "+ ", Answer::Continue),
        (Protocol::Imap, "NO", Answer::Other),
        (Protocol::Pop3, "+OK Mailbox locked and ready", Answer::Accepted),
        (Protocol::Pop3, "-ERR [AUTH] Invalid login", Answer::Refused),
        (Protocol::Pop3, "-ERR [AUTH] authenticating: generic failure", Answer::Unavailable),
        (Protocol::Pop3, "-ERR [SYS/TEMP] Temporary authentication failure.", Answer::Unavailable),
        (Protocol::Pop3, "-ERR [IN-USE] Unable to lock maildrop", Answer::Unavailable),
        (Protocol::Pop3, "-ERR [SYS/PERM] no such mailbox", Answer::Other),
        (Protocol::Pop3, "+ ", Answer::Continue),
        (Protocol::Pop3, ".", Answer::Other),
        (Protocol::Sieve, "OK", Answer::Accepted),
        (Protocol::Sieve, "NO \"Authentication Error\"", Answer::Refused),
        (Protocol::Sieve, "NO (TRYLATER) \"Temporary authentication failure.\"", Answer::Unavailable),
        (Protocol::Sieve, "NO (ENCRYPT-NEEDED) \"no\"", Answer::Other),
        (Protocol::Sieve, "BYE \"shutting down\"", Answer::Unavailable),
    ];
    for (protocol, line, answer) in cases {
        assert_eq!(protocol.answer(line.as_bytes()), answer, "{protocol:?} {line:?}");
    }
}

#[test]
fn the_last_line_is_the_status() {
    let reply = Reply::new(Protocol::Smtp, b"535-no\r\n535 \x1b[1mreally\xff\r\n".to_vec());
    assert_eq!(reply.status(), "535 \\x1b[1mreally\\xff");
    assert_eq!(reply.answer(), Answer::Refused);
}
