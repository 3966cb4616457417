//! Sources that knock at the server's port again and again, and what comes of it.
//!
//! Each round is a connection request of every source at hand, and last of an innocent one. The cable keeps the order, so once
//! the innocent source has its answer, the others had theirs, if they have any.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use banner_tests::{
    frame::{Frame, Ipv4, Ipv6},
    network::{Network, SERVER_V4, SERVER_V6},
    patience::{PATIENCE, until},
    wire::Wire,
};

use crate::{
    clock::{let_pass, now},
    dice::Dice,
    sources::Sources,
};

/// The guarded port that everyone knocks at.
const SMTP: u16 = 25;

/// Between two rounds.
const PACE: Duration = Duration::from_millis(4);

/// For so many rounds an answer may be late.
const LATE_ROUNDS: u16 = 500;

/// Sources that never fail.
const INNOCENT: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 51, 100, 67)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0x67, 0, 0, 0, 0x67))];

/// One connection request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Knock {
    pub(crate) source: IpAddr,
    /// Just before it was sent, since boot.
    pub(crate) sent: Duration,
    /// It was dealt with at the latest then.
    pub(crate) dealt_with: Duration,
    pub(crate) is_answered: bool,
}

/// Knocks until it is ended.
pub(crate) struct Traffic {
    shared: Arc<Shared>,
    wire: Arc<Mutex<Option<Wire>>>,
    thread: Option<JoinHandle<anyhow::Result<Vec<Knock>>>>,
}

struct Shared {
    sources: Sources,
    /// Who knocks in every round, beside some of `sources`.
    steady: Mutex<BTreeSet<IpAddr>>,
    rounds: AtomicU64,
    ends: AtomicBool,
}

impl Traffic {
    pub(crate) fn start(network: &Network, sources: &Sources, dice: Dice) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            sources: sources.clone(),
            steady: Mutex::default(),
            rounds: AtomicU64::new(0),
            ends: AtomicBool::new(false),
        });
        let wire = Arc::new(Mutex::new(Some(network.wire()?)));
        let (at_work, on) = (Arc::clone(&shared), Arc::clone(&wire));
        let thread = thread::spawn(move || Sender::new(at_work, dice).run(&on));
        Ok(Self { shared, wire, thread: Some(thread) })
    }

    /// From now on this source knocks in every round.
    pub(crate) fn add(&self, source: IpAddr) {
        self.shared.steady.lock().unwrap_or_else(PoisonError::into_inner).insert(source);
    }

    /// Waits until everyone has knocked who is known now.
    pub(crate) fn await_round(&self) -> anyhow::Result<()> {
        let before = self.shared.rounds.load(Ordering::SeqCst);
        until("a round of knocks", || {
            ensure!(self.thread.as_ref().is_some_and(|thread| !thread.is_finished()), "the traffic has ended");
            Ok((self.shared.rounds.load(Ordering::SeqCst) >= before + 2).then_some(()))
        })
    }

    /// Nobody knocks any more: there is no cable, or no machine at its end.
    pub(crate) fn pause(&self) {
        *self.wire.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Everyone knocks again.
    pub(crate) fn resume(&self, network: &Network) -> anyhow::Result<()> {
        *self.wire.lock().unwrap_or_else(PoisonError::into_inner) = Some(network.wire()?);
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> anyhow::Result<Vec<Knock>> {
        self.shared.ends.store(true, Ordering::SeqCst);
        let thread = self.thread.take().context("traffic ends once")?;
        let Ok(knocks) = thread.join() else { bail!("the traffic panicked") };
        knocks
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
    }
}

/// The other end of one connection: who, and the port it comes from.
type Peer = (IpAddr, u16);

struct Sender {
    shared: Arc<Shared>,
    dice: Dice,
    port: u16,
    knocks: Vec<Knock>,
    /// Requests of late, by whom an answer would go to: an answer may be slower than the round.
    places: BTreeMap<Peer, usize>,
}

impl Sender {
    fn new(shared: Arc<Shared>, dice: Dice) -> Self {
        Self { shared, dice, port: 1024, knocks: Vec::new(), places: BTreeMap::new() }
    }

    fn run(mut self, wire: &Mutex<Option<Wire>>) -> anyhow::Result<Vec<Knock>> {
        while !self.shared.ends.load(Ordering::SeqCst) {
            if let Some(wire) = wire.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                self.round(wire)?;
            }
            self.shared.rounds.fetch_add(1, Ordering::SeqCst);
            let_pass(PACE);
        }
        Ok(self.knocks)
    }

    fn round(&mut self, wire: &Wire) -> anyhow::Result<()> {
        let mut round = self.shared.steady.lock().unwrap_or_else(PoisonError::into_inner).clone();
        round.extend(self.some_sources());
        // A port of its own for each round, so that an answer tells which request it is to.
        self.port = if self.port == u16::MAX { 1024 } else { self.port + 1 };
        let first = self.knocks.len();
        let last = *INNOCENT.get(usize::from(self.port % 2)).context("there are two")?;
        for source in round.into_iter().chain([last]) {
            let sent = now()?;
            wire.send(&request(source, self.port))?;
            self.places.insert((source, self.port), self.knocks.len());
            self.knocks.push(Knock { source, sent, dealt_with: Duration::MAX, is_answered: false });
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.knocks.last().is_some_and(|knock| knock.is_answered) {
            let frame = wire.receive(deadline)?;
            let frame = frame.with_context(|| format!("a packet of {last}, which is innocent, was dropped"))?;
            if let Some(place) = answered(&frame).and_then(|peer| self.places.get(&peer))
                && let Some(knock) = self.knocks.get_mut(*place)
            {
                knock.is_answered = true;
            }
        }
        let dealt_with = now()?;
        for knock in self.knocks.iter_mut().skip(first) {
            knock.dealt_with = dealt_with;
        }
        let round = self.port;
        self.places.retain(|(_, port), _| round.wrapping_sub(*port) < LATE_ROUNDS);
        Ok(())
    }

    /// One of the last sources, and one of all, so that both the beginning and the end of bans are knocked at.
    fn some_sources(&mut self) -> BTreeSet<IpAddr> {
        let sources = self.shared.sources.lock();
        let at = |index: usize| sources.get(index).map(|source| source.address);
        let (any, late) = (self.dice.below(sources.len()), sources.len().saturating_sub(1 + self.dice.below(40)));
        [at(any), at(late)].into_iter().flatten().collect()
    }
}

fn request(source: IpAddr, port: u16) -> Frame {
    match source {
        IpAddr::V4(source) => Ipv4::new(source.octets(), SERVER_V4.octets()).source_port(port).tcp(SMTP),
        IpAddr::V6(source) => Ipv6::new(source.octets(), SERVER_V6.octets()).source_port(port).tcp(SMTP),
    }
}

/// Whom a frame offers a connection to, if it does.
fn answered(frame: &Frame) -> Option<Peer> {
    const SYN_ACK: u8 = 0x12;
    let packet = frame.packet();
    let (destination, segment): (IpAddr, &[u8]) = match packet.first()? >> 4 {
        4 => (IpAddr::from(*packet.get(16..)?.first_chunk::<4>()?), packet.get(20..)?),
        6 => (IpAddr::from(*packet.get(24..)?.first_chunk::<16>()?), packet.get(40..)?),
        _ => return None,
    };
    let ([from_high, from_low, to_high, to_low], flags) = (*segment.first_chunk::<4>()?, *segment.get(13)?);
    let is_offer = u16::from_be_bytes([from_high, from_low]) == SMTP && flags & 0x3f == SYN_ACK;
    is_offer.then_some((destination, u16::from_be_bytes([to_high, to_low])))
}
