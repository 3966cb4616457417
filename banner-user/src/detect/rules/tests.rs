use super::*;
use crate::detect::filter::Filter;

const HEAD: &str = "ident = [\"*\"]\n[[rule]]\n";

fn refused(rule: &str) -> FilterError {
    Filter::parse("mine", &format!("{HEAD}{rule}")).unwrap_err()
}

fn fault(rule: &str) -> RuleFault {
    let FilterError::Rule { name, rule: 1, fault } = refused(rule) else { panic!("{}", refused(rule)) };
    assert_eq!(name, "mine");
    fault
}

#[test]
fn a_misspelt_key_is_an_error_with_its_place() {
    let error = refused("kind = \"failure\"\nstrat = \"x\"").to_string();
    assert!(error.contains("filter `mine`") && error.contains("line 4") && error.contains("strat"), "{error}");
}

#[test]
fn a_rule_that_cannot_be_is_refused_with_the_reason() {
    assert_eq!(fault("kind='failure'\nstart=''\nexample=''"), RuleFault::Form);
    assert_eq!(fault("kind='failure'\nstart=''\npattern='<ADDR>'\nevent='x'\nexample=''"), RuleFault::Form);
    assert_eq!(fault("kind='failure'\nstart=''\npattern='x'\nexample='x'"), RuleFault::NoAddress);
    assert_eq!(fault("kind='success'\nstart=''\npattern='x'\nexample='x'"), RuleFault::NoAddress);
    assert_eq!(fault("kind='outage'\nweight='low'\nstart=''\npattern='x'\nexample='x'"), RuleFault::Weight);
    assert_eq!(fault("kind='outage'\nretold=true\nstart=''\npattern='x'\nexample='x'"), RuleFault::Retold);
    assert_eq!(fault("kind='ignore'\nretold=true\nstart=''\npattern='<ADDR>'\nexample='x'"), RuleFault::Retold);
    assert_eq!(fault("kind='failure'\nevent='x'\nfields={a='<ADDR>',b='<ADDR>'}\nexample='x'"), RuleFault::Twice);
    assert_eq!(fault("kind='failure'\nstart='a'\npattern='<ADDR>'\nexample='192.0.2.1'"), RuleFault::ExampleMissed);
    assert_eq!(
        fault("kind='failure'\nstart=''\npattern='<HOST>'\nexample=''").to_string(),
        "pattern `<HOST>`: `<HOST>` is no tag; there are <ADDR>, <NAME>, <MECH>, <USER>, <COUNT> and <SESSION>"
    );
}

#[test]
fn a_rule_behind_one_that_takes_its_lines_is_refused() {
    let text = "kind='failure'\nstart=''\npattern='<ADDR>'\nexample='192.0.2.1'\n";
    let error = Filter::parse("mine", &format!("{HEAD}{text}[[rule]]\n{text}")).unwrap_err();
    assert_eq!(error, FilterError::Rule { name: "mine".to_owned(), rule: 2, fault: RuleFault::ExampleTaken(1) });
}

#[test]
fn an_event_name_is_compared_whole() {
    let text = format!("{HEAD}kind='failure'\nevent='login'\nfields={{a='<ADDR>'}}\nexample='event=login a=192.0.2.1'");
    let mut filter = Filter::parse("mine", &text).unwrap();
    let ident = Ident::whole(b"imap");
    assert!(filter.find(ident, b"event=login a=192.0.2.1").is_some());
    assert!(filter.find(ident, b"event=login.bad a=192.0.2.1").is_none());
    assert!(filter.find(ident, b"event=login a=192.0.2").is_none());
}

#[test]
fn a_line_counts_as_often_as_it_says_and_weighs() {
    for (weight, pattern, message, quarters) in [
        ("", "<ADDR>", "192.0.2.1", 4),
        ("weight='low'", "<ADDR>", "192.0.2.1", 1),
        ("weight=0.5", "<ADDR>", "192.0.2.1", 2),
        ("weight=3", "<ADDR>", "192.0.2.1", 12),
        ("", "<ADDR> <COUNT>", "192.0.2.1 3", 12),
        ("weight='low'", "<ADDR> <COUNT>", "192.0.2.1 3", 3),
        ("", "<ADDR> <COUNT>", "192.0.2.1 0", 4),
        ("", "<ADDR> <COUNT>", "192.0.2.1 9999", 400),
    ] {
        let rule = format!("kind='failure'\n{weight}\nstart=''\npattern='{pattern}'\nexample='{message}'");
        let mut filter = Filter::parse("mine", &format!("{HEAD}{rule}")).unwrap();
        let found = filter.find(Ident::whole(b"x"), message.as_bytes());
        let Some(Finding::Failure { weight, .. }) = found else { panic!("{rule}: {found:?}") };
        assert_eq!(weight.0, quarters, "{rule}");
    }
    for weight in ["0", "0.3", "101", "-1", "nan"] {
        assert_eq!(
            fault(&format!("kind='failure'\nweight={weight}\nstart=''\npattern='<ADDR>'\nexample='192.0.2.1'")),
            RuleFault::NoWeight
        );
    }
}

#[test]
fn an_ignored_line_counts_nothing_and_ends_there() {
    let text = "kind='ignore'\nstart='local '\npattern='.*'\nexample='local x'\n[[rule]]\n\
        kind='failure'\nstart=''\npattern='[a-z]* <ADDR>'\nexample='a 192.0.2.1'\n";
    let mut filter = Filter::parse("mine", &format!("{HEAD}{text}")).unwrap();
    assert_eq!(filter.find(Ident::whole(b"x"), b"local 192.0.2.1"), Some(Finding::Ignored));
    assert!(matches!(filter.find(Ident::whole(b"x"), b"other 192.0.2.1"), Some(Finding::Failure { .. })));
}

#[test]
fn a_session_lends_its_address_to_later_lines() {
    let text = "kind='session'\nstart=''\npattern='<SESSION> connected <ADDR>'\nexample='a1 connected 192.0.2.1'\n\
        [[rule]]\nkind='failure'\nstart=''\npattern='<SESSION> failed user=<USER>'\nexample='a1 failed user=x'\n";
    let mut filter = Filter::parse("mine", &format!("{HEAD}{text}")).unwrap();
    let ident = Ident::whole(b"x");
    assert_eq!(filter.find(ident, b"a2 failed user=x"), None, "nobody knows whose session it is");
    assert_eq!(filter.find(ident, b"a2 connected 192.0.2.2"), Some(Finding::Noted));
    let Some(Finding::Failure { source, .. }) = filter.find(ident, b"a2 failed user=x") else { panic!() };
    assert_eq!(source.to_string(), "192.0.2.2");
    assert_eq!(fault("kind='session'\nstart=''\npattern='<ADDR>'\nexample='192.0.2.1'"), RuleFault::NoSession);
    assert_eq!(fault("kind='failure'\nstart=''\npattern='<ADDR> <SESSION>'\nexample='192.0.2.1 a'"), RuleFault::Both);
}

#[test]
fn bare_lines_are_read_where_the_filter_says_so() {
    let rule = "[[rule]]\nkind='failure'\nstart=''\npattern='<ADDR>'\nexample='192.0.2.1'";
    let found =
        |head: &str| Filter::parse("mine", &format!("{head}\n{rule}")).unwrap().find(None, b"192.0.2.1").is_some();
    assert!(!found("ident = ['*']"));
    assert!(found("ident = ['*']\nbare = true"));
}
