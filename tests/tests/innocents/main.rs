//! No packet of an innocent source is ever dropped, whatever its bytes; and no packet of a banned one gets through that a second,
//! independent reader says is for a guarded port.
//!
//! Two worlds for each source. In the first every address on the Internet is banned except this one (by prefixes that together
//! leave out nothing else), and its neighbours by one bit, the frame's destination, and what a reader that is off by some bytes
//! would take for a source are banned by exact entries too: the least mistake drops the packet. In the second nothing but this
//! source is banned.
//!
//! The frames are the same in every run. `PROPTEST_RNG_SEED=n` gives others; a failure names its seed, and the frame is reduced
//! to what matters in it.

mod frames;
mod reference;

use std::{cell::RefCell, collections::BTreeSet, path::Path};

use anyhow::{Context as _, anyhow, ensure};
use banner_common::{Ban, PERMANENT};
use banner_tests::object::{self, Entry, Program, Verdict};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner},
};

use reference::{Address, Carries};

const GUARDED_PORTS: [u16; 2] = [25, 143];
const ANY_SERVICE: u16 = u16::MAX;

const DESTINATION_V4: [u8; 4] = [192, 0, 2, 25];
const DESTINATION_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x19];
/// Who speaks inside a tunnel.
const INNER_V4: [u8; 4] = [203, 0, 113, 9];
const INNER_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0x0c, 0xc0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9];

/// The bans by exact entries in the first world, at least.
const EXACT_BANS: usize = 10_000;

const SOURCES: u32 = 40;
const FRAMES_WHERE_ALL_OTHERS_ARE_BANNED: u32 = 3_000;
const FRAMES_WHERE_IT_ALONE_IS_BANNED: u32 = 1_000;

/// The seed of every run that is not given another.
const SEED: u64 = 20_251_122;

/// How many extension headers the program walks at the least before it may call the port unreadable.
const HEADERS_WALKED: usize = 8;

#[test]
fn an_innocent_source_is_never_dropped_and_a_banned_one_never_reaches_a_guarded_port() -> anyhow::Result<()> {
    for object in object::under_test("frames of innocent sources")? {
        let seed = match Config::default().rng_seed {
            RngSeed::Fixed(seed) => seed,
            RngSeed::Random => SEED,
        };
        let tally = run(&object, seed).with_context(|| format!("{}, PROPTEST_RNG_SEED={seed}", object.display()))?;
        // The frames must be such that the test says something.
        ensure!(tally.innocent >= 100_000, "only {} frames of innocent sources", tally.innocent);
        ensure!(tally.dropped >= 10_000, "only {} frames that had to be dropped", tally.dropped);
        ensure!(
            tally.passed_although_banned >= 1_000,
            "only {} of a banned source that had to pass",
            tally.passed_although_banned
        );
    }
    Ok(())
}

/// How many frames had to have which verdict.
#[derive(Default)]
struct Tally {
    innocent: u32,
    dropped: u32,
    passed_although_banned: u32,
}

fn run(object: &Path, seed: u64) -> anyhow::Result<Tally> {
    let mut program = Program::load(object)?;
    for (port, services) in GUARDED_PORTS.into_iter().zip([1, 2]) {
        program.guard(port, services)?;
    }
    let mut kernel = Kernel { program, bans: BTreeSet::new() };
    let tally = RefCell::new(Tally::default());

    for number in 0..SOURCES {
        let mut runner = TestRunner::new(Config {
            rng_seed: RngSeed::Fixed(seed.wrapping_add(u64::from(number))),
            failure_persistence: None,
            ..Config::default()
        });
        let source = source(number, &mut runner)?;
        let worlds = [
            (World::AllBut(source), FRAMES_WHERE_ALL_OTHERS_ARE_BANNED),
            (World::Only(source, number & 2 == 0), FRAMES_WHERE_IT_ALONE_IS_BANNED),
        ];
        for (world, cases) in worlds {
            kernel.hold(world.bans(&mut runner)?)?;
            let mut runner = TestRunner::new_with_rng(Config { cases, ..runner.config().clone() }, runner.new_rng());
            let program = RefCell::new(&mut kernel.program);
            runner
                .run(&frames::frames(source), |frame| {
                    world.judge(*program.borrow_mut(), &frame, &mut tally.borrow_mut())
                })
                .map_err(|error| match error {
                    TestError::Fail(reason, frame) => anyhow!("{world:02x?}: {reason}; the frame: {frame:02x?}"),
                    TestError::Abort(reason) => anyhow!("{world:02x?}: {reason}"),
                })?;
        }
    }
    Ok(tally.into_inner())
}

/// Every other source is IPv4.
fn source(number: u32, runner: &mut TestRunner) -> anyhow::Result<Address> {
    if number & 1 == 0 {
        Ok(Address::V4(draw(any::<[u8; 4]>(), runner)?))
    } else {
        Ok(Address::V6(draw(any::<[u8; 16]>(), runner)?))
    }
}

fn draw<S: Strategy>(strategy: S, runner: &mut TestRunner) -> anyhow::Result<S::Value> {
    Ok(strategy.new_tree(runner).map_err(|reason| anyhow!("{reason}"))?.current())
}

/// Who is banned.
#[derive(Clone, Copy, Debug)]
enum World {
    AllBut(Address),
    /// By an exact entry (for IPv6 its /64), or by a prefix that holds nothing else.
    Only(Address, bool),
}

impl World {
    fn bans(self, runner: &mut TestRunner) -> anyhow::Result<BTreeSet<Entry>> {
        match self {
            Self::AllBut(source) => {
                let mut bans = all_but(source);
                bans.extend(neighbours(source));
                let own = |entry: &Entry| match (source, entry) {
                    (Address::V4(source), Entry::HostV4(key)) => source == *key,
                    (Address::V6(source), Entry::HostV6(key)) => source.starts_with(key),
                    (_, Entry::HostV4(_) | Entry::HostV6(_) | Entry::NetV4(..) | Entry::NetV6(..)) => false,
                };
                bans.retain(|entry| !own(entry));
                while bans.len() < EXACT_BANS + 160 {
                    let (v4, v6) = draw(any::<([u8; 4], [u8; 8])>(), runner)?;
                    bans.extend([Entry::HostV4(v4), Entry::HostV6(v6)].into_iter().filter(|entry| !own(entry)));
                }
                Ok(bans)
            }
            Self::Only(Address::V4(source), true) => Ok(BTreeSet::from([Entry::HostV4(source)])),
            Self::Only(Address::V4(source), false) => Ok(BTreeSet::from([Entry::NetV4(source, 32)])),
            Self::Only(Address::V6(source), true) => Ok(BTreeSet::from([Entry::HostV6(upper(source))])),
            Self::Only(Address::V6(source), false) => Ok(BTreeSet::from([Entry::NetV6(source, 128)])),
        }
    }

    fn is_banned(self, address: Address) -> bool {
        match (self, address) {
            (Self::AllBut(source), _) => source != address,
            (Self::Only(Address::V6(source), true), Address::V6(address)) => upper(source) == upper(address),
            (Self::Only(source, _), _) => source == address,
        }
    }

    /// What the program must do with a frame; some it may do either with.
    fn judge(self, program: &mut Program, frame: &[u8], tally: &mut Tally) -> Result<(), TestCaseError> {
        let read = reference::read(frame);
        let verdict = program.run(frame).map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        let (expected, count) = match read {
            None => (Verdict::Pass, &mut tally.innocent),
            Some((source, _)) if !self.is_banned(source) => (Verdict::Pass, &mut tally.innocent),
            Some((_, Carries::TcpWithoutPort)) => (Verdict::Drop, &mut tally.dropped),
            Some((_, Carries::Tcp { port, .. })) if GUARDED_PORTS.contains(&port) => {
                (Verdict::Drop, &mut tally.dropped)
            }
            Some((_, Carries::Tcp { headers, .. } | Carries::Other { headers })) if headers <= HEADERS_WALKED => {
                (Verdict::Pass, &mut tally.passed_although_banned)
            }
            Some((_, Carries::Tcp { .. } | Carries::Other { .. } | Carries::Nonsense)) => return Ok(()),
        };
        *count += 1;
        prop_assert_eq!(verdict, expected, "it reads as {:02x?}", read);
        Ok(())
    }
}

/// The prefixes that together hold every address but this one: for each length, the source with its last bit the other way.
fn all_but(source: Address) -> BTreeSet<Entry> {
    match source {
        Address::V4(source) => {
            let bits = u32::from_be_bytes(source);
            let beside = (1..=32_u32).map(|length| Entry::NetV4(masked_v4(bits ^ 1 << (32 - length), length), length));
            beside.chain([Entry::NetV6([0; 16], 0)]).collect()
        }
        Address::V6(source) => {
            let bits = u128::from_be_bytes(source);
            let beside =
                (1..=128_u32).map(|length| Entry::NetV6(masked_v6(bits ^ 1 << (128 - length), length), length));
            beside.chain([Entry::NetV4([0; 4], 0)]).collect()
        }
    }
}

fn masked_v4(bits: u32, length: u32) -> [u8; 4] {
    (bits >> (32 - length) << (32 - length)).to_be_bytes()
}

fn masked_v6(bits: u128, length: u32) -> [u8; 16] {
    (bits >> (128 - length) << (128 - length)).to_be_bytes()
}

/// Exact bans of what is nearly the source: one bit away, or some bytes further along in the frame.
fn neighbours(source: Address) -> BTreeSet<Entry> {
    let mut keys = BTreeSet::new();
    let addresses = match source {
        Address::V4(source) => {
            keys.extend((0..32).map(|bit| Entry::HostV4((u32::from_be_bytes(source) ^ 1 << bit).to_be_bytes())));
            [&source[..], &DESTINATION_V4, &INNER_V4, &DESTINATION_V4].concat()
        }
        Address::V6(source) => {
            let bits = u64::from_be_bytes(upper(source));
            keys.extend((0..64).map(|bit| Entry::HostV6((bits ^ 1 << bit).to_be_bytes())));
            [&source[..], &DESTINATION_V6, &INNER_V6, &DESTINATION_V6].concat()
        }
    };
    keys.extend(addresses.windows(4).filter_map(|window| window.first_chunk().copied().map(Entry::HostV4)));
    keys.extend(addresses.windows(8).filter_map(|window| window.first_chunk().copied().map(Entry::HostV6)));
    keys
}

/// The /64.
fn upper(address: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = address;
    [a, b, c, d, e, f, g, h]
}

/// The program, and the bans that it holds.
struct Kernel {
    program: Program,
    bans: BTreeSet<Entry>,
}

impl Kernel {
    /// Makes these the bans.
    fn hold(&mut self, bans: BTreeSet<Entry>) -> anyhow::Result<()> {
        for entry in self.bans.difference(&bans) {
            self.program.unban(*entry)?;
        }
        for entry in bans.difference(&self.bans) {
            self.program.ban(*entry, Ban { deadline: PERMANENT, services: ANY_SERVICE, ..Ban::default() })?;
        }
        self.bans = bans;
        Ok(())
    }
}
