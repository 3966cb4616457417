//! A steady stream of wrong passwords from many sources, and what the servers answered.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use banner_tests::{
    lab::{
        Lab,
        client::{Clients, Conversation, Lost, Service, Transport, reply::Answer, sasl},
    },
    patience::until,
};

/// The failures that ban.
pub(crate) const MAXRETRY: usize = 3;
/// Sources that try by turns, so that what happens meanwhile comes between the failures of each.
const GROUP: usize = 16;
/// Tries of a group, of which some are left out.
const GROUP_TRIES: usize = GROUP * MAXRETRY;
/// Tries at the same time.
const AT_ONCE: usize = 4;
/// The stream ends by itself after so many.
const TRIES_MAX: usize = 250 * GROUP_TRIES;
/// How long a client waits for one reply. A server that is started again takes its time.
const REPLY: Duration = Duration::from_secs(20);

/// What became of the tries of one source.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tries {
    /// The server said that the password is wrong.
    pub(crate) refused: usize,
    /// The connection ended between the password and the answer: only the log can tell.
    pub(crate) unanswered: usize,
}

/// The stream. It goes on until it is told to end.
#[derive(Debug)]
pub(crate) struct Attack<'lab> {
    clients: Clients<'lab>,
    next: AtomicUsize,
    end: AtomicUsize,
    done: AtomicUsize,
    tries: Mutex<BTreeMap<IpAddr, Tries>>,
}

impl<'lab> Attack<'lab> {
    /// Attacks while `events` lasts, and on until every source of a group has had its turns; what was answered.
    ///
    /// # Errors
    /// An event fails, or the servers say what they should not.
    pub(crate) fn during(
        lab: &'lab Lab,
        events: impl FnOnce(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<BTreeMap<IpAddr, Tries>> {
        let attack = Self {
            clients: lab.clients().with_patience(REPLY),
            next: AtomicUsize::new(0),
            end: AtomicUsize::new(TRIES_MAX),
            done: AtomicUsize::new(0),
            tries: Mutex::default(),
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| attack.work())).collect();
            let happened = attack.go_on().and_then(|()| events(&attack)).and_then(|()| attack.go_on());
            attack.stop();
            for worker in workers {
                let Ok(worked) = worker.join() else { bail!("an attacker panicked") };
                worked?;
            }
            happened
        })?;
        ensure!(attack.next.load(SeqCst) < TRIES_MAX, "the events took so long that the stream came to its end");
        Ok(attack.tries.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until each source of a group has tried again.
    ///
    /// # Errors
    /// The servers answer nobody.
    pub(crate) fn go_on(&self) -> anyhow::Result<()> {
        let before = self.done.load(SeqCst);
        until("the attack goes on", || Ok((self.done.load(SeqCst) >= before + GROUP).then_some(())))
    }

    /// Ends the stream behind the group whose turn it is.
    fn stop(&self) {
        self.end.fetch_min(self.next.load(SeqCst).next_multiple_of(GROUP_TRIES), SeqCst);
    }

    fn work(&self) -> anyhow::Result<()> {
        let worked = loop {
            let index = self.next.fetch_add(1, SeqCst);
            if index >= self.end.load(SeqCst) {
                break Ok(());
            }
            let (source, turn) = (index / GROUP_TRIES * GROUP + index % GROUP, index % GROUP_TRIES / GROUP);
            if turn < planned(source)
                && let Err(error) = self.insist(source, turn)
            {
                break Err(error);
            }
        };
        // The others need not go on.
        self.end.fetch_min(if worked.is_err() { 0 } else { TRIES_MAX }, SeqCst);
        worked
    }

    /// Tries until the server has taken the password and could look it up.
    fn insist(&self, source: usize, turn: usize) -> anyhow::Result<()> {
        let from = address(source);
        let service = match (source + turn) % 3 {
            0 => Service::Smtp,
            1 => Service::Imap,
            _ => Service::Submission,
        };
        let mut why = String::new();
        let tried = until("a server takes a password", || match guess(&self.clients, from, service)? {
            Guess::Refused => Ok(Some(Tries { refused: 1, unanswered: 0 })),
            Guess::Unanswered => Ok(Some(Tries { refused: 0, unanswered: 1 })),
            // It is being started again, or what it asks is.
            Guess::Away(reason) => {
                why = reason;
                Ok(None)
            }
        });
        let tried = tried.with_context(|| format!("{from} tries {service:?}, whose server is away: {why}"))?;
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let all = tries.entry(from).or_default();
        all.refused += tried.refused;
        all.unanswered += tried.unanswered;
        self.done.fetch_add(1, SeqCst);
        Ok(())
    }
}

/// Every other source stops just before its ban.
fn planned(source: usize) -> usize {
    MAXRETRY - source % 2
}

/// A source; one of seven has IPv6, each in a /64 of its own.
fn address(source: usize) -> IpAddr {
    let number = u32::try_from(source).unwrap_or(u32::MAX);
    if number % 7 == 3 {
        Ipv6Addr::from((0x2001_0db8_0000_0000_u128 + 0x1000 + u128::from(number)) << 64 | 1).into()
    } else {
        // Of 198.18.0.0/15, with no name in the lab's zone.
        Ipv4Addr::from_bits(0xc612_8000 + number).into()
    }
}

/// What became of a password.
#[derive(Debug)]
pub(crate) enum Guess {
    /// It is wrong.
    Refused,
    /// The server is not there, or cannot tell; it logs no failure of anybody. In what way.
    Away(String),
    /// Nobody knows.
    Unanswered,
}

/// Tries one wrong password.
///
/// # Errors
/// The server lets it in, or says what no server should.
pub(crate) fn guess(clients: &Clients<'_>, from: IpAddr, service: Service) -> anyhow::Result<Guess> {
    let mut conversation = match introduced(clients, from, service) {
        Ok(conversation) => conversation,
        Err(failed @ Lost::Failed(_)) => return Err(failed.into()),
        Err(lost) => return Ok(Guess::Away(format!("before the password: {lost}"))),
    };
    let (password, farewell) = if service == Service::Imap {
        ("a LOGIN alice guess\r\n".to_owned(), "b LOGOUT\r\n")
    } else {
        (format!("AUTH PLAIN {}\r\n", sasl::plain(b"alice", b"guess")), "QUIT\r\n")
    };
    let reply = match conversation.say_and_hear(password.as_bytes()) {
        Ok(reply) => reply,
        Err(failed @ Lost::Failed(_)) => return Err(failed.into()),
        Err(_) => return Ok(Guess::Unanswered),
    };
    // The ban may come before the farewell is heard.
    let _: Result<_, Lost> = conversation.say(farewell.as_bytes());
    match reply.answer() {
        // Postfix says 535 of an outage too, and names it.
        Answer::Refused if reply.status().contains("generic failure") => Ok(Guess::Away(reply.status())),
        Answer::Refused => Ok(Guess::Refused),
        Answer::Unavailable => Ok(Guess::Away(reply.status())),
        Answer::Accepted | Answer::Continue | Answer::Other => bail!("{reply:?}"),
    }
}

/// Connects, as far as to where a password can be sent.
fn introduced<'lab>(clients: &Clients<'lab>, from: IpAddr, service: Service) -> Result<Conversation, Lost> {
    let mut conversation = clients.connect(from, service, Transport::Plain)?;
    let mut reply = conversation.hear()?;
    if service != Service::Imap && reply.answer() == Answer::Accepted {
        reply = conversation.say_and_hear(b"EHLO client.example.net\r\n")?;
    }
    if reply.answer() == Answer::Accepted { Ok(conversation) } else { Err(Lost::Closed { heard: reply.status() }) }
}
