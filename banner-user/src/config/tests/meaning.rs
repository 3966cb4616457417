//! What configurations mean.

use std::{net::IpAddr, time::Duration};

use proptest::prelude::*;

use super::{
    super::{
        Attach, Interfaces, MapSizes,
        read::{ACCOUNTS, CUSTOMERS, FUSE, INCREMENT, JAIL, LIMITS, LIST, PREFIXES, RECIDIVE, ROOT, SPRAYING},
    },
    *,
};
use crate::judge::{
    list::ListAction,
    policy::{Accounts, BanTime, Customers, Fuse, Growth, Increment, Jail, Prefixes, Recidive, Spraying},
};

/// The example that is installed, without the marks that comment its keys out. Prose has a space behind the mark.
fn example() -> String {
    let text = include_str!("../../../../packaging/banner.toml");
    let keys = text.lines().filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#'])));
    keys.map(|line| format!("{line}\n")).collect()
}

fn jail_names(config: &Config) -> Vec<&str> {
    config.policy.jails.iter().map(|jail| &*jail.name).collect()
}

#[test]
fn no_configuration_is_the_default() {
    assert_eq!(parse(&[]), Ok(Config::default()));
    assert_eq!(parse(&["", "# nothing\n"]), Ok(Config::default()));
}

#[test]
fn the_default_protects_a_postfix_and_cyrus_host() {
    let config = Config::default();
    let [jail] = config.policy.jails.as_slice() else { panic!("{:?}", config.policy.jails) };
    assert_eq!(&*jail.name, "mail");
    assert_eq!(jail.filters, ["postfix-sasl".into(), "cyrus".into()]);
    assert_eq!(jail.source, ["/var/log/mail.log"]);
    assert_eq!((jail.maxretry, jail.findtime), (3, Duration::from_secs(600)));
    assert_eq!(jail.bantime, BanTime::For(Duration::from_secs(600)));
    assert_eq!(config.services.names(jail.services).collect::<Vec<_>>(), crate::service::MAIL);
    assert!(!jail.observe);
    assert!(config.policy.ignoreself);
    assert_eq!(config.policy.ipv6_prefix, 64);
}

#[test]
fn webmail_is_protected_where_one_key_says_so() {
    let config = parse(&["[jail.webmail]\nenabled = true"]).unwrap();
    assert_eq!(jail_names(&config), ["mail", "webmail"]);
    let [mail, webmail] = config.policy.jails.as_slice() else { panic!("{:?}", config.policy.jails) };
    assert_eq!(webmail.filters, ["roundcube".into(), "sogo".into()]);
    assert_eq!(webmail.source, ["/var/log/roundcube/errors.log", "/var/log/sogo/sogo.log"]);
    assert_eq!(config.services.names(webmail.services).collect::<Vec<_>>(), ["http", "https"]);
    let numbers = |jail: &Jail| (jail.maxretry, jail.findtime, jail.bantime, jail.observe);
    assert_eq!(numbers(webmail), numbers(mail));
    for off in ["", "[jail.webmail]\nenabled = false", "[jail.webmail]\nmaxretry = 5"] {
        assert_eq!(jail_names(&parse(&[off]).unwrap()), ["mail"], "{off}");
    }
}

#[test]
fn the_installed_example_states_every_default() {
    assert_eq!(parse(&[&example()]), Ok(Config::default()));
    assert_eq!(parse(&[include_str!("../../../../packaging/banner.toml")]), Ok(Config::default()));
    // The jail that is off, too: what it says of webmail is what one key switches on.
    let stated = example().replace("enabled = false", "enabled = true");
    assert_eq!(parse(&[&stated]), parse(&["[jail.webmail]\nenabled = true"]));
}

#[test]
fn the_installed_example_has_every_key() {
    let example = example();
    let table: toml::Table = example.parse().unwrap();
    let keys = |path: &[&str]| {
        let table = path.iter().fold(&table, |table, key| table[*key].as_table().unwrap());
        table.keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    // A list has no default: the example of one is a comment, which the test below reads.
    let mut root: std::collections::BTreeSet<String> = named(ROOT.names);
    root.remove("list");
    assert_eq!(keys(&[]), root);
    assert_eq!(keys(&["limits"]), named(LIMITS.names));
    assert_eq!(keys(&["customers"]), named(CUSTOMERS.names));
    assert_eq!(keys(&["fuse"]), named(FUSE.names));
    assert_eq!(keys(&["increment"]), named(INCREMENT.names));
    assert_eq!(keys(&["recidive"]), named(RECIDIVE.names));
    assert_eq!(keys(&["prefixes"]), named(PREFIXES.names));
    assert_eq!(keys(&["accounts"]), named(ACCOUNTS.names));
    assert_eq!(keys(&["spraying"]), named(SPRAYING.names));
    assert_eq!(keys(&["jail", "mail"]), named(JAIL.names));
    assert_eq!(keys(&["services"]), named(&crate::service::BUILT_IN.map(|(name, _)| name)));
}

#[test]
fn the_installed_example_of_lists_is_one() {
    let text = include_str!("../../../../packaging/banner.toml");
    let (_, example) = text.split_once("# [list.drop]\n").unwrap();
    let keys: String =
        example.lines().map_while(|line| line.strip_prefix("# ")).map(|line| format!("{line}\n")).collect();
    let config = parse(&[&format!("[list.drop]\n{keys}")]).unwrap();
    let [drop, partners] = config.lists.as_slice() else { panic!("{:?}", config.lists) };
    assert_eq!((drop.name.as_str(), drop.file.to_str()), ("drop", Some("/etc/banner/drop.json")));
    let services = config.services.mask(crate::service::MAIL).unwrap();
    assert_eq!(drop.action, ListAction::Ban { services, observe: false });
    assert_eq!((partners.name.as_str(), partners.action), ("partners", ListAction::Ignore));
    for key in LIST.names {
        assert!(keys.contains(&format!("{key} = ")), "{key}");
    }
}

#[test]
fn lists_say_what_they_ban_from_and_whether_they_only_watch() {
    let config = parse(&["[list.z]\nfile = \"/z\"\naction = \"ban\"\nservices = \"imap\"\nobserve = true"]).unwrap();
    let services = config.services.mask(["imap"]).unwrap();
    assert_eq!(config.lists[0].action, ListAction::Ban { services, observe: true });
    let lists = |number: usize| {
        (0..number).map(|n| format!("[list.l{n}]\nfile = \"/l\"\naction = \"ignore\"\n")).collect::<String>()
    };
    assert_eq!(parse(&[&lists(32)]).unwrap().lists.len(), 32);
    assert!(parse(&[&lists(33)]).unwrap_err().to_string().contains("more than 32 lists"));
}

#[test]
fn every_key_does_something() {
    let changed = "
        interface = [\"eth0\", \"eth1\"]
        attach = \"native\"
        socket = \"/tmp/b.sock\"
        state_dir = \"/tmp/state\"
        bpffs = \"/tmp/bpf\"
        ignoreip = [\"10.0.0.0/8\", \"2001:db8::1\"]
        ignoreself = false
        ipv6_prefix = 56
        time_zone = \"UTC\"
        limits = { bans_v4 = 1, bans_v6 = 2, prefixes = 3, sources = 4, evidence = 5, customers = 8, history = 6, history_age = \"7d\" }
        services = { smtp = [25, 2525], jmap = 8080 }
        fuse = { customers = 3, window = \"1m\", bans = 7 }
        customers = { remember = \"1d\", raise = false, bantime = \"5m\", shared = 7, clear = true }
        [jail.mail]
        filter = \"cyrus\"
        source = \"/var/log/imap*.log\"
        maxretry = 5
        findtime = 60
        bantime = \"1d\"
        services = [\"imap\", \"jmap\"]
        ignoreip = \"192.0.2.7\"
        observe = true";
    let config = parse(&[changed]).unwrap();
    assert_eq!(config.interface, Interfaces::Named(vec!["eth0".to_owned(), "eth1".to_owned()]));
    assert_eq!(config.attach, Attach::Native);
    assert_eq!(config.socket, PathBuf::from("/tmp/b.sock"));
    assert_eq!(config.state_dir, PathBuf::from("/tmp/state"));
    assert_eq!(config.bpffs, PathBuf::from("/tmp/bpf"));
    assert_eq!(config.time_zone, Some(jiff::tz::TimeZone::UTC));
    assert_eq!(config.map_sizes, MapSizes { bans_v4: 1, bans_v6: 2, prefixes: 3 });
    let ports = config.services.ports();
    assert_eq!(ports[&2525], ports[&25]);
    let policy = config.policy;
    assert_eq!(policy.ignoreip, ["10.0.0.0/8".parse().unwrap(), "2001:db8::1/128".parse().unwrap()]);
    assert!(!policy.ignoreself);
    assert_eq!(policy.ipv6_prefix, 56);
    assert_eq!((policy.limits.sources, policy.limits.evidence, policy.limits.customers), (4, 5, 8));
    let customers = Customers {
        remember: Duration::from_secs(86_400),
        raise: false,
        bantime: Duration::from_secs(300),
        shared: 7,
        clear: true,
    };
    assert_eq!(policy.customers, Some(customers));
    assert_eq!(policy.fuse, Some(Fuse { customers: 3, window: Duration::from_secs(60), bans: 7, ..Fuse::default() }));
    assert_eq!((config.history.rows, config.history.age), (6, Duration::from_secs(7 * 86_400)));
    let [jail] = policy.jails.as_slice() else { panic!("{:?}", policy.jails) };
    assert_eq!(jail.filters, ["cyrus".into()]);
    assert_eq!(jail.source, ["/var/log/imap*.log"]);
    assert_eq!((jail.maxretry, jail.findtime), (5, Duration::from_secs(60)));
    assert_eq!(jail.bantime, BanTime::For(Duration::from_secs(86_400)));
    assert_eq!(jail.services, config.services.mask(["imap", "jmap"]).unwrap());
    assert_eq!(jail.ignoreip, ["192.0.2.7/32".parse().unwrap()]);
    assert!(jail.observe);
    assert_eq!(config.warnings, []);
}

#[test]
fn bans_grow_by_default_and_as_configured() {
    let default = Config::default().policy;
    assert_eq!(default.increment, Some(Increment::default()));
    let recidive = default.recidive.unwrap();
    assert_eq!((recidive.maxretry, recidive.services), (5, default.jails[0].services), "from all mail services");
    let config = parse(&["
        increment = { factor = 3, maxtime = \"1d\", rndtime = 60, forget = \"7d\", without_logins = true }
        recidive = { maxretry = 2, findtime = \"1h\", bantime = \"2h\", services = \"http\", without_logins = true }"])
    .unwrap();
    let seconds = Duration::from_secs;
    assert_eq!(
        config.policy.increment,
        Some(Increment {
            growth: Growth::Factor(3),
            maxtime: seconds(86_400),
            rndtime: seconds(60),
            forget: seconds(7 * 86_400),
            without_logins: true,
        })
    );
    let services = config.services.mask(["http"]).unwrap();
    assert_eq!(
        config.policy.recidive,
        Some(Recidive { maxretry: 2, findtime: seconds(3600), bantime: seconds(7200), services, without_logins: true })
    );
    let config = parse(&["increment.multipliers = [1, 5, 30]"]).unwrap();
    assert_eq!(config.policy.increment.unwrap().growth, Growth::Multipliers(vec![1, 5, 30]));
    let config = parse(&["increment.enabled = false\nrecidive.enabled = false"]).unwrap();
    assert_eq!((config.policy.increment, config.policy.recidive), (None, None));
}

#[test]
fn prefixes_are_banned_by_default_and_as_configured() {
    assert_eq!(Config::default().policy.prefixes, Some(Prefixes::default()));
    let keys = "members = 3\nfindtime = \"1h\"\nbantime = \"2h\"\nipv4 = 22\nipv6 = 48";
    let config = parse(&[&format!("[prefixes]\n{keys}")]).unwrap();
    let (findtime, bantime) = (Duration::from_secs(3600), Duration::from_secs(7200));
    assert_eq!(config.policy.prefixes, Some(Prefixes { members: 3, findtime, bantime, ipv4: 22, ipv6: 48 }));
    assert_eq!(parse(&["prefixes.enabled = false"]).unwrap().policy.prefixes, None);
    for (ipv6_prefix, ipv6) in [(48, 40), (56, 48), (57, 56), (128, 56)] {
        let config = parse(&[&format!("ipv6_prefix = {ipv6_prefix}")]).unwrap();
        assert_eq!(config.policy.prefixes.unwrap().ipv6, ipv6, "of sources of {ipv6_prefix}");
    }
}

#[test]
fn accounts_are_judged_by_default_and_as_configured() {
    let default = Config::default().policy;
    assert_eq!((default.accounts, default.spraying), (Some(Accounts::default()), Some(Spraying::default())));
    let config = parse(&["
        spraying = { accounts = 6, findtime = \"1h\", bantime = \"2h\" }
        [accounts]
        sources = 20
        window = \"1h\"
        maxretry = 3
        findtime = \"2h\"
        bantime = \"3h\"
        traps = [\"Ghost\", \"old-*@Example.org\"]"])
    .unwrap();
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!(
        config.policy.accounts,
        Some(Accounts {
            sources: 20,
            window: hours(1),
            maxretry: 3,
            findtime: hours(2),
            bantime: hours(3),
            traps: vec!["ghost".into(), "old-*@example.org".into()],
        })
    );
    assert_eq!(config.policy.spraying, Some(Spraying { accounts: 6, findtime: hours(1), bantime: hours(2) }));
    let config = parse(&["accounts.enabled = false\nspraying.enabled = false"]).unwrap();
    assert_eq!((config.policy.accounts, config.policy.spraying), (None, None));
    assert_eq!(parse(&["accounts.traps = \"ghost\""]).unwrap().policy.accounts.unwrap().traps, ["ghost".into()]);
    let many = |number: u32| (0..number).map(|n| format!("\"t{n}\",")).collect::<String>();
    assert!(parse(&[&format!("accounts.traps = [{}]", many(1000))]).is_ok());
    let error = parse(&[&format!("accounts.traps = [{}]", many(1001))]).unwrap_err();
    assert_eq!(error.to_string().lines().next(), Some("error: more than 1000 traps"));
}

#[test]
fn while_the_whole_only_observes_every_jail_does() {
    let observing =
        |text: &str| parse(&[text]).unwrap().policy.jails.iter().map(|jail| jail.observe).collect::<Vec<_>>();
    let two = "[jail.mail]\nobserve = false\n[jail.x]\nfilter = \"cyrus\"\nsource = \"/x\"\nobserve = true";
    assert_eq!(observing(&format!("observe = true\n{two}")), [true, true]);
    assert_eq!(observing(&format!("observe = false\n{two}")), [false, true]);
    assert_eq!(observing("observe = true"), [true]);
}

#[test]
fn filters_that_only_observe_are_a_jail_of_their_own() {
    let jails = |text: &str| {
        let jails = parse(&[text]).unwrap().policy.jails;
        let shown = |jail: &Jail| format!("{} {} {}", jail.name, jail.filters.join("+"), jail.observe);
        jails.iter().map(shown).collect::<Vec<_>>()
    };
    let x =
        "[jail.mail]\nenabled = false\n[jail.x]\nfilter = [\"cyrus\", \"postfix-sasl\"]\nsource = \"/x\"\nobserve = ";
    assert_eq!(jails(&format!("{x}false")), ["x cyrus+postfix-sasl false"]);
    assert_eq!(jails(&format!("{x}true")), ["x cyrus+postfix-sasl true"]);
    assert_eq!(jails(&format!("{x}[\"cyrus\"]")), ["x postfix-sasl false", "x-observed cyrus true"]);
    assert_eq!(jails(&format!("{x}\"cyrus\"")), ["x postfix-sasl false", "x-observed cyrus true"]);
    assert_eq!(jails(&format!("{x}[\"postfix-sasl\", \"cyrus\"]")), ["x cyrus+postfix-sasl true"]);
    let error = |text: &str| parse(&[text]).unwrap_err().to_string();
    assert!(
        error(&format!("{x}\"dovecot\"")).contains("unknown filter of this jail `dovecot`"),
        "{}",
        error(&format!("{x}\"dovecot\""))
    );
    let twice = format!("{x}\"cyrus\"\n[jail.x-observed]\nfilter = \"cyrus\"\nsource = \"/x\"");
    assert!(error(&twice).contains("there are two jails"), "{}", error(&twice));
}

#[test]
fn bounds_are_allowed() {
    let socket = |length: usize| format!("socket = \"/{}\"", "s".repeat(length - 1));
    for (fits, exceeds) in [
        ("jail.mail.maxretry = 1".to_owned(), "jail.mail.maxretry = 0".to_owned()),
        ("jail.mail.maxretry = 1000".to_owned(), "jail.mail.maxretry = 1001".to_owned()),
        ("ipv6_prefix = 48".to_owned(), "ipv6_prefix = 47".to_owned()),
        ("ipv6_prefix = 128".to_owned(), "ipv6_prefix = 129".to_owned()),
        ("services.smtp = 65535".to_owned(), "services.smtp = 65536".to_owned()),
        ("limits.bans_v4 = 16777216".to_owned(), "limits.bans_v4 = 16777217".to_owned()),
        ("interface = \"enp0s31f6np0.10\"".to_owned(), "interface = \"enp0s31f6np0.100\"".to_owned()),
        (socket(107), socket(108)),
    ] {
        assert!(parse(&[&fits]).is_ok(), "{fits}");
        assert!(parse(&[&exceeds]).is_err(), "{exceeds}");
    }
}

#[test]
fn a_ban_can_last_for_ever() {
    for text in ["\"permanent\"", "-1"] {
        let config = parse(&[&format!("[jail.mail]\nbantime = {text}")]).unwrap();
        assert_eq!(config.policy.jails[0].bantime, BanTime::Permanent);
    }
}

#[test]
fn later_files_win_key_by_key() {
    let config = parse(&[
        "ignoreip = [\"192.0.2.1\"]\nattach = \"native\"\n[jail.mail]\nmaxretry = 5\nfindtime = \"1h\"",
        "ignoreip = [\"192.0.2.2\"]\njail.mail.maxretry = 7",
        "jail.mail.bantime = \"permanent\"",
    ])
    .unwrap();
    assert_eq!(config.attach, Attach::Native);
    assert_eq!(config.policy.ignoreip, ["192.0.2.2/32".parse().unwrap()], "a list is replaced, not joined");
    let jail = &config.policy.jails[0];
    assert_eq!((jail.maxretry, jail.findtime, jail.bantime), (7, Duration::from_secs(3600), BanTime::Permanent));
}

#[test]
fn jails_stand_in_the_order_in_which_they_are_first_named() {
    let jail = |name| format!("[jail.{name}]\nfilter = \"cyrus\"\nsource = \"/l\"\n");
    for (first, second, expected) in [
        (jail("z"), jail("a"), ["mail", "z", "a"].as_slice()),
        (jail("z") + &jail("a"), jail("mail"), &["z", "a", "mail"]),
        (jail("z"), jail("mail") + "[jail.z]\nenabled = false", &["mail"]),
    ] {
        assert_eq!(jail_names(&parse(&[&first, &second]).unwrap()), expected);
    }
}

#[test]
fn only_sources_of_enabled_jails_are_read() {
    let config = parse(&["[jail.mail]\nenabled = false\n[jail.a]\nfilter = \"cyrus\"\nsource = [\"/b\", \"/a\"]\n
        [jail.b]\nfilter = \"cyrus\"\nsource = \"/a\""])
    .unwrap();
    assert_eq!(config.policy.sources(), ["/b", "/a"]);
}

#[test]
fn the_journal_is_a_source_behind_all_files() {
    let config =
        parse(&["[jail.mail]\nsource = \"journal\"\n[jail.a]\nfilter = \"cyrus\"\nsource = [\"/b\", \"journal\"]"]);
    let policy = config.unwrap().policy;
    assert_eq!(
        policy.jails.iter().map(|jail| jail.source.clone()).collect::<Vec<_>>(),
        [vec!["journal"], vec!["/b", "journal"]]
    );
    assert_eq!(policy.sources(), ["/b", "journal"]);
}

/// A value of a key as it may be written in TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(&[&text]).map_err(|errors| errors.to_string());
    }

    /// Text that comes near a configuration.
    #[test]
    fn no_tokens_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "[[", "]]", "=", ".", ",", "\"", "'", "\"\"\"", "\n", "\r\n", "\t", " ", "#", "{", "}", "-1", "0", "1e9",
                "true", "nan", "10m", "\"10m\"", "\"1y\"", "jail", "mail", "jail.mail", "limits", "services", "interface", "ignoreip",
                "source", "filter", "maxretry", "findtime", "bans_v4", "\"auto\"", "\"10.0.0.0/8\"", "\"::/0\"", "\u{0}", "\u{1b}",
                "\u{feff}", "\u{fc}", "\\", "07:32:00",
            ]),
            0..40,
        ),
        cut in any::<prop::sample::Index>(),
    ) {
        let (first, second) = tokens.split_at(cut.index(tokens.len() + 1));
        let shown = parse(&[&first.concat(), &second.concat()]).map_err(|errors| errors.to_string());
        if let Err(shown) = shown {
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        }
    }

    #[test]
    fn what_is_written_is_meant(
        maxretry in 1..=1000_u16,
        findtime in 1..=315_360_000_u64,
        address in any::<IpAddr>(),
        path in "/[^\u{0}]{0,40}",
        bans in 1..=MapSizes::MAX,
        observe in any::<bool>(),
    ) {
        let config = parse(&[&format!(
            "ignoreip = \"{address}\"\nstate_dir = {path}\n[limits]\nbans_v4 = {bans}\n[jail.mail]\nmaxretry = {maxretry}\nfindtime = {findtime}\nbantime = -1\nobserve = {observe}\nsource = [{path}]\n",
            path = quoted(&path),
        )]);
        let mut expected = Config::default();
        expected.policy.ignoreip = vec![address.to_canonical().into()];
        expected.state_dir = PathBuf::from(&path);
        expected.map_sizes.bans_v4 = bans;
        let jail = &mut expected.policy.jails[0];
        (jail.maxretry, jail.findtime) = (maxretry, Duration::from_secs(findtime));
        (jail.observe, jail.source, jail.bantime) = (observe, vec![path], BanTime::Permanent);
        prop_assert_eq!(config, Ok(expected));
    }
}
