//! Two automata over the same text: is there one in which they have the group in different places?
//!
//! A breadth-first walk over pairs of nodes, which stands for all texts at once. Since a run's phases at each byte tell where its
//! group starts and ends, two runs agree as long as their phases do; from the first byte where they do not, the pair is
//! marked. A marked pair at the end is an answer, and the way to it a shortest text.

use std::collections::HashSet;

use super::{
    Ambiguity,
    automaton::{Automaton, Node, Phase},
};

/// The most pairs that are looked at, some 40 bytes each while the check runs.
const PAIRS_MAX: usize = 1_000_000;
/// The most ways from pair to pair.
const WAYS_MAX: usize = 20_000_000;

/// Where a group is in a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A text that both match, with the group in different places, or in only one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) text: Vec<u8>,
    pub(super) read: Option<Span>,
    pub(super) written: Option<Span>,
}

/// A pair of nodes, and how it was come to.
#[derive(Clone, Copy)]
struct Pair {
    reader: u32,
    writer: u32,
    differ: bool,
    /// The pair before and the byte between; none at the start.
    from: Option<(u32, u8)>,
}

/// A shortest text with the group in different places.
pub(super) fn disagreement(reader: &Automaton, writer: &Automaton) -> Result<Option<Witness>, Ambiguity> {
    let mut walk = Walk { reader, writer, pairs: Vec::new(), seen: HashSet::new(), ways: 0 };
    walk.enter(reader.first(), writer.first(), false, None)?;
    let mut next = 0;
    while let Some(pair) = walk.pairs.get(next).copied() {
        let from = u32::try_from(next).map_err(|_| Ambiguity::TooLarge)?;
        next += 1;
        let Some((one, other)) = walk.nodes(pair) else { continue };
        if pair.differ && one.ends && other.ends {
            return Ok(Some(walk.witness(pair)));
        }
        for (byte, to_one, to_other) in common_steps(one, other) {
            walk.enter(to_one, to_other, pair.differ, Some((from, byte)))?;
        }
    }
    Ok(None)
}

struct Walk<'a> {
    reader: &'a Automaton,
    writer: &'a Automaton,
    /// In the order in which they were come to.
    pairs: Vec<Pair>,
    seen: HashSet<(u32, u32, bool)>,
    ways: usize,
}

impl<'a> Walk<'a> {
    fn nodes(&self, pair: Pair) -> Option<(&'a Node, &'a Node)> {
        Some((self.reader.node(pair.reader)?, self.writer.node(pair.writer)?))
    }

    fn enter(
        &mut self,
        readers: &[u32],
        writers: &[u32],
        differ: bool,
        from: Option<(u32, u8)>,
    ) -> Result<(), Ambiguity> {
        self.ways += readers.len() * writers.len();
        if self.ways > WAYS_MAX {
            return Err(Ambiguity::TooLarge);
        }
        for (reader, writer) in readers.iter().flat_map(|reader| writers.iter().map(move |writer| (*reader, *writer))) {
            let mut pair = Pair { reader, writer, differ, from };
            let Some((one, other)) = self.nodes(pair) else { continue };
            pair.differ |= one.phase != other.phase;
            if self.seen.insert((reader, writer, pair.differ)) {
                self.pairs.push(pair);
            }
        }
        if self.pairs.len() > PAIRS_MAX { Err(Ambiguity::TooLarge) } else { Ok(()) }
    }

    /// The text that leads to a pair, and what each run reads in it.
    fn witness(&self, last: Pair) -> Witness {
        let (mut pairs, mut text) = (vec![last], Vec::new());
        let mut at = last;
        while let Some((before, byte)) = at.from
            && let Some(pair) = self.pairs.get(before as usize)
        {
            text.push(byte);
            pairs.push(*pair);
            at = *pair;
        }
        text.reverse();
        pairs.reverse();
        let nodes = pairs.iter().filter_map(|pair| self.nodes(*pair));
        let (read, written): (Vec<_>, Vec<_>) = nodes.map(|(reader, writer)| (reader.phase, writer.phase)).unzip();
        Witness { text, read: span(&read), written: span(&written) }
    }
}

/// From the phases before each byte and at the end.
fn span(phases: &[Phase]) -> Option<Span> {
    let first = |wanted| phases.iter().position(|phase| *phase >= wanted);
    Some(Span { start: first(Phase::Inside)?, end: first(Phase::After)? })
}

/// The bytes that both can read, for all that lead to the same nodes one that is good to read, the best first.
fn common_steps<'a>(one: &'a Node, other: &'a Node) -> Vec<(u8, &'a [u32], &'a [u32])> {
    let preferred: &[u8] = if [one.phase, other.phase].contains(&Phase::Inside) { b":0" } else { b"ax0-" };
    let mut steps = Vec::new();
    for (a, b) in one.steps.iter().flat_map(|a| other.steps.iter().map(move |b| (a, b))) {
        let (first, last) = (a.first.max(b.first), a.last.min(b.last));
        if first <= last {
            let rank = preferred.iter().position(|byte| (first..=last).contains(byte)).unwrap_or(preferred.len());
            let byte = preferred.get(rank).copied().unwrap_or(first);
            steps.push((rank, byte, &*a.to, &*b.to));
        }
    }
    steps.sort_by_key(|(rank, ..)| *rank);
    steps.into_iter().map(|(_, byte, a, b)| (byte, a, b)).collect()
}
