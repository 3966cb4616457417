//! The log that everybody reads: lines of Postfix and Cyrus on a relay, the same ones in every run but for their stamps.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use banner_tests::mail_log::line_at;
use jiff::{SignedDuration, Timestamp};

/// Who fails.
const ATTACKERS: u64 = 2_000;

/// Who logs in.
const CUSTOMERS: u64 = 5_000;

/// How long the log took to be written, until now: nobody takes its lines for old ones.
const SPAN_SECONDS: u64 = 30;

/// Of a hundred lines, so many are failures at SMTP, and so many at IMAP or POP3.
const SASL: u64 = 10;
const BADLOGIN: u64 = 5;

/// A log, and what is in it.
pub(crate) struct Log {
    pub(crate) text: String,
    pub(crate) lines: u64,
    pub(crate) sasl: u64,
    pub(crate) badlogin: u64,
}

impl Log {
    pub(crate) fn generate(lines: u64) -> anyhow::Result<Self> {
        let mut random = Random(20_260_101);
        let mut log = Self { text: String::new(), lines, sasl: 0, badlogin: 0 };
        let begin = Timestamp::now().checked_sub(SignedDuration::from_secs(i64::try_from(SPAN_SECONDS)?))?;
        for index in 0..lines {
            let millis = i64::try_from(1_000 * SPAN_SECONDS * index / lines)?;
            let at = begin.checked_add(SignedDuration::from_millis(millis))?;
            let (program, message) = match random.below(100) {
                kind if kind < SASL => {
                    log.sasl += 1;
                    sasl(&mut random)
                }
                kind if kind < SASL + BADLOGIN => {
                    log.badlogin += 1;
                    badlogin(&mut random)
                }
                _ => ordinary(&mut random),
            };
            log.text.push_str(&line_at(program, &message, at));
        }
        Ok(log)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.sasl + self.badlogin
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, &self.text).with_context(|| format!("writing {}", path.display()))
    }
}

fn sasl(random: &mut Random) -> (&'static str, String) {
    let source = attacker(random);
    let program = random.one(&["postfix/smtpd", "postfix/submission/smtpd", "postfix/smtps/smtpd"]);
    let mechanism = random.one(&["LOGIN", "LOGIN", "PLAIN"]);
    let reason = random.one(&["authentication failure", "UGFzc3dvcmQ6", "VXNlcm5hbWU6", "(reason unavailable)"]);
    let mut message = format!("warning: unknown[{source}]: SASL {mechanism} authentication failed: {reason}");
    if random.below(2) == 0 {
        let _: std::fmt::Result = write!(message, ", sasl_username={}", address(random));
    }
    (program, message)
}

fn badlogin(random: &mut Random) -> (&'static str, String) {
    let source = attacker(random);
    let program = random.one(&["cyrus/imap", "cyrus/imaps", "cyrus/pop3", "cyrus/pop3s"]);
    let how = random.one(&["plaintext", "PLAIN", "LOGIN"]);
    let user = address(random);
    (program, format!("badlogin: [{source}] {how} ({user}) [SASL(-13): authentication failure: checkpass failed]"))
}

fn ordinary(random: &mut Random) -> (&'static str, String) {
    let number = random.below(CUSTOMERS);
    let customer = format!("host-{number}.example.net[{}]", address_of_customer(number));
    // Who uses one address has an account or two.
    let from = format!("user{}@example.net", number * 2 + random.below(2));
    let queue = format!("4{:011X}", random.below(1 << 44));
    let to = address(random);
    match random.below(10) {
        0 => ("postfix/smtpd", format!("connect from {customer}")),
        1 => (
            "postfix/smtpd",
            format!("disconnect from {customer} ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8"),
        ),
        2 => {
            ("postfix/submission/smtpd", format!("{queue}: client={customer}, sasl_method=PLAIN, sasl_username={from}"))
        }
        3 => ("postfix/cleanup", format!("{queue}: message-id=<{:x}@example.org>", random.below(1 << 60))),
        4 => (
            "postfix/qmgr",
            format!("{queue}: from=<{from}>, size={}, nrcpt=1 (queue active)", random.below(9_000_000)),
        ),
        5 => ("postfix/qmgr", format!("{queue}: removed")),
        6 => (
            "postfix/lmtp",
            format!(
                "{queue}: to=<{to}>, relay=192.0.2.7[192.0.2.7]:24, delay=0.42, delays=0.2/0.01/0.01/0.2, dsn=2.1.5, status=sent (250 2.1.5 Ok)"
            ),
        ),
        7 => (
            "postfix/smtpd",
            format!(
                "Anonymous TLS connection established from {customer}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
            ),
        ),
        8 => ("cyrus/imaps", format!("login: {customer} {from} plaintext+TLS User logged in SESSIONID=<{queue}>")),
        _ => (
            "cyrus/lmtp",
            format!("Delivered: <{:x}@example.org> to mailbox: user.{}", random.below(1 << 60), random.below(9_999)),
        ),
    }
}

/// One of many, of IPv6 one in twenty.
fn attacker(random: &mut Random) -> String {
    let number = random.below(ATTACKERS);
    if number.is_multiple_of(20) {
        format!("2001:db8:{number:x}:{:x}::1", number * 7_919 % 65_536)
    } else {
        // Hardly two of one network.
        format!("198.{}.{}.{}", 18 + number % 2, number / 2 % 256, number / 512 + 1)
    }
}

/// Home and office networks, of IPv6 where there are not enough others to document with.
fn address_of_customer(number: u64) -> String {
    if number < 254 { format!("203.0.113.{}", number + 1) } else { format!("2001:db8:c000:{number:x}::25") }
}

fn address(random: &mut Random) -> String {
    let user = random.one(&["info", "admin", "sales", "support", "office", "postmaster", "anna", "scan", "test"]);
    format!("{user}{}@{}", random.below(99), random.one(&["example.com", "example.org", "example.net"]))
}

/// The same numbers in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8) % bound
    }

    fn one(&mut self, of: &[&'static str]) -> &'static str {
        let index = usize::try_from(self.below(u64::try_from(of.len()).unwrap_or(1))).unwrap_or_default();
        of.get(index).copied().unwrap_or_default()
    }
}
