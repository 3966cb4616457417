use super::*;

fn both(pattern: &str) -> (Option<String>, String) {
    let translated = translated(pattern, Place::Prefregex).unwrap();
    (translated.exact, translated.outline)
}

#[test]
fn the_dialect_is_translated() {
    for (python, here) in [
        (r"[^[]*\[", r"[^\[]*\["),
        (r"[]a]", r"[\]a]"),
        (r"[^]a]", r"[^\]a]"),
        (r"[a&&b~~c]", r"[a\&\&b\~\~c]"),
        (r"[+--]", r"[+-\-]"),
        (r"[^\>\b]", r"[^>\x08]"),
        (r"\<a\>\;\/\@", "<a>;/@"),
        (r"a{,3}b{2,}c{4}", "a{0,3}b{2,}c{4}"),
        (r"{[^}]+}", r"\{[^}]+\}"),
        (r"a{x", r"a\{x"),
        (r"a$", "a(?m:$)"),
        (r"[$]a\Z", r"[$]a\z"),
        (r"((?i)a|b)", "((?i)a|b)"),
        (r"(?iu)a", "(?i)a"),
        (r"(?#x)a*?", "a*?"),
    ] {
        assert_eq!(both(python), (None, here.to_owned()), "{python}");
    }
}

#[test]
fn what_backtracks_has_an_outline_that_matches_more() {
    for (python, exact, outline) in [
        (r"a(?! b)c", r"a(?! b)c", "a(?:)c"),
        (r"a(?=x(y)[)])+c", r"a(?=x(y)[)])+c", "a(?:)+c"),
        (r"(?P<e>a)(?P=e)\1", r"(?P<e>a)(?P=e)\1", "(?P<e>a)(?s:.*)(?s:.*)"),
        (r"(a)?(?(1)b|c)", r"(a)?(?(1)b|c)", "(a)?(?:b|c|)"),
        (r"(?P<n>a)?(?(n)b)", r"(?P<n>a)?(?(<n>)b)", "(?P<n>a)?(?:b|)"),
        (r"(?>a+)b*+", r"(?>a+)b*+", "(?:a+)b*"),
    ] {
        assert_eq!(both(python), (Some(exact.to_owned()), outline.to_owned()), "{python}");
    }
}

#[test]
fn what_is_not_translated_is_refused_by_name() {
    for (python, what) in [
        ("a(?i)b", "an inline flag in the middle of a group"),
        ("(?x)a", "an inline flag other than i, m and s"),
        (r"\q", "an escaped letter that Python does not know"),
        ("[a", "an unfinished class"),
        ("a\\", "a lone backslash at the end"),
    ] {
        let refused = ImportRefused::Construct { place: Place::Failregex(2), what };
        assert_eq!(translated(python, Place::Failregex(2)), Err(refused), "{python}");
    }
}
