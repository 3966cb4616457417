//! One who tries to log in, and by which way.

use std::{net::IpAddr, process::Command, thread};

use anyhow::{Context as _, anyhow, ensure};
use banner_tests::{
    command_line::Answer as Answered,
    lab::{
        Lab,
        client::{
            Conversation, Login, Mechanism, Outcome, Service, Transport,
            reply::{Answer, Protocol, Reply},
            sasl::{base64, plain},
        },
    },
    network::{SERVER_V4, SERVER_V6},
};

/// A way to log in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    Mail(Service, Transport, Mechanism),
    /// DIGEST-MD5 in words of our own.
    Digest(Service, Transport),
    /// At this port.
    Web(u16),
}

impl Door {
    /// What is spoken there, if it is mail's.
    pub(super) fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Mail(service, ..) | Self::Digest(service, _) => Some(service.protocol()),
            Self::Web(_) => None,
        }
    }

    /// Whether this client knows how to be let in: our DIGEST-MD5 has the form of a response and never the right hash.
    pub(super) fn can_be_entered(self) -> bool {
        !matches!(self, Self::Digest(..))
    }
}

/// A try, on a connection of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try {
    pub(super) source: IpAddr,
    pub(super) door: Door,
    pub(super) user: &'static str,
    pub(super) password: &'static str,
}

/// So many clients at a time: fewer than any server has room for, and enough that the half a second which Dovecot takes for each of
/// Postfix's failures does not add up.
const AT_ONCE: usize = 24;

/// Has everybody try, and tells what became of it, in their order.
pub(super) fn all_at_once(lab: &Lab, tries: &[Try]) -> anyhow::Result<Vec<Outcome>> {
    let is_curls = |tried: &&Try| match tried.door {
        Door::Mail(service, _, mechanism) => service != Service::Sieve && mechanism != Mechanism::Plaintext,
        Door::Digest(..) | Door::Web(_) => false,
    };
    let (curls, others): (Vec<&Try>, Vec<&Try>) = tries.iter().partition(is_curls);
    let logins: Vec<_> = curls.iter().filter_map(|tried| tried.login()).collect();
    let mut by_curl = lab.clients().swarm(&logins, AT_ONCE.try_into()?)?.into_iter().map(|attempt| attempt.outcome);
    let mut by_others = in_parallel(&others, |tried| tried.alone(lab))?.into_iter();
    tries
        .iter()
        .map(|tried| if is_curls(&tried) { by_curl.next() } else { by_others.next() }.context("an outcome for each"))
        .collect()
}

/// Does something with each, some at a time; the results are in the order of these.
pub(super) fn in_parallel<T: Sync, R: Send>(
    all: &[T],
    work: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let share = |worker| -> anyhow::Result<Vec<R>> { all.iter().skip(worker).step_by(AT_ONCE).map(&work).collect() };
    let shares: anyhow::Result<Vec<_>> = thread::scope(|scope| {
        let share = &share;
        let workers: Vec<_> = (0..AT_ONCE).map(|worker| scope.spawn(move || share(worker))).collect();
        workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?).collect()
    });
    let mut shares: Vec<_> = shares?.into_iter().map(Vec::into_iter).collect();
    Ok((0..all.len()).filter_map(|index| shares.get_mut(index % AT_ONCE)?.next()).collect())
}

impl Try {
    fn login(&self) -> Option<Login> {
        let Door::Mail(service, transport, mechanism) = self.door else { return None };
        let (user, password) = (self.user.as_bytes().to_vec(), self.password.as_bytes().to_vec());
        Some(Login { from: self.source, service, transport, mechanism, user, password })
    }

    fn alone(&self, lab: &Lab) -> anyhow::Result<Outcome> {
        match self.door {
            Door::Mail(..) => Ok(lab.clients().login(&self.login().context("a login")?)?.outcome),
            Door::Digest(service, transport) => {
                let guest = Guest { source: self.source, service, transport, leaves_in_order: true };
                guest.answers_a_challenge(lab, self.user)
            }
            Door::Web(port) => self.at_web(lab, port).with_context(|| format!("{self:?}")),
        }
    }

    /// By curl(1) of the lab's root, which sends the password unasked.
    fn at_web(&self, lab: &Lab, port: u16) -> anyhow::Result<Outcome> {
        let server = if self.source.is_ipv4() { SERVER_V4.to_string() } else { format!("[{SERVER_V6}]") };
        let scheme = if port == 443 { "https" } else { "http" };
        let mut curl = Command::new("chroot");
        curl.arg(&lab.root).args(["curl", "--disable", "--silent", "--show-error", "--insecure", "--max-time", "60"]);
        curl.args(["--request", "PROPFIND", "--header", "Depth: 0", "--output", "/dev/null"]);
        curl.args(["--write-out", "%{http_code}", "--interface", &self.source.to_string()]);
        curl.args(["--connect-to", &format!("::{server}:{port}")]);
        curl.args(["--user", &format!("{}:{}", self.user, self.password)]);
        curl.arg(format!("{scheme}://mail.example.org:{port}/dav/"));
        curl.current_dir("/").env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let inside = lab.network.internet.enter()?;
        let answer = Answered::of(&mut curl);
        drop(inside);
        let answer = answer?;
        Ok(match answer.stdout.as_str() {
            "207" => Outcome::Accepted,
            "401" => Outcome::Refused,
            _ => Outcome::Broken(format!("{answer:?}")),
        })
    }
}

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
    fn answers_a_challenge(&self, lab: &Lab, user: &str) -> anyhow::Result<Outcome> {
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
