use super::*;

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
fn the_built_in_filters_are_sound() {
    let names: Vec<_> = Filter::built_in_names().collect();
    assert_eq!(names, ["cyrus", "postfix-sasl"]);
    for name in names {
        let filter = Filter::built_in(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(&**filter.name(), name);
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let error = Filter::built_in("postfix-sals").unwrap_err();
    assert_eq!(error.to_string(), "there is no filter `postfix-sals`; did you mean `postfix-sasl`?");
    assert_eq!(Filter::built_in("x").unwrap_err().to_string(), "there is no filter `x`");
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
    assert_eq!(fault("kind='failure'\nevent='x'\nfields={a='<ADDR>',b='<ADDR>'}\nexample='x'"), RuleFault::Twice);
    assert_eq!(fault("kind='failure'\nstart='a'\npattern='<ADDR>'\nexample='192.0.2.1'"), RuleFault::ExampleMissed);
    assert_eq!(
        fault("kind='failure'\nstart=''\npattern='<HOST>'\nexample=''").to_string(),
        "pattern `<HOST>`: `<HOST>` is no tag; there are <ADDR>, <NAME>, <MECH> and <USER>"
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
    let ident = Ident::whole(b"imap").unwrap();
    assert!(filter.find(ident, b"event=login a=192.0.2.1").is_some());
    assert!(filter.find(ident, b"event=login.bad a=192.0.2.1").is_none());
    assert!(filter.find(ident, b"event=login a=192.0.2").is_none());
}
