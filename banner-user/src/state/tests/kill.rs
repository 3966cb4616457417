//! A daemon that is killed, at any moment, leaves the state of one of its batches: the last that it knows to be written, or a later
//! one.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use super::*;

/// The state directory, in the environment of the process that is to be killed.
const DIRECTORY: &str = "BANNER_TEST_STATE";

const ROUNDS: u64 = 60;

/// How many bans are in force at most.
const IN_FORCE: u64 = 40;

/// The batch of this number, which depends on nothing else: one ban begins, one ends, and a file is read up to the number.
fn batch(number: u64) -> Batch {
    let now = at(i64::try_from(number).unwrap());
    let prefix = |number: u64| format!("198.18.{}.{}/32", number / 256 % 256, number % 256);
    let mut bans = vec![began(ban(&prefix(number), now, 600))];
    if let Some(old) = number.checked_sub(IN_FORCE) {
        bans.push(ended(&prefix(old), now, Ended::Expired));
    }
    let mut batch = with_bans(read_to(Batch::new(now), number), bans);
    batch.changes.tallies = vec![TallyChange::Counted(SavedTally {
        jail: "mail".into(),
        source: "192.0.2.7/32".parse().unwrap(),
        failures: vec![Counted { at: LogTime(i64::try_from(number).unwrap()), weight: Weight::ONE, account: None }],
        told: false,
    })];
    (batch.changes.complete, batch.positions.complete) = (number == 0, number == 0);
    batch
}

/// How far the file was read: the number of the last batch that is on disk.
fn last(loaded: &Loaded) -> Option<u64> {
    loaded.positions.first().map(|position| position.offset)
}

#[test]
fn a_kill_at_any_moment_leaves_the_state_of_a_batch() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return write_until_killed(Path::new(&directory));
    }
    let mut world = World::on(TempDir::new().unwrap());
    let mut written = None;
    // As random as it needs to be, and the same each time.
    let mut random = 1_u64;
    for round in 0..ROUNDS {
        let told = run_and_kill(&world.path(), &mut random);
        let loaded = world.open(at(0));
        let found = last(&loaded);
        assert!(found >= told.max(written), "round {round}: {told:?} was told to be written, {found:?} is");
        written = found;
        if let Some(number) = found {
            let expected: Vec<_> = (number.saturating_sub(IN_FORCE - 1)..=number)
                .map(|number| match batch(number).changes.bans.remove(0) {
                    BanChange::Began { ban, .. } => ban,
                    BanChange::Ended { .. } => panic!("the first is a beginning"),
                })
                .collect();
            assert_eq!(loaded.saved.bans, expected, "round {round}, batch {number}");
            let TallyChange::Counted(tally) = batch(number).changes.tallies.remove(0) else { panic!("it counts") };
            assert_eq!(loaded.saved.tallies, [tally], "round {round}");
            assert_eq!(loaded.notices, [], "round {round}");
        }
        drop(world.store.take());
    }
    assert!(written > Some(ROUNDS), "only {written:?} batches were written in all");
}

/// Lets a process write until it is killed after a moment; returns the last batch that it told of.
fn run_and_kill(directory: &Path, random: &mut u64) -> Option<u64> {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "state::tests::kill::a_kill_at_any_moment_leaves_the_state_of_a_batch"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = None;
    // Some are killed while they open the database, others after up to 15 batches, and within up to 4 ms after that.
    let (batches, moment) = ((*random >> 33) % 16, Duration::from_micros((*random >> 40) % 4_000));
    for _ in 0..batches {
        match lines.next() {
            Some(line) => told = line.unwrap().strip_prefix("batch ").map_or(told, |number| number.parse().ok()),
            None => panic!("it ended by itself, after {told:?}"),
        }
    }
    block_on(async { tokio::time::sleep(moment).await });
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.map_while(Result::ok) {
        told = line.strip_prefix("batch ").map_or(told, |number| number.parse().ok());
    }
    told
}

fn write_until_killed(directory: &Path) {
    let boot = BootId(Some("first".to_owned()));
    let (mut store, loaded) = Store::open_in(boot, directory, &Services::default(), Limits::default(), at(0));
    for number in last(&loaded).map_or(0, |last| last + 1).. {
        assert_eq!(store.commit(batch(number)), Ok(()), "{:?}", store.trouble());
        assert_eq!(block_on(store.outcome()), Outcome::Committed);
        println!("batch {number}");
        std::io::stdout().flush().unwrap();
    }
}
