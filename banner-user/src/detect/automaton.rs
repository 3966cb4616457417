//! The rules of several filters as one automaton: which of them a message matches is told in one pass over its bytes, and for
//! nearly every message in its first few, after which no rule goes on.
//!
//! It is a lazy DFA: a state is made when a message first leads to it, in memory that is bounded and starts anew when it is
//! full. A message that makes states faster than it is read is given up: then each rule is asked by itself, which finds the
//! same, slower. Either way the cost is linear in the message's length.

use regex_automata::{
    Anchored, Input, MatchKind,
    hybrid::{
        LazyStateID,
        dfa::{Cache, DFA},
    },
    nfa::thompson::{self, WhichCaptures},
};

use super::pattern::{syntax, whole};

/// What the states may take of memory, in bytes.
const STATES_MAX: usize = 8 << 20;
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
    /// Of each filter its place and the expressions of its rules, in their order. They are not too large together: each
    /// filter's were measured when it was read. None where a filter is one that cannot be read.
    pub(super) fn compile(filters: impl IntoIterator<Item = (usize, Vec<String>)>) -> Option<Self> {
        let mut rules = Vec::new();
        let mut expressions = Vec::new();
        for (filter, of_rules) in filters {
            for (rule, expression) in of_rules.iter().enumerate() {
                rules.push(RuleId { filter, rule });
                expressions.push(whole(expression));
            }
        }
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(STATES_MAX)
            // Or what a handful of states takes, if that is more.
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(FORGOTTEN_MIN))
            .minimum_bytes_per_state(Some(BYTES_PER_STATE_MIN));
        let no_captures = thompson::Config::new().utf8(false).which_captures(WhichCaptures::None);
        let dfa =
            DFA::builder().configure(config).syntax(syntax()).thompson(no_captures).build_many(&expressions).ok()?;
        Some(Self { states: dfa.create_cache(), dfa, rules, matching: Vec::new() })
    }

    /// The rules that the whole of a message matches, in the order of the filters and of their rules. None where it was given
    /// up.
    pub(super) fn matching(&mut self, message: &[u8]) -> Option<&[RuleId]> {
        let Some(end) = walk(&self.dfa, &mut self.states, message) else {
            // The next message starts with room for its states.
            self.dfa.reset_cache(&mut self.states);
            return None;
        };
        let Self { dfa, states, rules, matching } = self;
        matching.clear();
        if end.is_match() {
            let patterns = (0..dfa.match_len(states, end)).map(|index| dfa.match_pattern(states, end, index));
            matching.extend(patterns.filter_map(|pattern| rules.get(pattern.as_usize())));
            matching.sort_unstable();
        }
        Some(matching)
    }
}

/// The state that the whole of a message leads to, or the dead one. None where the message is given up.
fn walk(dfa: &DFA, states: &mut Cache, message: &[u8]) -> Option<LazyStateID> {
    states.search_start(0);
    let mut state = dfa.start_state_forward(states, &Input::new(message).anchored(Anchored::Yes)).ok()?;
    let mut bytes = message.iter();
    while let Some(byte) = bytes.next() {
        let mut next = dfa.next_state(states, state, *byte).ok()?;
        // Most bytes, those of names and addresses, lead from a state to itself. As a branch, which the processor foretells,
        // that costs a third of waiting for each state to be loaded.
        while next == state {
            let Some(byte) = bytes.next() else { break };
            next = dfa.next_state(states, state, *byte).ok()?;
        }
        if next.is_dead() {
            return Some(next);
        }
        states.search_update(message.len() - bytes.len());
        state = next;
    }
    dfa.next_eoi_state(states, state).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn automaton(filters: &[&[&str]]) -> Automaton {
        let expressions = |filter: &&[&str]| filter.iter().map(|expression| (*expression).to_owned()).collect();
        Automaton::compile(filters.iter().map(expressions).enumerate()).unwrap()
    }

    #[test]
    fn all_rules_that_match_a_whole_message_are_told_in_their_order() {
        let mut automaton = automaton(&[&["a.*", "b"], &[], &[".*c", "", "[a-c]+"]]);
        let mut matching = |message: &[u8]| {
            let rules = automaton.matching(message).unwrap();
            rules.iter().map(|rule| (rule.filter, rule.rule)).collect::<Vec<_>>()
        };
        assert_eq!(matching(b"ac"), [(0, 0), (2, 0), (2, 2)]);
        assert_eq!(matching(b"b"), [(0, 1), (2, 2)]);
        assert_eq!(matching(b""), [(2, 1)]);
        assert_eq!(matching(b"b\n"), []);
        assert_eq!(matching(b"a\xff\n"), [(0, 0)]);
    }

    #[test]
    fn no_number_of_filters_is_too_large() {
        // Together more than the 8 MiB that one filter may take.
        let filter: Vec<_> = (b'a'..=b'z').map(|letter| format!("(?:{}.{{40}}){{40}}", char::from(letter))).collect();
        let mut automaton = Automaton::compile((0..20).map(|place| (place, filter.clone()))).unwrap();
        let message = format!("c{}", "x".repeat(40)).repeat(40);
        let matching = automaton.matching(message.as_bytes()).unwrap();
        assert_eq!(matching, (0..20).map(|filter| RuleId { filter, rule: 2 }).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_that_makes_too_many_states_is_given_up_and_the_next_is_not() {
        // Each state remembers where in the last 40 bytes there was an `a`: no two are alike.
        let mut automaton = automaton(&[&["[ab]*a[ab]{40}"], &["c.*"]]);
        let mut seed: u64 = 1;
        let message: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if seed >> 63 == 0 { b'a' } else { b'b' }
        })
        .take(1 << 20)
        .collect();
        assert_eq!(automaton.matching(&message), None);
        assert!(automaton.states.memory_usage() <= 2 * STATES_MAX);
        assert_eq!(automaton.matching(b"cd"), Some(&[RuleId { filter: 1, rule: 0 }][..]));
    }
}
