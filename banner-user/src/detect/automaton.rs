//! The rules of all filters as one automaton: which of them a message matches is told in one pass over its bytes, and for
//! nearly every message in its first few, after which no rule goes on.
//!
//! It is a lazy DFA: a state is made when a message first leads to it, in memory that is bounded and starts anew when it is
//! full. A message that makes states faster than it is read is given up, as is every set of rules that is too large: then
//! each rule is asked by itself, which finds the same, slower. Either way the cost is linear in the message's length.

use regex_automata::{
    Anchored, Input, MatchKind,
    hybrid::dfa::{Cache, DFA},
    nfa::thompson::{self, WhichCaptures},
};

use super::pattern::{SET_MAX, syntax, whole};

/// What the states may take of memory, in bytes.
const STATES_MAX: usize = 16 << 20;
/// So often the states are forgotten for want of room before a message can be given up ...
const FORGOTTEN_MIN: usize = 3;
/// ... which then happens where fewer bytes than this are read for each state that is made.
const BYTES_PER_STATE_MIN: usize = 10;

/// A rule by its places: its filter among the filters, itself in its filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleId {
    pub(super) filter: usize,
    pub(super) rule: usize,
}

/// Tells the rules that a message matches.
#[derive(Debug)]
pub(super) struct Automaton {
    dfa: DFA,
    states: Cache,
    /// Whose each expression is.
    rules: Vec<RuleId>,
    /// What the last message matched. Kept, so that no message allocates.
    matching: Vec<RuleId>,
}

impl Automaton {
    /// Of each filter the expressions of its rules, in their order. None where they are too large together.
    pub(super) fn compile(filters: impl IntoIterator<Item = Vec<String>>) -> Option<Self> {
        let mut rules = Vec::new();
        let mut expressions = Vec::new();
        for (filter, of_rules) in filters.into_iter().enumerate() {
            for (rule, expression) in of_rules.iter().enumerate() {
                rules.push(RuleId { filter, rule });
                expressions.push(whole(expression));
            }
        }
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(STATES_MAX)
            .minimum_cache_clear_count(Some(FORGOTTEN_MIN))
            .minimum_bytes_per_state(Some(BYTES_PER_STATE_MIN));
        let size =
            thompson::Config::new().utf8(false).which_captures(WhichCaptures::None).nfa_size_limit(Some(SET_MAX));
        let dfa = DFA::builder().configure(config).syntax(syntax()).thompson(size).build_many(&expressions).ok()?;
        Some(Self { states: dfa.create_cache(), dfa, rules, matching: Vec::new() })
    }

    /// The rules that the whole of a message matches, in the order of the filters and of their rules. None where it was given
    /// up.
    pub(super) fn matching(&mut self, message: &[u8]) -> Option<&[RuleId]> {
        let Self { dfa, states, rules, matching } = self;
        matching.clear();
        states.search_start(0);
        let start = Input::new(message).anchored(Anchored::Yes);
        let mut state = dfa.start_state_forward(states, &start).ok()?;
        let mut bytes = message.iter();
        while let Some(byte) = bytes.next() {
            let mut next = dfa.next_state(states, state, *byte).ok()?;
            while next == state {
                let Some(byte) = bytes.next() else { break };
                next = dfa.next_state(states, state, *byte).ok()?;
            }
            states.search_update(message.len() - bytes.len());
            if next.is_dead() {
                return Some(&[]);
            }
            state = next;
        }
        let end = dfa.next_eoi_state(states, state).ok()?;
        if end.is_match() {
            let patterns = (0..dfa.match_len(states, end)).map(|index| dfa.match_pattern(states, end, index));
            matching.extend(patterns.filter_map(|pattern| rules.get(pattern.as_usize())));
            matching.sort_unstable();
        }
        Some(matching)
    }
}
