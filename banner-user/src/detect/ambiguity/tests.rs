use proptest::prelude::*;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Capture, Class, ClassBytes, ClassBytesRange, HirKind, Look, Repetition};

use super::{walk::Span, *};
use crate::detect::{Filter, FilterError, pattern::Pattern};

/// What is said of a pattern with tags, as that of a whole message.
fn checked(pattern: &str) -> Result<(), Ambiguity> {
    Description::of_message(Pattern::compile(pattern).unwrap().expression())?.check()
}

/// Rules of built-in filters that the check refuses, each with the reason why it cannot be deceived nevertheless: something
/// about the server that a pattern cannot say.
const TRUSTED: &[(&str, usize, &str)] = &[
    ("dovecot", 3, "a client's text stands in user=<> alone, whose `>` ends what may stand before and behind"),
    ("dovecot", 4, "as in rule 3; before the count stands what the server says happened"),
    ("dovecot", 5, "as in rule 3; behind the address there is no `>`, so that the one before it is the last"),
    ("dovecot", 6, "as in rule 3"),
    ("dovecot", 7, "as in rule 3"),
    ("exim", 5, "a sender with a space is quoted, and a quote is refused"),
    ("roundcube", 5, "rule 1 ignores a message with two such places"),
    ("roundcube", 6, "rule 2 ignores a message with two such places"),
    ("roundcube", 8, "rule 7 ignores a message with two such places"),
    ("roundcube", 9, "rule 7 ignores a message with two such places"),
    ("roundcube", 12, "rule 11 ignores a message with two such places"),
    ("roundcube", 13, "rule 11 ignores a message with two such places"),
    ("roundcube", 15, "the user has just logged in, under a name that exists and has no space"),
    ("roundcube", 16, "the user has just logged in, under a name that exists and has no space"),
];

#[test]
fn no_built_in_filter_can_be_deceived() {
    for name in Filter::built_in_names() {
        let refused = Filter::built_in(name).unwrap().check();
        let place = |error: &FilterError| {
            let FilterError::Rule { rule, .. } = error else { panic!("{error}") };
            *rule
        };
        for error in &refused {
            assert!(TRUSTED.iter().any(|(filter, rule, _)| (*filter, *rule) == (name, place(error))), "{error}");
        }
        for (_, rule, _) in TRUSTED.iter().filter(|(filter, ..)| *filter == name) {
            assert!(refused.iter().any(|error| place(error) == *rule), "{name}, rule {rule} is not refused any more");
        }
    }
}

#[test]
fn what_a_client_cannot_move_is_accepted() {
    for pattern in [
        // Nothing before the address is the client's.
        r"<NAME>\[<ADDR>\]: SASL <MECH> authentication failed: .*",
        r"(?:<NAME> )?\[<ADDR>\] .*",
        r"<SESSION> smtp connected address=<ADDR> host=.*",
        r"from <ADDR>",
        r"from <ADDR> .*",
        r"<ADDR>:[0-9]+: .*",
        // Nothing behind it is, up to the end.
        r"login failed for <USER> from <ADDR>",
        r"login failed for '<USER>' from <ADDR> port [0-9]+ ssh2",
        r"user=<.*>, rip=<ADDR>, lip=[0-9A-Fa-f.:]+",
        r"failed: .*\[<ADDR>\](?::[0-9]+)?",
        // It is on both sides, and whatever it says, the line is read rightly or not at all.
        r"user=<[^>]*>, rip=<ADDR>, session=<[^>]*>",
        r"x[^\[]*\[<ADDR>\]: [^\[]*",
        // The address of one alternative or of the other.
        r"from (?:<NAME> )?(?:\[<ADDR>\]|unix socket)",
        // Counts and sessions that a client cannot move.
        r"auth failed, <COUNT> attempts in [0-9]+ secs, user=<[^>]*>, rip=<ADDR>",
        r"<SESSION> smtp failed-command command=.*",
        // What the message is, is said before free text begins.
        r"[0-9A-F]+: (?i:failed) for .* from <ADDR>",
        r"(?:<NAME>: failed|refused) .* from <ADDR>",
        "x",
    ] {
        assert_eq!(checked(pattern), Ok(()), "{pattern}");
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_with_such_a_message() {
    for (pattern, one, other) in [
        (r"x.*\[<ADDR>\].*", "`x[<ADDR>][::]`", "`x[::][<ADDR>]`"),
        (r"x<ADDR>(?::[0-9]+)?", "`x<ADDR>`", "`x<ADDR>:0`"),
        (r"x\S*\[<ADDR>\]\S*", "`x[<ADDR>][::]`", "`x[::][<ADDR>]`"),
        (r"<NAME><ADDR>", "`a<ADDR>`", "`a0<ADDR>`"),
        // The colon would be taken for a part of the address, which it then would not be.
        (r"from <ADDR>[: ].*", "`from <ADDR> `", "`from <ADDR>: `"),
        (r"x(?: from <ADDR>)?.*", "`x from <ADDR>`", "`x from ::` without <ADDR>"),
        (r"x(?P<address>[0-9a-f:.]+):?[0-9]*", "`x<ADDR>`", "`x<ADDR>:`"),
    ] {
        let Err(Ambiguity::TwoReadings { tag: "<ADDR>", one: first, other: second }) = checked(pattern) else {
            panic!("{pattern}: {:?}", checked(pattern))
        };
        assert!([(one, other), (other, one)].contains(&(&*first, &*second)), "{pattern}: {first} {second}");
    }
}

#[test]
fn what_is_certain_only_because_a_client_is_believed_is_refused() {
    for (pattern, written, read) in [
        (r"x[^\[]*\[<ADDR>\].*", "`x[::][<ADDR>]`", "`x[<ADDR>][::]`"),
        (
            r"user=(?P<user>[a-z]+) from <ADDR>, .*",
            "`user=a from ::, from <ADDR>, `",
            "`user=a from <ADDR>, from ::, `",
        ),
        (r"for [a-z ]+ at <ADDR>, .*", "`for a at ::, at <ADDR>, `", "`for a at <ADDR>, at ::, `"),
        (r"for [^@ ]+ at <ADDR>, .*", "`for a at ::, at <ADDR>, `", "`for a at <ADDR>, at ::, `"),
        (r"for [a-z.@]+ at <ADDR>, .*", "`for a at ::, at <ADDR>, `", "`for a at <ADDR>, at ::, `"),
        (r"for [^ ]+ \[<ADDR>\]: .*", "`for a [::]: [<ADDR>]: `", "`for a [<ADDR>]: [::]: `"),
    ] {
        let Err(Ambiguity::FreeText { tag: "<ADDR>", written: there, read: here }) = checked(pattern) else {
            panic!("{pattern}: {:?}", checked(pattern))
        };
        assert_eq!((&*there, &*here), (written, read), "{pattern}");
    }
}

#[test]
fn other_reasons_have_their_own_words() {
    assert_eq!(checked(".* from <ADDR>"), Err(Ambiguity::AnyStart));
    assert_eq!(checked("(?:[^ ]+ )?from <ADDR>"), Err(Ambiguity::AnyStart));
    assert_eq!(checked("(?:[^ ]+ )+from <ADDR>"), Err(Ambiguity::AnyStart));
    assert_eq!(checked("x?(?:[^ ]+ )+from <ADDR>"), Err(Ambiguity::AnyStart));
    assert_eq!(checked("<USER> from <ADDR>"), Err(Ambiguity::AnyStart));
    assert_eq!(checked("<NAME> .* from <ADDR>"), Err(Ambiguity::AnyStart));
    assert_eq!(checked("[0-9A-F]+: .* from <ADDR>"), Err(Ambiguity::AnyStart));
    assert_eq!(checked("(?:failed )?<NAME>: .* from <ADDR>"), Err(Ambiguity::AnyStart));
    assert_eq!(checked("(?:failed|[a-z]+) .* from <ADDR>"), Err(Ambiguity::AnyStart));
    assert_eq!(checked("(?:x<ADDR>)+"), Err(Ambiguity::Repeated("<ADDR>")));
    assert!(matches!(checked("x.*<SESSION>.*"), Err(Ambiguity::TwoReadings { tag: "<SESSION>", .. })));
    assert!(matches!(checked("<ADDR> .*<COUNT>.*"), Err(Ambiguity::TwoReadings { tag: "<COUNT>", .. })));
    assert_eq!(checked("<ADDR>(?:a?){9000}"), Err(Ambiguity::TooLarge));
    assert_eq!(checked("[ab]{0,1200}[ab]{0,1200}-<ADDR>"), Err(Ambiguity::TooLarge));
}

#[test]
fn a_value_may_begin_with_any_text() {
    let expression = Pattern::compile(r".*\[<ADDR>\]").unwrap().expression().to_owned();
    assert_eq!(Description::of_value(&expression).unwrap().check(), Ok(()));
}

#[test]
fn a_rule_does_not_read_the_messages_of_another_in_its_own_way() {
    let description = |pattern: &str| Description::of_message(Pattern::compile(pattern).unwrap().expression()).unwrap();
    let loose_end = description("failed for .* from <ADDR>");
    let reason = description("failed for <NAME> from <ADDR>, reason .*");
    let Err(Ambiguity::OtherRule { tag: "<ADDR>", rule: 2, read, written }) = loose_end.check_beside(&reason, 2) else {
        panic!()
    };
    assert_eq!(written, "`failed for a from <ADDR>, reason from ::`");
    assert_eq!(read, "`failed for a from ::, reason from <ADDR>`");
    // The other way round a client may call itself `a from ::, reason`.
    assert!(matches!(reason.check_beside(&loose_end, 1), Err(Ambiguity::OtherRule { rule: 1, .. })));
    assert_eq!(description("other .* from <ADDR>").check_beside(&reason, 2), Ok(()));
}

#[test]
fn a_rule_does_not_find_in_the_messages_of_another_what_that_has_not() {
    let description = |pattern: &str| Description::of_message(Pattern::compile(pattern).unwrap().expression()).unwrap();
    // Of the second a client is called `a from ::`.
    let address = description("in [0-9a-f]+ failed for .* from <ADDR>");
    let session = description("in <SESSION> failed for <USER>");
    assert_eq!((address.check(), session.check()), (Ok(()), Ok(())));
    let Err(Ambiguity::OtherRule { tag: "<ADDR>", read, written, .. }) = address.check_beside(&session, 2) else {
        panic!()
    };
    assert_eq!(read, "`in a failed for  from <ADDR>`");
    assert_eq!(written, "`in a failed for  from ::` without <ADDR>");
    // And of the first one `a, 9 times`.
    let once = description("<ADDR> failed for .*");
    let often = description("<ADDR> failed for .*, <COUNT> times");
    assert!(matches!(often.check_beside(&once, 1), Err(Ambiguity::OtherRule { tag: "<COUNT>", .. })));
    assert_eq!(once.check_beside(&often, 2), Ok(()));
}

#[test]
fn of_two_rules_that_do_not_fit_the_one_that_is_deceived_is_refused_whatever_their_order() {
    let rule = |pattern: &str, example: &str| {
        format!("[[rule]]\nkind='failure'\nstart='failed for '\npattern='{pattern}'\nexample='failed for {example}'\n")
    };
    // What a client writes behind the address has no space in honest lines, but may have.
    let deceived = rule(".* from <ADDR>", "x from 192.0.2.1");
    let sound = rule("<NAME> from <ADDR>, [^ ]*", "x from 192.0.2.1, y");
    for (rules, place, other) in [([&deceived, &sound], 1, 2), ([&sound, &deceived], 2, 1)] {
        let filter = Filter::parse("mine", &format!("ident=['x']\n{}{}", rules[0], rules[1])).unwrap();
        let [FilterError::Rule { rule, fault, .. }] = &filter.check()[..] else { panic!("{:?}", filter.check()) };
        assert_eq!(*rule, place);
        assert!(fault.to_string().contains(&format!("a message of rule {other} in another way")), "{fault}");
    }
}

/// Tells where an expression can have its address in a text. Not by the automata: the address stands between two bytes that
/// nothing else of the expression takes, so that the regex engine has no other place for it.
struct Oracle {
    with_address: Regex,
    without: Regex,
}

impl Oracle {
    fn new(expression: &Hir) -> Self {
        let regex = |has_address| {
            let whole =
                Hir::concat(vec![Hir::look(Look::Start), marked(expression, has_address), Hir::look(Look::End)]);
            RegexBuilder::new(&whole.to_string()).unicode(false).build().unwrap()
        };
        Self { with_address: regex(true), without: regex(false) }
    }

    fn matches_at(&self, text: &[u8], place: Option<Span>) -> bool {
        let Some(Span { start, end }) = place else { return self.without.is_match(text) };
        self.with_address.is_match(&[&text[..start], b"<", &text[start..end], b">", &text[end..]].concat())
    }
}

fn marked(expression: &Hir, has_address: bool) -> Hir {
    let recurse = |part: &Hir| marked(part, has_address);
    match expression.kind() {
        HirKind::Capture(_) if !has_address => Hir::fail(),
        HirKind::Capture(Capture { sub, .. }) => {
            Hir::concat(vec![Hir::literal(*b"<"), (**sub).clone(), Hir::literal(*b">")])
        }
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { sub: Box::new(recurse(&repetition.sub)), ..repetition.clone() })
        }
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(recurse).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(recurse).collect()),
        HirKind::Class(Class::Bytes(class)) => {
            let mut class = class.clone();
            class.difference(&ClassBytes::new([b'<', b'>'].map(|mark| ClassBytesRange::new(mark, mark))));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Class(Class::Unicode(_)) | HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) => {
            expression.clone()
        }
    }
}

/// Every place in a text of this length, and none.
fn places(length: usize) -> impl Iterator<Item = Option<Span>> {
    let span = move |start| (start..=length).map(move |end| Some(Span { start, end }));
    (0..=length).flat_map(span).chain([None])
}

/// All texts of a few letters.
fn texts() -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    for start in 0.. {
        let Some(text) = all.get(start).filter(|text| text.len() < 4).cloned() else { return all };
        all.extend(b"a 0".iter().map(|letter| [&text[..], &[*letter]].concat()));
    }
    all
}

/// Patterns over few letters, with an address of one or two zeros.
fn pattern() -> impl Strategy<Value = String> {
    let part = || {
        let class = prop_oneof![Just("a"), Just("0"), Just(" "), Just("."), Just("[^0]"), Just("[0a]"), Just("[^ ]")];
        let times = prop_oneof![3 => Just(""), 1 => Just("*"), 1 => Just("?"), 1 => Just("+"), 1 => Just("{0,2}")];
        let atom = (class, times).prop_map(|(class, times)| format!("{class}{times}"));
        proptest::collection::vec(atom, 0..4).prop_map(|atoms| atoms.concat())
    };
    (part(), part(), part(), part(), prop_oneof![Just(""), Just("?")]).prop_map(
        |(before, or, middle, behind, times)| {
            format!("(?:{before}|{or})(?:{middle}(?P<address>0{{1,2}})){times}{behind}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_witness_is_real_and_where_there_is_none_no_text_is_read_in_two_ways(pattern in pattern()) {
        let (exact, loose) = exact_and_loose(&pattern).unwrap();
        let automata = [&exact, &loose].map(|hir| Automaton::compile(hir, "address").unwrap());
        let [exact, loose] = [&exact, &loose].map(Oracle::new);
        for (writer, writer_automaton) in [(&exact, &automata[0]), (&loose, &automata[1])] {
            if let Some(Witness { text, read, written }) = disagreement(&automata[0], writer_automaton).unwrap() {
                prop_assert_ne!(read, written);
                prop_assert!(exact.matches_at(&text, read), "{:?} {:?}", text, read);
                prop_assert!(writer.matches_at(&text, written), "{:?} {:?}", text, written);
                continue;
            }
            for text in texts() {
                let reads: Vec<_> = places(text.len()).filter(|place| exact.matches_at(&text, *place)).collect();
                for read in reads {
                    for written in places(text.len()).filter(|place| *place != read) {
                        prop_assert!(!writer.matches_at(&text, written), "{:?} {:?} {:?}", text, read, written);
                    }
                }
            }
        }
    }
}

#[test]
fn the_number_of_rules_that_are_compared_is_bounded() {
    let text = |rules: usize| {
        let rule = |number| {
            format!("[[rule]]\nkind='failure'\nstart='r{number} '\npattern='<ADDR>'\nexample='r{number} 192.0.2.1'\n")
        };
        format!("ident=['x']\n{}", (0..rules).map(rule).collect::<String>())
    };
    assert_eq!(Filter::parse("mine", &text(200)).unwrap().check(), []);
    let refused = Filter::parse("mine", &text(201)).unwrap().check();
    assert_eq!(refused, [FilterError::TooManyRules { name: "mine".to_owned(), most: 200 }]);
}
