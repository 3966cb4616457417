//! Clients who hold a conversation of their own with a server.

use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use banner_tests::lab::{
    Lab,
    client::{
        Conversation, Outcome, Service, Transport,
        reply::{Answer, Protocol, Reply},
        sasl::{base64, plain},
    },
};

/// One who speaks for himself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest {
    pub(super) source: IpAddr,
    pub(super) service: Service,
    pub(super) transport: Transport,
    pub(super) leaves_in_order: bool,
}

impl Guest {
    /// Is refused so many times, in one connection.
    pub(super) fn guesses(&self, lab: &Lab, user: &str, password: &str, times: usize) -> anyhow::Result<()> {
        let mut conversation = self.enters(lab)?;
        for time in 1..=times {
            let reply = match self.service.protocol() {
                Protocol::Smtp => say(&mut conversation, &format!("AUTH PLAIN {}", plain_text(user, password)))?,
                Protocol::Imap => say(&mut conversation, &format!("a LOGIN {user} {password}"))?,
                Protocol::Pop3 => {
                    say(&mut conversation, &format!("USER {user}"))?;
                    say(&mut conversation, &format!("PASS {password}"))?
                }
                Protocol::Sieve => {
                    say(&mut conversation, &format!("AUTHENTICATE \"PLAIN\" \"{}\"", plain_text(user, password)))?
                }
            };
            ensure!(reply.answer() == Answer::Refused, "{self:?}, time {time}: {reply:?}");
        }
        if self.leaves_in_order {
            self.leaves(conversation)?;
        }
        Ok(())
    }

    /// Logs in by SASL PLAIN and sends a message.
    pub(super) fn submits(&self, lab: &Lab, user: &str, password: &str) -> anyhow::Result<()> {
        let mut conversation = self.enters(lab)?;
        for words in [
            &format!("AUTH PLAIN {}", plain_text(user, password)),
            "MAIL FROM:<alice@example.org>",
            "RCPT TO:<bob@discard.example.org>",
            "DATA",
            "Subject: hello\r\n\r\nhello\r\n.",
        ] {
            let reply = say(&mut conversation, words)?;
            ensure!(matches!(reply.answer(), Answer::Accepted | Answer::Continue), "{self:?}: {words}: {reply:?}");
        }
        self.leaves(conversation)
    }

    /// Answers a challenge of DIGEST-MD5 (RFC 2831) in due form, by a hash of no password.
    pub(super) fn answers_a_challenge(&self, lab: &Lab, user: &str) -> anyhow::Result<Outcome> {
        let mut conversation = self.enters(lab)?;
        let tag = if self.service.protocol() == Protocol::Imap { "a AUTHENTICATE" } else { "AUTH" };
        let reply = say(&mut conversation, &format!("{tag} DIGEST-MD5"))?;
        ensure!(reply.answer() == Answer::Continue, "{self:?}: {reply:?}");
        let challenge = reply.bytes().split(|byte| *byte == b' ').nth(1).context("a challenge")?;
        let challenge = String::from_utf8(decoded(challenge))?;
        let value = |key: &str| challenge.split_once(&format!("{key}=\""))?.1.split('"').next();
        let (realm, nonce) = (value("realm").context("a realm")?, value("nonce").context("a nonce")?);
        let response = format!(
            "username=\"{user}\",realm=\"{realm}\",nonce=\"{nonce}\",cnonce=\"c\",nc=00000001,qop=auth,\
             digest-uri=\"smtp/mail.example.org\",response={:032x}",
            1
        );
        let reply = say(&mut conversation, &base64(response.as_bytes()))?;
        let is_refused = reply.answer() == Answer::Refused;
        let outcome = if is_refused { Outcome::Refused } else { Outcome::Broken(reply.status()) };
        self.leaves(conversation)?;
        Ok(outcome)
    }

    fn enters(&self, lab: &Lab) -> anyhow::Result<Conversation> {
        let mut conversation = lab.clients().connect(self.source, self.service, self.transport)?;
        if self.transport != Transport::StartTls || self.service == Service::Sieve {
            let greeting = conversation.hear().with_context(|| format!("{self:?}"))?;
            ensure!(greeting.answer() == Answer::Accepted, "{self:?}: {greeting:?}");
        }
        if self.service.protocol() == Protocol::Smtp {
            say(&mut conversation, "EHLO client.example")?;
        }
        Ok(conversation)
    }

    fn leaves(&self, mut conversation: Conversation) -> anyhow::Result<()> {
        let farewell = match self.service.protocol() {
            Protocol::Smtp | Protocol::Pop3 => "QUIT",
            Protocol::Imap => "z LOGOUT",
            Protocol::Sieve => "LOGOUT",
        };
        say(&mut conversation, farewell)?;
        Ok(())
    }
}

fn say(conversation: &mut Conversation, words: &str) -> anyhow::Result<Reply> {
    conversation.say_and_hear(format!("{words}\r\n").as_bytes()).with_context(|| words.to_owned())
}

fn plain_text(user: &str, password: &str) -> String {
    plain(user.as_bytes(), password.as_bytes())
}

/// What base 64 (RFC 4648, section 4) stands for, up to the first byte that is none of its letters.
fn decoded(text: &[u8]) -> Vec<u8> {
    let value = |byte: &u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let letters: Vec<_> = text.iter().map_while(value).collect();
    let group = |letters: &[u8]| {
        let bits = (0..4).fold(0_u32, |bits, at| bits << 6 | u32::from(letters.get(at).copied().unwrap_or(0)));
        let [_, bytes @ ..] = bits.to_be_bytes();
        bytes.into_iter().take(letters.len() * 6 / 8).collect::<Vec<_>>()
    };
    letters.chunks(4).flat_map(group).collect()
}

#[test]
fn base_64_is_decoded_as_the_standard_says() {
    for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar", "\u{fb}\u{ff}"] {
        assert_eq!(decoded(base64(text.as_bytes()).as_bytes()), text.as_bytes());
    }
    assert_eq!(decoded(b"Zm9v\r\n"), b"foo");
}
