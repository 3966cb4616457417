//! An expression as an automaton of bytes that knows, wherever it is, whether one of the expression's groups is still to
//! come, being read or over.

use std::{collections::HashMap, rc::Rc};

use regex_automata::{
    PatternID,
    nfa::thompson::{Compiler, NFA, State, WhichCaptures},
    util::primitives::StateID,
};
use regex_syntax::hir::Hir;

use super::Ambiguity;

/// What the compiled expression may take of memory, in bytes.
const COMPILED_MAX: usize = 1 << 20;
/// The most successors of all nodes together.
const SUCCESSORS_MAX: usize = 1 << 20;

/// Where a run is with the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Phase {
    Before,
    Inside,
    After,
}

/// The automaton. Its runs over a text, from one of the first nodes to one that ends, are the ways in which the whole text
/// matches.
#[derive(Debug)]
pub(super) struct Automaton {
    nodes: Vec<Node>,
    first: Rc<[u32]>,
}

/// What is ready to read the next byte, or has come to the end.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) phase: Phase,
    /// The text can end here, and only here.
    pub(super) ends: bool,
    /// In the order of their bytes, none twice.
    pub(super) steps: Vec<Step>,
}

/// Where it goes on, for some bytes.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) first: u8,
    pub(super) last: u8,
    pub(super) to: Rc<[u32]>,
}

impl Automaton {
    /// For the group of this name, which is in no repetition.
    pub(super) fn compile(expression: &Hir, group: &str) -> Result<Self, Ambiguity> {
        let config = NFA::config().utf8(false).nfa_size_limit(Some(COMPILED_MAX)).which_captures(WhichCaptures::All);
        let nfa = Compiler::new().configure(config).build_from_hir(expression).map_err(|_| Ambiguity::TooLarge)?;
        let info = nfa.group_info();
        let slots = info.to_index(PatternID::ZERO, group).and_then(|index| info.slots(PatternID::ZERO, index));
        let mut building = Building {
            slots,
            nodes: HashMap::new(),
            found: Vec::new(),
            closures: HashMap::new(),
            successors: 0,
            nfa: &nfa,
        };
        let first = building.closure(nfa.start_anchored(), Phase::Before)?;
        let mut nodes = Vec::new();
        while let Some((state, phase)) = building.found.get(nodes.len()).copied() {
            nodes.push(building.node(state, phase)?);
        }
        Ok(Self { nodes, first })
    }

    /// Where a run can be before it has read anything.
    pub(super) fn first(&self) -> &[u32] {
        &self.first
    }

    /// A node by its number, which came from here.
    pub(super) fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)
    }
}

struct Building<'n> {
    nfa: &'n NFA,
    /// Where the group starts and ends, as the NFA numbers it; none where the expression does not have it.
    slots: Option<(usize, usize)>,
    nodes: HashMap<(StateID, Phase), u32>,
    /// What the nodes stand for, by their number.
    found: Vec<(StateID, Phase)>,
    closures: HashMap<(StateID, Phase), Rc<[u32]>>,
    successors: usize,
}

impl Building<'_> {
    fn node(&mut self, state: StateID, phase: Phase) -> Result<Node, Ambiguity> {
        let nfa = self.nfa;
        let mut steps = Vec::new();
        let mut step = |first, last, next| -> Result<(), Ambiguity> {
            steps.push(Step { first, last, to: self.closure(next, phase)? });
            Ok(())
        };
        let mut ends = false;
        match nfa.state(state) {
            State::ByteRange { trans } => step(trans.start, trans.end, trans.next)?,
            State::Sparse(sparse) => {
                sparse.transitions.iter().try_for_each(|trans| step(trans.start, trans.end, trans.next))?;
            }
            State::Dense(dense) => (u8::MIN..=u8::MAX)
                .filter_map(|byte| Some((byte, dense.matches_byte(byte)?)))
                .try_for_each(|(byte, next)| step(byte, byte, next))?,
            State::Match { .. } => ends = true,
            State::Look { .. }
            | State::Union { .. }
            | State::BinaryUnion { .. }
            | State::Capture { .. }
            | State::Fail => {}
        }
        Ok(Node { phase, ends, steps })
    }

    /// The nodes that can be reached without reading a byte.
    fn closure(&mut self, state: StateID, phase: Phase) -> Result<Rc<[u32]>, Ambiguity> {
        if let Some(known) = self.closures.get(&(state, phase)) {
            return Ok(Rc::clone(known));
        }
        let nfa = self.nfa;
        let mut reached = Vec::new();
        let mut seen = std::collections::HashSet::from([(state, phase)]);
        let mut open = vec![(state, phase)];
        while let Some((at, phase_there)) = open.pop() {
            let mut go = |next, phase| {
                if seen.insert((next, phase)) {
                    open.push((next, phase));
                }
            };
            match nfa.state(at) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) | State::Match { .. } => {
                    reached.push(self.number(at, phase_there)?);
                }
                State::Look { next, .. } => go(*next, phase_there),
                State::Union { alternates } => alternates.iter().rev().for_each(|next| go(*next, phase_there)),
                State::BinaryUnion { alt1, alt2 } => [*alt2, *alt1].into_iter().for_each(|next| go(next, phase_there)),
                State::Capture { next, slot, .. } => go(
                    *next,
                    match self.slots {
                        Some((start, _)) if slot.as_usize() == start => Phase::Inside,
                        Some((_, end)) if slot.as_usize() == end => Phase::After,
                        _ => phase_there,
                    },
                ),
                State::Fail => {}
            }
        }
        self.successors += reached.len();
        if self.successors > SUCCESSORS_MAX {
            return Err(Ambiguity::TooLarge);
        }
        let reached: Rc<[u32]> = reached.into();
        self.closures.insert((state, phase), Rc::clone(&reached));
        Ok(reached)
    }

    fn number(&mut self, state: StateID, phase: Phase) -> Result<u32, Ambiguity> {
        let next = u32::try_from(self.found.len()).map_err(|_| Ambiguity::TooLarge)?;
        let number = *self.nodes.entry((state, phase)).or_insert(next);
        if number == next {
            self.found.push((state, phase));
        }
        Ok(number)
    }
}
