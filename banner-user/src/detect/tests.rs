use std::path::Path;

use proptest::{prelude::*, sample::Index};

use super::*;

/// Filters whose patterns are unlike the built-in ones.
const OWN: [&str; 4] = [
    r"
ident = ['*']
nobody = ['x']
[[rule]]
kind = 'failure'
start = ''
pattern = '(?:[a-z]+, )?<NAME>=<ADDR>(?: [a-z]*(?:, user=<USER>)?)?'
example = 'ab, client=192.0.2.1 for, user=bob'
[[rule]]
kind = 'failure'
start = ''
pattern = '<USER> failed <COUNT> times from <ADDR>.*'
example = 'bob failed 3 times from 192.0.2.1 today'
",
    r"
ident = ['*']
bare = true
[[rule]]
kind = 'ignore'
start = '*: '
pattern = '.*health check.*'
example = 'a1: a health check'
[[rule]]
kind = 'failure'
start = '*: '
pattern = '(?:user=(?P<user>[^,]*), )?from <ADDR>'
example = 'a1: user=bob, from 192.0.2.1'
",
    r"
ident = ['*']
bare = true
[[rule]]
kind = 'session'
start = ''
pattern = '<SESSION> opened by <ADDR>\.'
example = 'a1 opened by 192.0.2.1.'
[[rule]]
kind = 'failure'
start = ''
pattern = '<SESSION> failed'
example = 'a1 failed'
",
    r#"
ident = ['*']
[[rule]]
kind = 'failure'
event = 'login'
fields = { from = '\[<ADDR>\]', user = '<USER>' }
example = 'event=login user="a b" from=[192.0.2.1]'
"#,
];

/// The texts of all filters, by name.
fn texts() -> Vec<(String, String)> {
    let built_in = Filter::built_in_names().map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("filters/{name}.toml"));
        (name.to_owned(), std::fs::read_to_string(path).unwrap())
    });
    let own = OWN.iter().enumerate().map(|(index, text)| (format!("own-{index}"), (*text).to_owned()));
    built_in.chain(own).collect()
}

fn detector() -> Detector {
    let filters = texts().iter().map(|(name, text)| Filter::parse(name, text).unwrap()).collect();
    Detector::new(filters, TimeZone::UTC)
}

/// What stands before the message, for each program that a filter names, and nobody.
fn prefixes() -> Vec<String> {
    let idents = texts().into_iter().flat_map(|(_, text)| {
        let filter: toml::Table = toml::from_str(&text).unwrap();
        filter["ident"]
            .as_array()
            .unwrap()
            .iter()
            .map(|ident| ident.as_str().unwrap().replace('*', "a"))
            .collect::<Vec<_>>()
    });
    let mut prefixes: Vec<_> = idents.map(|ident| format!("Nov 22 10:00:00 mail {ident}[1]: ")).collect();
    prefixes.push("2026-11-22 10:00:00 ".to_owned());
    prefixes.sort();
    prefixes.dedup();
    prefixes
}

fn examples() -> Vec<Vec<u8>> {
    let examples = texts().into_iter().flat_map(|(_, text)| {
        let filter: toml::Table = toml::from_str(&text).unwrap();
        let rules = filter["rule"].as_array().unwrap();
        rules.iter().map(|rule| rule["example"].as_str().unwrap().as_bytes().to_vec()).collect::<Vec<_>>()
    });
    examples.collect()
}

#[derive(Clone, Debug)]
enum Edit {
    Insert(Index, Vec<u8>),
    /// A piece of another example.
    Splice(Index, Index, Index, Index),
    Cut(Index, Index),
    Repeat(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..4),
        "[ ,:;=()<>\\[\\]\"]{1,3}".prop_map(String::into_bytes),
        "[0-9A-Fa-f:.]{1,50}".prop_map(String::into_bytes),
        "[a-zA-Z0-9]{1,40}".prop_map(String::into_bytes),
    ];
    prop_oneof![
        (any::<Index>(), piece).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        any::<[Index; 4]>().prop_map(|[at, other, from, to]| Edit::Splice(at, other, from, to)),
        any::<[Index; 2]>().prop_map(|[from, to]| Edit::Cut(from, to)),
        any::<[Index; 2]>().prop_map(|[from, to]| Edit::Repeat(from, to)),
    ]
}

fn edited(mut message: Vec<u8>, edits: &[Edit], examples: &[Vec<u8>]) -> Vec<u8> {
    let range = |one: &Index, other: &Index, length: usize| {
        let (one, other) = (one.index(length + 1), other.index(length + 1));
        one.min(other)..one.max(other)
    };
    for edit in edits {
        let length = message.len();
        match edit {
            Edit::Insert(at, piece) => {
                let at = at.index(length + 1);
                message.splice(at..at, piece.iter().copied());
            }
            Edit::Splice(at, other, from, to) => {
                let (at, other) = (at.index(length + 1), other.get(examples));
                message.splice(at..at, other[range(from, to, other.len())].iter().copied());
            }
            Edit::Cut(from, to) => drop(message.drain(range(from, to, length))),
            Edit::Repeat(from, to) => {
                let range = range(from, to, length);
                let piece = message[range.clone()].to_vec();
                message.splice(range.end..range.end, piece);
            }
        }
    }
    message
}

/// With the automata of the filters that read a program, and without them every rule of every filter by its own regular
/// expression, in order.
struct Both {
    quick: Detector,
    plain: Detector,
}

/// [`Detector::handle`] in as few words as possible.
fn handle_plainly(detector: &mut Detector, line: &[u8], near: WallTime) {
    let Detector { filters, stamps, told, .. } = detector;
    *told = Told::default();
    let Some(Line { stamp, ident, message, .. }) = prefix::parse(first_physical_line(line)) else { return };
    for (place, filter) in filters.iter_mut().enumerate() {
        let finding = filter.find(ident, message);
        told.tell(finding, place, filter.name(), || stamps.resolve(stamp, near));
    }
}

impl Both {
    fn new() -> Self {
        Self { quick: detector(), plain: detector() }
    }

    fn agree(&mut self, line: &[u8]) -> usize {
        let near = WallTime(1_795_344_000_000_000);
        let quick = self.quick.handle(line, near).to_vec();
        handle_plainly(&mut self.plain, line, near);
        assert_eq!(quick, self.plain.told.events, "{}", line.escape_ascii());
        assert_eq!(self.quick.ignored_by(), self.plain.ignored_by(), "{}", line.escape_ascii());
        quick.len()
    }
}

#[test]
fn the_automaton_finds_what_the_rules_find_one_by_one() {
    let (examples, prefixes) = (examples(), prefixes());
    let mut both = Both::new();
    let told: usize = examples.iter().map(|example| both.agree(&[prefixes[1].as_bytes(), example].concat())).sum();
    assert!(told > 0, "the prefix is one that filters read");
    let edits = proptest::collection::vec(edit(), 0..4);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(3_000));
    let both = std::cell::RefCell::new(both);
    runner
        .run(&(any::<Index>(), any::<Index>(), edits), |(prefix, example, edits)| {
            let message = edited(example.get(&examples).clone(), &edits, &examples);
            both.borrow_mut().agree(&[prefix.get(&prefixes).as_bytes(), &message].concat());
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_detector_that_continues_another_knows_its_sessions() {
    let near = WallTime(1_795_344_000_000_000);
    let line = |message: &str| format!("Nov 22 10:00:00 mail smtpd[1]: {message}").into_bytes();
    let (opened, failed) = (line("a1 opened by 192.0.2.1."), line("a1 failed"));
    let named = |names: [&str; 2]| {
        Detector::new(names.iter().map(|name| Filter::parse(name, OWN[2]).unwrap()).collect(), TimeZone::UTC)
    };
    let mut former = named(["kept", "gone"]);
    assert_eq!(former.handle(&opened, near), []);
    let mut detector = named(["new", "kept"]);
    detector.continue_from(former);
    let events = detector.handle(&failed, near);
    assert_eq!(events.iter().map(|event| &**event.filter()).collect::<Vec<_>>(), ["kept"]);
}

#[test]
fn a_detector_that_continues_another_knows_the_connections_of_imported_filters() {
    let near = WallTime(1_795_344_000_000_000);
    let imports = Imports {
        failregex: vec![
            r"^ <F-MLFID>\w+</F-MLFID>: <F-NOFAIL>connect from</F-NOFAIL> <ADDR>$".to_owned(),
            r"^ <F-MLFID>\w+</F-MLFID>: failed$".to_owned(),
        ],
        ..Imports::default()
    };
    let detector = || Detector::new(vec![Filter::imported("mine", &imports).unwrap()], TimeZone::UTC);
    let (mut former, mut continuing) = (detector(), detector());
    assert_eq!(former.handle(b"2026-11-22 10:00:00 a1: connect from 192.0.2.1", near), []);
    assert_eq!(continuing.handle(b"2026-11-22 10:00:00 a1: failed", near), []);
    continuing.continue_from(former);
    assert_eq!(continuing.handle(b"2026-11-22 10:00:00 a1: failed", near).len(), 1);
}

#[test]
fn among_more_programs_than_have_automata_each_filter_reads_its_own() {
    let near = WallTime(1_795_344_000_000_000);
    let rule = "[[rule]]\nkind='failure'\nstart='from '\npattern='<ADDR>'\nexample='from 192.0.2.1'";
    let filter = |index| Filter::parse(&format!("f{index}"), &format!("ident=['p{index}']\n{rule}")).unwrap();
    let mut detector = Detector::new((0..40).map(filter).collect(), TimeZone::UTC);
    for index in 0..40 {
        let events = detector.handle(format!("Nov 22 10:00:00 mail p{index}[1]: from 192.0.2.1").as_bytes(), near);
        let filters: Vec<_> = events.iter().map(|event| event.filter().to_string()).collect();
        assert_eq!(filters, [format!("f{index}")]);
    }
}

#[test]
fn an_entry_that_is_not_believed_leaves_no_trace() {
    let session = Filter::parse("session", OWN[2]).unwrap();
    let (mut detector, near) = (Detector::new(vec![session], TimeZone::UTC), WallTime(1_793_588_645_000_000));
    let writer = |uid| Writer { uid: Some(uid), account: None, executable: None, unit: None };
    let mut handle = |uid, message: &str| {
        let line = format!("2026-11-02T03:04:05Z mail x[1]: {message}");
        let events = detector.handle_entry(line.as_bytes(), near, &writer(uid));
        let sources = events.iter().map(|event| match event {
            Event::Failure(attempt) => attempt.source.to_string(),
            Event::Success(_) | Event::Outage(_) => panic!("{event:?}"),
        });
        sources.collect::<Vec<_>>()
    };
    assert!(handle(0, "a1 opened by 192.0.2.1.").is_empty());
    // A local user opens the session anew, for somebody else, and fails in it.
    assert!(handle(1000, "a1 opened by 203.0.113.9.").is_empty());
    assert!(handle(1000, "a1 failed").is_empty());
    assert_eq!(handle(0, "a1 failed"), ["192.0.2.1"]);
    assert_eq!((detector.refused(), detector.take_refusals().len(), detector.take_refusals().len()), (2, 1, 0));
}
