use super::*;

/// A filter of some failregex, with prefregex and ignoreregex, if any.
fn imports(prefregex: &str, failregex: &[&str], ignoreregex: &str) -> Imports {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Imports {
        prefregex: given(prefregex),
        failregex: failregex.iter().map(|&text| text.to_owned()).collect(),
        ignoreregex: given(ignoreregex).into_iter().collect(),
        datepattern: Vec::new(),
        names: true,
    }
}

fn one(failregex: &str) -> Imported {
    Imported::compile(&imports("", &[failregex], "")).unwrap_or_else(|error| panic!("{failregex}: {error}"))
}

/// What the text behind a stamp says: an address and a user, or why nothing.
fn said(filter: &mut Imported, text: &[u8]) -> String {
    let line = [b"Nov  2 03:04:05", text].concat();
    match filter.find(&line) {
        None => "nothing".to_owned(),
        Some(Outcome::GaveUp) => "gave up".to_owned(),
        Some(Outcome::Found(Finding::Failure { source, user: Some(user), weight: Weight::ONE }, _)) => {
            format!("{source} {user}")
        }
        Some(Outcome::Found(Finding::Failure { source, user: None, weight: Weight::ONE }, _)) => source.to_string(),
        Some(Outcome::Found(finding, _)) => format!("{finding:?}"),
    }
}

#[test]
fn patterns_search_in_the_line_without_its_time() {
    for (pattern, text, expected) in [
        ("^ mail x: <HOST>$", " mail x: 192.0.2.1", "192.0.2.1"),
        ("from <HOST>", " mail x: bad from 192.0.2.1 now", "192.0.2.1"),
        ("^from <HOST>", " mail x: bad from 192.0.2.1 now", "nothing"),
        (r"\[<HOST>\]", " x[::ffff:192.0.2.1]", "192.0.2.1"),
        (r"\[<HOST>\]", " x[2001:db8::1]", "2001:db8::1"),
        (r"<HOST>,", " x [2001:db8::1],", "2001:db8::1"),
        ("^ <ADDR>:", " ::1:", "::1"),
        ("^ <IP6>$", " 2001:db8::", "2001:db8::"),
        ("^ <IP4>$", " 2001:db8::", "nothing"),
        (r"^ <F-USER>\S+</F-USER> <HOST>", " alice 192.0.2.1", "192.0.2.1 alice"),
        (r"^ (?:<F-USER>a</F-USER>|<F-ALT_USER>\S+</F-ALT_USER>) <HOST>", " bob 192.0.2.1", "192.0.2.1 bob"),
        (r"^ <F-PORT/> <HOST>", " smtp 192.0.2.1", "192.0.2.1"),
        // What `$` and `\s` see at the end of a line.
        (r"^ <HOST>\s", " 192.0.2.1", "192.0.2.1"),
        (r"^ <HOST>$", " 192.0.2.1 ", "nothing"),
        (r"^ x(?! ok) from <HOST>", " x from 192.0.2.1", "192.0.2.1"),
        (r"^ x(?! from) from <HOST>", " x from 192.0.2.1", "nothing"),
        (r"^ (?P<e>\w+) <HOST> (?P=e)$", " a 192.0.2.1 a", "192.0.2.1"),
        (r"^ (?P<e>\w+) <HOST> (?P=e)$", " a 192.0.2.1 b", "nothing"),
    ] {
        assert_eq!(said(&mut one(pattern), text.as_bytes()), expected, "{pattern}");
    }
}

#[test]
fn nobody_counts_who_is_not_surely_named() {
    for (pattern, text) in [
        // A name, whoever resolves it.
        ("from <HOST>", " from host.example.net"),
        // The start of a name is no address, nor is a part of a number.
        ("from <HOST>", " from 192.0.2.1.example.net"),
        ("from <HOST>", " from 192.0.2.1-x"),
        ("from <HOST>", " from 192.0.2.1234"),
        ("-<HOST>", " x-192.0.2.1"),
        ("<ADDR>", " a192.0.2.1"),
        // No address at all.
        ("from <HOST>$", " from 192.0.2.256"),
        ("from <HOST>$", " from 192.0.02.1"),
        ("from <HOST>$", " from 1:2"),
        ("^ <F-NOFAIL>connect</F-NOFAIL> from <HOST>", " connect from 192.0.2.1"),
    ] {
        assert_eq!(said(&mut one(pattern), text.as_bytes()), "Ignored", "{pattern} {text}");
    }
    assert_eq!(said(&mut one("from <HOST>"), b" from 192.0.2.1. It failed"), "192.0.2.1");
    let mut without_names = Imported::compile(&Imports { names: false, ..imports("", &["from <HOST>"], "") }).unwrap();
    assert_eq!(said(&mut without_names, b" from host.example.net"), "nothing");
}

#[test]
fn a_line_without_a_time_tells_nothing() {
    assert_eq!(one("<HOST>").find(b"192.0.2.1"), None);
}

#[test]
fn prefregex_narrows_what_failregex_searches() {
    let prefix = r"^ \S+ (?:x|y=<ADDR>): <F-CONTENT>.+</F-CONTENT>$";
    let mut filter = Imported::compile(&imports(prefix, &["^bad <HOST>$", "^worse(?: <HOST>)?$"], "")).unwrap();
    for (text, expected) in [
        (" mail x: bad 192.0.2.1", "192.0.2.1"),
        (" mail z: bad 192.0.2.1", "nothing"),
        (" mail x: good 192.0.2.1", "nothing"),
        // The address of either; a group that both have is failregex's.
        (" mail y=192.0.2.2: bad 192.0.2.1", "192.0.2.1"),
        (" mail y=192.0.2.2: worse", "Ignored"),
    ] {
        assert_eq!(said(&mut filter, text.as_bytes()), expected, "{text}");
    }
    let mut filter = Imported::compile(&imports(prefix, &["^worse$"], "")).unwrap();
    assert_eq!(said(&mut filter, b" mail y=192.0.2.2: worse"), "192.0.2.2");
    assert_eq!(said(&mut filter, b" mail x: worse"), "Ignored");
}

#[test]
fn ignoreregex_takes_back() {
    let mut filter = Imported::compile(&imports("", &["bad <HOST>"], r"\[<HOST>\] ok")).unwrap();
    assert_eq!(said(&mut filter, b" bad 192.0.2.1"), "192.0.2.1");
    assert_eq!(said(&mut filter, b" bad 192.0.2.1 [192.0.2.1] ok"), "Ignored");
    // Asked about all of the line only by filters with many failregex.
    let prefix = "^ x: <F-CONTENT>.+</F-CONTENT>";
    let mut few = Imported::compile(&imports(prefix, &["<HOST>"], "x:")).unwrap();
    assert_eq!(said(&mut few, b" x: 192.0.2.1"), "192.0.2.1");
    let mut many = Imported::compile(&imports(prefix, &["<HOST>", "a<HOST>", "b<HOST>", "c<HOST>"], "x:")).unwrap();
    assert_eq!(said(&mut many, b" x: 192.0.2.1"), "Ignored");
}

#[test]
fn lines_of_a_connection_are_joined_by_its_id() {
    let prefix = r"^ <F-MLFID>\S+:</F-MLFID> <F-CONTENT>.+</F-CONTENT>$";
    let patterns = ["^no such user$", "^<F-NOFAIL>from</F-NOFAIL> <ADDR>$"];
    let mut filter = Imported::compile(&imports(prefix, &patterns, "")).unwrap();
    for (text, expected) in [
        (" a: no such user", "Noted"),
        (" b: from 192.0.2.2", "Noted"),
        (" a: from 192.0.2.1", "192.0.2.1"),
        (" a: from 192.0.2.1", "Noted"),
        (" b: no such user", "192.0.2.2"),
    ] {
        assert_eq!(said(&mut filter, text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    for (pattern, refusal) in [
        ("^x", "failregex 2: it has no <HOST>, nor has prefregex"),
        ("<F-ID>x</F-ID>", "failregex 2: <F-ID> bans something other than an address"),
        ("<F-TUPLE_ID>x</F-TUPLE_ID>", "failregex 2: <F-TUPLE_ID> bans something other than an address"),
        ("<SUBNET>", "failregex 2: <SUBNET> bans a whole network that a line names; banner bans who failed"),
        ("<ADDR>/<CIDR>", "failregex 2: <CIDR> bans a whole network that a line names; banner bans who failed"),
        ("<HOST><SKIPLINES>x", "failregex 2: <SKIPLINES> spans several lines"),
        ("<HOST>(?x)a", "failregex 2: an inline flag other than i, m and s is not supported"),
    ] {
        let refused = Imported::compile(&imports("", &["<HOST>", pattern], "")).unwrap_err();
        assert_eq!(refused.to_string(), refusal);
    }
    assert_eq!(Imported::compile(&imports("", &[], "")).unwrap_err(), ImportRefused::NoFailregex);
    for (pattern, refusal) in [
        ("<HOST>(", "failregex 1: unclosed group"),
        ("<HOST> <HOST>", "failregex 1: duplicate capture group name"),
        ("<HOST>(?:.{1000}){1000}", "failregex 1: Compiled regex exceeds size limit of 2097152 bytes."),
        ("<HOST>(?P=x)", "failregex 1: Parsing error at position 151: Invalid back reference"),
    ] {
        assert_eq!(Imported::compile(&imports("", &[pattern], "")).unwrap_err().to_string(), refusal);
    }
    assert!(Imported::compile(&imports("", &["<HOST>(?!x(?:.{1000}){1000})"], "")).is_err());
    let many = vec!["<HOST>"; PATTERNS_MAX + 1];
    let refused = ImportRefused::TooMany { what: "failregex", limit: PATTERNS_MAX };
    assert_eq!(Imported::compile(&imports("", &many, "")).unwrap_err(), refused);
}

#[test]
fn a_pattern_that_turns_back_too_often_gives_up() {
    // Its outline matches; it does not, after 2^n tries for n letters.
    let mut filter = one(r"^ (?:(?=a)a+)+(?!!)! <HOST>$");
    assert_eq!(said(&mut filter, b" aaa! 192.0.2.1"), "nothing");
    let text = [b" ".as_slice(), &[b'a'; 16_000], b"! 192.0.2.1"].concat();
    let before = std::time::Instant::now();
    assert_eq!(said(&mut filter, &text), "gave up");
    assert!(before.elapsed().as_secs() < 5, "{:?}", before.elapsed());
    let patterns = [r"^ (?:(?=a)a+)+(?!!)! <HOST>$", "^ a+! <HOST>$"];
    let mut filter = Imported::compile(&imports("", &patterns, "")).unwrap();
    assert_eq!(said(&mut filter, &text), "192.0.2.1", "the second one is sure");
}
