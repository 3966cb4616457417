//! What is said of every mistake, letter by letter.

use super::{
    super::{Errors, Severity},
    *,
};

fn errors(texts: &[&str]) -> String {
    parse(texts).unwrap_err().to_string()
}

/// Blocks of `<<<<`, a configuration, `>>>>`, and what is said of it: its errors, or its warnings.
const MESSAGES: &str = include_str!("messages.txt");

#[test]
fn a_mistake_is_named_with_its_place_and_its_remedy() {
    let blocks: Vec<_> = MESSAGES.split("<<<<\n").skip(1).collect();
    assert!(blocks.len() > 50, "{}", blocks.len());
    for block in blocks {
        let (text, expected) = block.split_once("\n>>>>\n").unwrap();
        let said = match parse(&[text]) {
            Err(errors) => errors.to_string(),
            Ok(config) => config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        };
        assert_eq!(said, expected, "{text}");
    }
}

#[test]
fn errors_of_all_files_are_listed_in_their_order() {
    let errors = parse(&["attach = 1\nzzz = 1", "bpffs = 2"]).unwrap_err();
    let places: Vec<_> = errors
        .iter()
        .map(|error| {
            let place = error.place.as_ref().unwrap();
            assert_eq!(error.severity, Severity::Error);
            (place.path.to_str().unwrap(), place.line, place.column)
        })
        .collect();
    assert_eq!(places, [("a.toml", 1, 10), ("a.toml", 2, 1), ("b.toml", 1, 9)]);
}

#[test]
fn values_are_judged_only_when_all_files_are_toml() {
    let errors = parse(&["colour = 1", "attach = auto\nbpffs ="]).unwrap_err().to_string();
    assert_eq!(errors.matches("error:").count(), 2, "{errors}");
    assert!(errors.contains("b.toml:1:10") && errors.contains("b.toml:2:8"), "{errors}");
}

#[test]
fn a_thousand_errors_are_fifty_and_a_number() {
    let text: String = (0..1000).map(|number| format!("key{number} = 1\n")).collect();
    let errors = parse(&[&text]).unwrap_err();
    assert_eq!(errors.iter().count(), Errors::LISTED_MAX);
    assert!(errors.to_string().ends_with("\nerror: and 950 more\n"), "{errors}");
}

#[test]
fn control_characters_are_escaped_and_marks_stand_below_what_they_mark() {
    assert_eq!(
        errors(&["\tsocket = \"\u{9b}31m\u{202e}\""]),
        r#"error: `\u{9b}31m\u{202e}` is not an absolute path
  --> a.toml:1:11
  |
1 | \tsocket = "\u{9b}31m\u{202e}"
  |            ^^^^^^^^^^^^^^^^^^^ start it with `/`
"#
    );
}

#[test]
fn a_span_of_several_lines_is_marked_in_its_first() {
    assert_eq!(
        errors(&["attach = [\r\n  \"native\",\r\n]\r\n"]),
        "error: `attach` is a list\n  --> a.toml:1:10\n  |\n1 | attach = [\n  |          ^ expected a string\n"
    );
}

#[test]
fn numbers_of_lines_are_aligned() {
    assert_eq!(
        errors(&[&format!("{}colour = 1", "\n".repeat(99)), "[jail.mail]\nmaxretry = 1"]).lines().nth(1),
        Some("    --> a.toml:100:1")
    );
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let names: String = (0..40).map(|number| format!("\"eth{number}\", ")).collect();
    let shown = errors(&[&format!("interface = [{names}\"a b\", {names}]")]);
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines.iter().all(|line| line.len() < 130), "{shown}");
    let mark = lines[4].find('^').unwrap();
    assert_eq!(&lines[3][mark..mark + 5], "\"a b\"");
    assert_eq!(lines[4].matches('^').count(), 5);
}

#[test]
fn a_long_value_is_cut() {
    let long = "x".repeat(10_000);
    let shown = errors(&[&format!("socket = \"/{long}\"\nbpffs = \"{long}\"\n{long} = 1")]);
    assert!(shown.lines().all(|line| line.len() < 400), "{shown}");
    assert!(shown.contains(&format!("error: `{}...` is not an absolute path\n", &long[..64])), "{shown}");
    assert!(shown.contains("error: the path of `socket` is too long\n"), "{shown}");
    assert!(shown.contains(&format!("{} at most 107 bytes\n", "^".repeat(110))), "{shown}");
}

#[test]
fn services_beyond_the_bits_of_a_mask_are_named() {
    let services: String = (0..7).map(|number| format!("s{number} = 100{number}\n")).collect();
    assert_eq!(
        errors(&[&format!("[services]\n{services}smtp = 2525\n[jail.mail]\nservices = [\"s5\"]")]),
        "error: more than 16 services, the built-in ones included\n  --> a.toml:8:1\n  |\n8 | s6 = 1006\n  | ^^ give one \
         service several ports: `web = [80, 443]`\n"
    );
}
