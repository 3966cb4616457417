//! The fuzz targets on any compiler: all of the corpora, and so many mutations of them (`PROPTEST_CASES`).

#![cfg(test)]

use std::{fs, path::Path, sync::LazyLock};

use proptest::{prelude::*, sample::Index, test_runner::TestRunner};

/// One change to a file.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Puts a piece of the file somewhere else in it.
    Copy(Index, usize, Index),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let telling = prop::sample::select(&b"[]()<>{}\"'\\=:, \n\r\0\xff%*?|.09af"[..]);
    let byte = prop_oneof![telling, any::<u8>()];
    let index = any::<Index>;
    prop_oneof![
        (index(), byte.clone()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (index(), prop::collection::vec(byte, 1..8)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (index(), 1..40_usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (index(), 1..200_usize, index()).prop_map(|(from, length, to)| Mutation::Copy(from, length, to)),
        index().prop_map(Mutation::Cut),
    ]
}

fn mutated(file: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for mutation in mutations {
        let length = bytes.len();
        let until = |start: usize, count: usize| start..(start + count).min(length);
        match mutation {
            Mutation::Insert(at, new) => {
                let at = at.index(length + 1);
                bytes.splice(at..at, new.iter().copied());
            }
            _ if length == 0 => {}
            Mutation::Replace(at, byte) => bytes[at.index(length)] = *byte,
            Mutation::Remove(at, count) => drop(bytes.drain(until(at.index(length), *count))),
            Mutation::Copy(from, count, to) => {
                let piece = bytes[until(from.index(length), *count)].to_vec();
                let to = to.index(length);
                bytes.splice(to..to, piece);
            }
            Mutation::Cut(at) => bytes.truncate(at.index(length)),
        }
    }
    bytes
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// `cost` is how many times as dear a case is as the cheapest target's.
fn survives(target: &str, door: fn(&[u8]), cost: u32) {
    let corpus = LazyLock::new(|| corpus(target));
    assert!(!corpus.is_empty());
    corpus.iter().for_each(|file| door(file));
    // Mutations are made anew in each run; what one finds is shrunk, shown, and belongs into the corpus.
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let config = ProptestConfig { cases: config.cases.saturating_mul(256) / cost, ..config };
    let input = (any::<Index>(), prop::collection::vec(mutation(), 1..12));
    let outcome = TestRunner::new(config).run(&input, |(index, mutations)| {
        door(&mutated(&corpus[index.index(corpus.len())], &mutations));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{target}: {error}");
    }
}

#[test]
fn any_lines_are_survived_and_name_no_address_that_they_do_not_hold() {
    survives("detection", banner_fuzz::detection, 4);
}

#[test]
fn any_filter_is_survived() {
    survives("filter", banner_fuzz::filter, 16);
}

#[test]
fn any_configuration_is_survived() {
    survives("configuration", banner_fuzz::configuration, 1);
}

#[test]
fn any_filter_of_fail2ban_is_survived() {
    survives("fail2ban", banner_fuzz::fail2ban, 64);
}
