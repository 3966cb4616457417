//! One of the botnet.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::bail;
use banner_tests::lab::client::{
    Clients, Conversation, Lost, Service, Transport,
    reply::{Answer, Protocol},
    sasl,
};

use super::sight::Sight;

/// Guesses on one connection.
const GUESSES: usize = 2;

/// How long one waits for each answer that is not banned yet. A ban may come while it connects.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a banned one waits for an answer to a SYN: until after the first of the kernel's repetitions, which comes after a
/// second.
const KNOCK: Duration = Duration::from_millis(1500);

/// A source that guesses passwords until it is banned, and then goes on knocking.
pub(super) struct Bot {
    key: IpAddr,
    services: [Service; 3],
    unanswered: AtomicUsize,
    complaint: Mutex<Option<anyhow::Error>>,
}

impl Bot {
    /// Each even one is an IPv4 address, each odd one an IPv6 /64.
    pub(super) fn new(number: u16) -> Self {
        let [high, low] = (number / 2).to_be_bytes();
        let key = if number.is_multiple_of(2) {
            Ipv4Addr::new(198, 18, high, low).into()
        } else {
            Ipv6Addr::new(0x2001, 0xdb8, 0xb07, number, 0, 0, 0, 0).into()
        };
        // POP3 seldom: Cyrus starts a process for each connection, which takes longer than all the rest.
        let services = match number / 2 % 10 {
            0..4 => [Service::Smtp, Service::Imap, Service::Submission],
            4..8 => [Service::Imap, Service::Smtp, Service::Imap],
            8 => [Service::Submission; 3],
            _ => [Service::Pop3, Service::Smtp, Service::Imap],
        };
        Self { key, services, unanswered: AtomicUsize::new(0), complaint: Mutex::new(None) }
    }

    /// What its ban is for: its address, or the first one of its /64.
    pub(super) fn key(&self) -> IpAddr {
        self.key
    }

    /// Where its connection with this number comes from: in IPv6 each from an address of its own.
    fn address(&self, connection: usize) -> IpAddr {
        match self.key {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(net) => Ipv6Addr::from_bits(net.to_bits() | (connection as u128 + 1)).into(),
        }
    }

    /// How many of its connections were not answered since it was banned.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::SeqCst)
    }

    /// What was wrong, if anything.
    pub(super) fn complaint(&self) -> anyhow::Result<()> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    pub(super) fn attack(&self, clients: &Clients<'_>, sight: &Sight, is_over: &AtomicBool) {
        if let Err(error) = self.guess_and_knock(clients, sight, is_over) {
            let error = error.context(format!("the bot {}", self.key));
            *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    fn guess_and_knock(&self, clients: &Clients<'_>, sight: &Sight, is_over: &AtomicBool) -> anyhow::Result<()> {
        let (guessing, knocking) = (clients.with_patience(PATIENCE), clients.with_patience(KNOCK));
        for (connection, service) in self.services.into_iter().cycle().enumerate() {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            let from = self.address(connection);
            if sight.has(self.key) {
                match knocking.connect(from, service, Transport::Plain) {
                    Err(Lost::Silent { .. }) => self.unanswered.fetch_add(1, Ordering::SeqCst),
                    Ok(_) => bail!("it is banned, and was answered at {service:?}"),
                    Err(lost) => bail!("it is banned, and {service:?} says: {lost}"),
                };
                continue;
            }
            // It may be banned at any moment: what is lost then is no failure of this test.
            if let Ok(mut conversation) = guessing.connect(from, service, Transport::Plain) {
                let _: Result<(), Lost> = guess(&mut conversation, service);
            }
        }
        Ok(())
    }
}

/// Tries wrong passwords, and hangs up.
fn guess(conversation: &mut Conversation, service: Service) -> Result<(), Lost> {
    conversation.hear()?;
    if service.protocol() == Protocol::Smtp {
        conversation.say_and_hear(b"EHLO bot.example.net\r\n")?;
    }
    let plain = sasl::plain(b"alice", b"wrong");
    for _ in 0..GUESSES {
        let reply = match service.protocol() {
            Protocol::Imap => conversation.say_and_hear(b"a LOGIN alice wrong\r\n")?,
            Protocol::Pop3 => {
                conversation.say_and_hear(b"USER alice\r\n")?;
                conversation.say_and_hear(b"PASS wrong\r\n")?
            }
            Protocol::Smtp => conversation.say_and_hear(format!("AUTH PLAIN {plain}\r\n").as_bytes())?,
            Protocol::Sieve => {
                conversation.say_and_hear(format!("AUTHENTICATE \"PLAIN\" \"{plain}\"\r\n").as_bytes())?
            }
        };
        if reply.answer() != Answer::Refused {
            break;
        }
    }
    Ok(())
}
