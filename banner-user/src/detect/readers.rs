//! Whose filters read a line: those that read lines of its program, and the rules of these as one automaton.
//!
//! The program decides before the message is looked at: a line of smtpd never walks what Exim's or Roundcube's filters look
//! for, and of the filters of servers that are not there nothing is compiled.

use super::{
    automaton::Automaton,
    filter::Filter,
    ident::{Ident, OwnedIdent},
};

/// Programs that are remembered; beyond, all are forgotten, and those that still write are met again. A mail server has
/// about twenty, of which nearly all lines come from the first few: so they are searched in the order in which they were met.
const PROGRAMS_MAX: usize = 64;

/// Sets of filters that have an automaton of their own; all other sets share one of all filters.
const OWN_AUTOMATA_MAX: usize = 32;

/// The filters by the programs whose lines they read.
#[derive(Debug, Default)]
pub(super) struct Readers {
    programs: Vec<Program>,
    automata: Vec<Shared>,
}

#[derive(Debug)]
struct Program {
    /// None for lines that have no tag.
    ident: Option<OwnedIdent>,
    /// The places of the filters that read its lines.
    filters: Vec<usize>,
    /// The place of the automaton of at least these.
    automaton: usize,
}

/// An automaton, and the places of the filters whose rules it has.
#[derive(Debug)]
struct Shared {
    filters: Vec<usize>,
    /// None where nothing is looked for.
    automaton: Option<Automaton>,
}

impl Readers {
    /// The places of the filters that read this program's lines, and an automaton of at least these; none where each filter is
    /// to be asked by itself. `filters` are the same every time.
    pub(super) fn of(&mut self, ident: Option<Ident<'_>>, filters: &[Filter]) -> (&[usize], Option<&mut Automaton>) {
        let known = self.programs.iter().position(|program| program.is(ident));
        let place = known.unwrap_or_else(|| self.meet(ident, filters));
        let Some(program) = self.programs.get(place) else { return (&[], None) };
        let shared = self.automata.get_mut(program.automaton);
        (&program.filters, shared.and_then(|shared| shared.automaton.as_mut()))
    }

    /// Remembers a program, and says where.
    fn meet(&mut self, ident: Option<Ident<'_>>, filters: &[Filter]) -> usize {
        if self.programs.len() == PROGRAMS_MAX {
            self.programs.clear();
        }
        let reading = filters.iter().enumerate().filter(|(_, filter)| filter.reads(ident));
        let reading: Vec<_> = reading.map(|(place, _)| place).collect();
        let automaton = self.automaton(&reading, filters);
        self.programs.push(Program { ident: ident.map(OwnedIdent::from), filters: reading, automaton });
        self.programs.len() - 1
    }

    /// The place of an automaton of at least these filters.
    fn automaton(&mut self, reading: &[usize], filters: &[Filter]) -> usize {
        if let Some(same) = self.automata.iter().position(|shared| shared.filters == reading) {
            return same;
        }
        let reading: Vec<_> = match self.automata.len() {
            OWN_AUTOMATA_MAX => (0..filters.len()).collect(),
            more if more > OWN_AUTOMATA_MAX => return OWN_AUTOMATA_MAX,
            _ => reading.to_vec(),
        };
        let expressions = reading.iter().filter_map(|place| Some((*place, filters.get(*place)?.expressions())));
        let automaton = if reading.is_empty() { None } else { Automaton::compile(expressions) };
        self.automata.push(Shared { filters: reading, automaton });
        self.automata.len() - 1
    }
}

impl Program {
    fn is(&self, ident: Option<Ident<'_>>) -> bool {
        match (&self.ident, ident) {
            (Some(known), Some(ident)) => known.is(ident),
            (known, ident) => known.is_none() && ident.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Filters that each read one program's lines, besides one that reads all, and know them by a letter.
    fn filters(number: usize) -> Vec<Filter> {
        let rule = |start: &str| {
            format!("[[rule]]\nkind='failure'\nstart='{start}'\npattern='<ADDR>'\nexample='{start}192.0.2.1'")
        };
        let own = (0..number).map(|index| format!("ident=['p{index}']\n{}", rule("a ")));
        let texts = own.chain([format!("ident=['*']\n{}", rule("b "))]);
        texts.map(|text| Filter::parse("mine", &text).unwrap()).collect()
    }

    /// The filters that read a program's lines, and those whose rules match, of which some may be others.
    fn told(readers: &mut Readers, filters: &[Filter], program: &str, message: &str) -> (Vec<usize>, Vec<usize>) {
        let (reading, automaton) = readers.of(Ident::whole(program.as_bytes()), filters);
        let matching = automaton.unwrap().matching(message.as_bytes()).unwrap();
        (reading.to_vec(), matching.iter().map(|rule| rule.filter).collect())
    }

    #[test]
    fn a_program_has_the_rules_of_the_filters_that_read_its_lines() {
        let (mut readers, filters) = (Readers::default(), filters(2));
        for _ in 0..2 {
            assert_eq!(told(&mut readers, &filters, "p0", "a 192.0.2.1"), (vec![0, 2], vec![0]));
            assert_eq!(told(&mut readers, &filters, "p1", "a 192.0.2.1"), (vec![1, 2], vec![1]));
            assert_eq!(told(&mut readers, &filters, "other", "a 192.0.2.1"), (vec![2], vec![]));
            assert_eq!(told(&mut readers, &filters, "another", "b 192.0.2.1"), (vec![2], vec![2]));
            assert!(matches!(readers.of(None, &filters), ([], None)));
            assert!(matches!(readers.of(Ident::without_pid(b"other"), &filters), ([], None)), "without a process id");
            assert_eq!((readers.programs.len(), readers.automata.len()), (6, 4));
        }
    }

    #[test]
    fn more_programs_and_sets_than_are_remembered_are_read_alike() {
        let number = PROGRAMS_MAX + 5;
        let (mut readers, filters) = (Readers::default(), filters(number));
        for index in (0..number).chain(0..number) {
            let (reading, matching) = told(&mut readers, &filters, &format!("p{index}"), "a 192.0.2.1");
            assert_eq!(reading, [index, number]);
            assert!(matching.contains(&index));
        }
        assert!(readers.programs.len() <= PROGRAMS_MAX);
        assert_eq!(readers.automata.len(), OWN_AUTOMATA_MAX + 1);
    }
}
