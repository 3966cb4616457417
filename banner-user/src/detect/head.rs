//! Where the tags of a pattern stand in a text that is known to match it, read from no more of the text than that takes.

use regex_automata::{
    Anchored, Input,
    dfa::onepass,
    nfa::thompson,
    util::{primitives::NonMaxUsize, syntax::parse_with},
};
use regex_syntax::hir::{Dot, Hir, HirKind, Look, Repetition};

use super::pattern::{COMPILED_MAX, syntax};

/// The first parts of a pattern, up to the last tag and as far behind it as it takes for the tags to have one place only.
///
/// `<NAME>\[<ADDR>\]: gave up, .*, retry in .*` is decided behind the `: gave up, `: however the rest is read, name and address
/// stand where they stand.
#[derive(Debug)]
pub(super) struct Head {
    dfa: onepass::DFA,
    cache: onepass::Cache,
    slots: Vec<Option<NonMaxUsize>>,
}

impl Head {
    /// None where only the whole pattern, by all its ways through a text, tells where its tags stand.
    pub(super) fn of(expression: &str) -> Option<Self> {
        let pattern = parse_with(expression, &syntax()).ok()?;
        let parts = match pattern.kind() {
            HirKind::Concat(parts) => parts.as_slice(),
            _ => std::slice::from_ref(&pattern),
        };
        let tagged = |part: &Hir| part.properties().explicit_captures_len() > 0;
        let shortest = parts.iter().rposition(tagged).map_or(0, |last| last + 1);
        (shortest..=parts.len()).find_map(|length| {
            let (head, tail) = parts.split_at_checked(length)?;
            let rest = if tail.is_empty() { Hir::look(Look::End) } else { anything() };
            Self::compile(&Hir::concat(head.iter().cloned().chain([rest]).collect()))
        })
    }

    /// A one-pass DFA exists where every text is matched in one way at most. So, where it exists for the head with anything
    /// behind it, the whole pattern cannot read the head in another way either.
    fn compile(head: &Hir) -> Option<Self> {
        let size = thompson::Config::new().utf8(false).nfa_size_limit(Some(COMPILED_MAX));
        let nfa = thompson::Compiler::new().configure(size).build_from_hir(head).ok()?;
        let config = onepass::DFA::config().size_limit(Some(COMPILED_MAX));
        let dfa = onepass::DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        let slots = vec![None; dfa.get_nfa().group_info().slot_len()];
        Some(Self { cache: dfa.create_cache(), dfa, slots })
    }

    /// Reads a text; false where it starts otherwise.
    pub(super) fn read(&mut self, text: &[u8]) -> bool {
        let input = Input::new(text).anchored(Anchored::Yes).earliest(true);
        matches!(self.dfa.try_search_slots(&mut self.cache, &input, &mut self.slots), Ok(Some(_)))
    }

    /// Where a group of the pattern stood in the last text, from and to.
    pub(super) fn get(&self, group: usize) -> Option<(usize, usize)> {
        match self.slots.get(2 * group..)? {
            [Some(start), Some(end), ..] => Some((start.get(), end.get())),
            _ => None,
        }
    }
}

fn anything() -> Hir {
    Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: Box::new(Hir::dot(Dot::AnyByte)) })
}
