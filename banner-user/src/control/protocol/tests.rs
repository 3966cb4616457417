//! The names and shapes of every field, as clients rely on them. A change here is a change of the interface.

use std::num::NonZeroU32;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::*;

/// The value is written as `expected`, and read back from it.
#[track_caller]
fn is<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, expected: &Value) {
    assert_eq!(&serde_json::to_value(value).unwrap(), expected);
    assert_eq!(&serde_json::from_value::<T>(expected.clone()).unwrap(), value);
}

fn time(text: &str) -> Time {
    Time(text.parse().unwrap())
}

fn ban() -> Ban {
    Ban {
        prefix: "192.0.2.1".parse().unwrap(),
        origin: Origin::Jail,
        jail: Some("mail".into()),
        list: None,
        services: vec!["smtp".into()],
        since: Some(time("2026-11-22T12:00:00Z")),
        until: Some(time("2026-11-22T12:10:00Z")),
        remaining: Some(599),
        packets: 1,
        bytes: 60,
        last_seen: Some(time("2026-11-22T12:00:01Z")),
        observe: false,
        waits: false,
    }
}

fn ban_json() -> Value {
    json!({
        "prefix": "192.0.2.1", "origin": "jail", "jail": "mail", "list": null, "services": ["smtp"],
        "since": "2026-11-22T12:00:00Z", "until": "2026-11-22T12:10:00Z", "remaining": 599,
        "packets": 1, "bytes": 60, "last_seen": "2026-11-22T12:00:01Z", "observe": false, "waits": false,
    })
}

#[test]
fn status() {
    let status = Status {
        daemon: Some(Daemon { version: "0.1.0".into(), pid: 7, since: time("2026-11-22T12:00:00Z") }),
        interfaces: vec![Interface {
            name: "eth0".into(),
            mode: Some(Mode::Generic),
            state: InterfaceState::Attached,
            note: Some("slower".into()),
        }],
        jails: vec![Jail {
            name: "mail".into(),
            currently_failed: 1,
            total_failed: 2,
            currently_banned: 3,
            total_banned: 4,
            maxretry: 5,
            findtime: 600,
            bantime: BanTime::Seconds(NonZeroU32::new(700).unwrap()),
            services: vec!["smtp".into()],
            filter: vec!["cyrus".into()],
            source: vec!["/var/log/mail.log".into()],
            observe: true,
        }],
        files: vec![File {
            path: "/var/log/mail.log".into(),
            state: FileState::Following,
            offset: 8,
            behind: 0,
            lines: 9,
            note: None,
        }],
        lag: Some(Lag { current_ms: 10, worst_ms: 11 }),
        lists: Vec::new(),
        packets: Packets::read(|reason| Ok::<_, ()>(reason as u64)).unwrap(),
        limits: Limits {
            bans_v4: Fill { used: 1, limit: 2, overflowed: 3 },
            sources: Some(Fill::default()),
            offenders: None,
            customers: None,
            ..Limits::default()
        },
        foreign_entries: Some(1),
        fuse: vec![TrippedFuse {
            filter: Some("cyrus".into()),
            since: time("2026-11-22T12:00:00Z"),
            until: None,
            spared: 7,
        }],
        accounts_under_attack: AccountsUnderAttack {
            total: 2,
            accounts: vec![AccountUnderAttack {
                account: Some("alice".into()),
                since: time("2026-11-22T12:00:00Z"),
                last: time("2026-11-22T12:10:00Z"),
            }],
        },
        warnings: vec!["odd".into()],
    };
    let empty = json!({"used": 0, "limit": 0, "overflowed": 0});
    let expected = json!({
        "daemon": {"version": "0.1.0", "pid": 7, "since": "2026-11-22T12:00:00Z"},
        "interfaces": [{"name": "eth0", "mode": "generic", "state": "attached", "note": "slower"}],
        "jails": [{
            "name": "mail", "currently_failed": 1, "total_failed": 2, "currently_banned": 3, "total_banned": 4,
            "maxretry": 5, "findtime": 600, "bantime": 700, "services": ["smtp"], "filter": ["cyrus"],
            "source": ["/var/log/mail.log"], "observe": true,
        }],
        "files": [{"path": "/var/log/mail.log", "state": "following", "offset": 8, "behind": 0, "lines": 9, "note": null}],
        "lag": {"current_ms": 10, "worst_ms": 11},
        "lists": [], "packets": {
            "dropped_ban": 0, "dropped_odd": 1, "dropped_unreadable": 2, "observed": 3,
            "passed_clean": 4, "passed_ban": 5, "passed_odd": 6, "passed_unguarded": 7,
        },
        "limits": {
            "bans_v4": {"used": 1, "limit": 2, "overflowed": 3}, "bans_v6": empty,
            "prefixes_v4": empty, "prefixes_v6": empty, "sources": empty, "offenders": null, "customers": null,
        },
        "foreign_entries": 1,
        "fuse": [{"filter": "cyrus", "since": "2026-11-22T12:00:00Z", "until": null, "spared": 7}],
        "accounts_under_attack": {
            "total": 2,
            "accounts": [{"account": "alice", "since": "2026-11-22T12:00:00Z", "last": "2026-11-22T12:10:00Z"}],
        },
        "warnings": ["odd"],
    });
    is(&status, &expected);
}

#[test]
fn bans() {
    let page = BansPage { bans: vec![ban()], next: Some("2001:db8::/64".parse().unwrap()) };
    is(&page, &json!({"bans": [ban_json()], "next": "2001:db8::/64"}));
    is(&BansPage::<Ban> { bans: vec![], next: None }, &json!({"bans": [], "next": null}));
}

#[test]
fn why() {
    let why = Why {
        address: "2001:db8::1".parse().unwrap(),
        source: "2001:db8::/64".parse().unwrap(),
        protected: Some("ignoreip".into()),
        bans: vec![ban()],
        tally: vec![Tally {
            jail: "mail".into(),
            failures: Failures::of_quarters(9),
            weighed: Some(Failures::of_quarters(5)),
            maxretry: 3,
            findtime: 600,
            bantime: Some(BanTime::Permanent),
            reasons: vec![Reason { reason: "known_accounts".into(), text: "half".into() }],
            protected: None,
        }],
        causes: vec![Cause {
            prefix: "2001:db8::/64".parse().unwrap(),
            origin: Origin::Jail,
            jail: Some("mail".into()),
            failures: Failures::of_quarters(13),
            limit: Some(Failures::of_quarters(12)),
            filter: "cyrus".into(),
            reasons: Vec::new(),
            line: None,
        }],
        standing: Standing { customer: true, accounts: 2, banned_before: 1, ..Standing::default() },
        network: Some(Network {
            prefix: "2001:db8::/56".parse().unwrap(),
            members: vec!["2001:db8::/64".parse().unwrap()],
            limit: 10,
            customers: true,
        }),
        remedies: vec!["banner unban 2001:db8::1".into()],
        failures: vec![Failure {
            at: time("2026-11-22T12:00:00.5Z"),
            filter: "cyrus".into(),
            user: None,
            weight: Failures::of_quarters(1),
            file: "/var/log/mail.log".into(),
            offset: 8,
        }],
        newest_line: Some("line".into()),
        failures_while_banned: 1,
        history: Vec::new(),
        history_unknown: None,
    };
    let failure = json!({
        "at": "2026-11-22T12:00:00.5Z", "filter": "cyrus", "user": null, "weight": 0.25,
        "file": "/var/log/mail.log", "offset": 8,
    });
    let expected = json!({
        "address": "2001:db8::1", "source": "2001:db8::/64", "protected": "ignoreip", "bans": [ban_json()],
        "tally": [{
            "jail": "mail", "failures": 2.25, "weighed": 1.25, "maxretry": 3, "findtime": 600, "bantime": "permanent",
            "reasons": [{"reason": "known_accounts", "text": "half"}], "protected": null,
        }],
        "causes": [{
            "prefix": "2001:db8::/64", "origin": "jail", "jail": "mail", "failures": 3.25, "limit": 3, "filter": "cyrus",
            "reasons": [], "line": null,
        }],
        "standing": {
            "customer": true, "accounts": 2, "shared": false, "spared": false, "tried": 0, "attacked": 0, "banned_before": 1,
        },
        "network": {"prefix": "2001:db8::/56", "members": ["2001:db8::/64"], "limit": 10, "customers": true},
        "remedies": ["banner unban 2001:db8::1"],
        "failures": [failure], "newest_line": "line", "failures_while_banned": 1,
        "history": [], "history_unknown": null,
    });
    is(&why, &expected);
}

#[test]
fn requests() {
    let prefix = "192.0.2.0/24".parse().unwrap();
    let request = BanRequest {
        prefix,
        bantime: Some(BanTime::Permanent),
        services: vec!["smtp".into()],
        jail: None,
        force: true,
    };
    is(
        &request,
        &json!({"prefix": "192.0.2.0/24", "bantime": "permanent", "services": ["smtp"], "jail": null, "force": true}),
    );
    let shortest: BanRequest = serde_json::from_str(r#"{"prefix": "192.0.2.0/24"}"#).unwrap();
    assert_eq!(shortest, BanRequest { prefix, bantime: None, services: Vec::new(), jail: None, force: false });
    is(&UnbanRequest { prefix }, &json!({"prefix": "192.0.2.0/24"}));
}

#[test]
fn outcomes() {
    let prefix = "192.0.2.0/24".parse().unwrap();
    let except = "192.0.2.1".parse().unwrap();
    is(
        &Banned {
            prefix,
            until: None,
            services: Vec::new(),
            except: vec![except],
            overridden: vec!["a".into()],
            waits: true,
            not_saved: None,
        },
        &json!({"prefix": "192.0.2.0/24", "until": null, "services": [], "except": ["192.0.2.1"], "overridden": ["a"], "waits": true, "not_saved": null}),
    );
    is(
        &Unbanned { prefix: except, lifted: 1, instead: Vec::new(), still_banned_by: vec![prefix], not_saved: None },
        &json!({"prefix": "192.0.2.1", "lifted": 1, "instead": [], "still_banned_by": ["192.0.2.0/24"], "not_saved": null}),
    );
    is(&Reloaded { lifted: 1, warnings: Vec::new() }, &json!({"lifted": 1, "warnings": []}));
    is(
        &Detached { interfaces: vec!["eth0".into()], entries: 2, not_saved: None },
        &json!({"interfaces": ["eth0"], "entries": 2, "not_saved": null}),
    );
}

#[test]
fn errors() {
    let error = ErrorBody::new(ErrorKind::NotBanned, "a").because("b").because("c").remedy("d");
    is(&error, &json!({"kind": "not_banned", "error": "a", "cause": ["b", "c"], "remedy": "d"}));
    assert_eq!(error.to_string(), "a\n  cause: b\n  cause: c\n  remedy: d");
}
