//! What a command did, in a sentence or two.

use super::style::{Style, count, list};
use crate::control::protocol::{Banned, Detached, FuseAnswer, Prefix, Reloaded, Text, TrippedFuse, Unbanned};

/// `banner ban`.
pub(in crate::cli) fn banned(banned: &Banned, style: &Style) -> String {
    let until = match banned.until {
        Some(until) => format!("until {}", style.time(until)),
        None => "permanently".to_owned(),
    };
    let except = match banned.except.as_slice() {
        [] => String::new(),
        except => format!(", except the protected {}", prefixes(except)),
    };
    let text = format!("{} is banned {until} from {}{except}\n", banned.prefix, list(&banned.services));
    let overridden = banned.overridden.iter().map(|what| format!("overrides {what}"));
    let waits = banned.waits.then(|| {
        "the kernel's map is full of bans that do not yield: no packet is dropped until one ends; raise its size under [limits]"
            .to_owned()
    });
    text + &warnings(overridden.chain(waits).chain(banned.not_saved.as_ref().map(Text::to_string)), style)
}

/// `banner unban`.
pub(in crate::cli) fn unbanned(unbanned: &Unbanned, style: &Style) -> String {
    let mut lifted =
        format!("{}: {} lifted, its failures are forgotten\n", unbanned.prefix, count(unbanned.lifted, "ban"));
    if !unbanned.instead.is_empty() {
        lifted += &format!("banned one by one instead: {}\n", prefixes(&unbanned.instead));
    }
    let still = (!unbanned.still_banned_by.is_empty())
        .then(|| format!("it stays banned by {}", prefixes(&unbanned.still_banned_by)));
    lifted + &warnings(still.into_iter().chain(unbanned.not_saved.as_ref().map(Text::to_string)), style)
}

/// `banner reload`.
pub(in crate::cli) fn reloaded(reloaded: &Reloaded, style: &Style) -> String {
    let lifted = match reloaded.lifted {
        0 => String::new(),
        number => {
            format!("; {} lifted that {} now protected", count(number, "ban"), if number == 1 { "is" } else { "are" })
        }
    };
    let text = format!("the configuration is read again{lifted}\n");
    text + &warnings(reloaded.warnings.iter().map(Text::to_string), style)
}

/// `banner detach`.
pub(in crate::cli) fn detached(detached: &Detached, style: &Style) -> String {
    let text = if detached.interfaces.is_empty() && detached.entries == 0 {
        "nothing was attached\n".to_owned()
    } else {
        format!(
            "detached from {}; {} removed: nothing is dropped any more\n",
            if detached.interfaces.is_empty() { "no interface".to_owned() } else { list(&detached.interfaces) },
            count(detached.entries, "ban")
        )
    };
    text + &warnings(detached.not_saved.iter().map(Text::to_string), style)
}

fn prefixes(prefixes: &[Prefix]) -> String {
    prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>().join(", ")
}

/// The fuse, tripped or reset.
pub(in crate::cli) fn fuse(answer: &FuseAnswer, style: &Style) -> String {
    if answer.tripped.is_empty() {
        return match answer.reset {
            0 => "the fuse was not tripped; for a while it will not trip by itself\n".to_owned(),
            _ => "the fuse is reset: every failure counts again\n".to_owned(),
        };
    }
    let shown = |fuse: &TrippedFuse| {
        let whose = fuse.filter.as_ref().map_or("all filters".to_owned(), |filter| format!("filter {filter}"));
        let until = fuse.until.map_or("customers get in again".to_owned(), |until| style.time(until));
        format!("the fuse is tripped for {whose} until {until}: failures of customers count against nobody\n")
    };
    answer.tripped.iter().map(shown).collect()
}

/// What an operator should look at.
pub(in crate::cli) fn health(troubles: &[String], style: &Style) -> String {
    if troubles.is_empty() {
        return "nothing to look at\n".to_owned();
    }
    warnings(troubles.iter().cloned(), style)
}

fn warnings(warnings: impl Iterator<Item = String>, style: &Style) -> String {
    warnings.map(|warning| format!("{} {warning}\n", style.warning("warning:"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Time;

    #[test]
    fn a_ban_says_until_when_from_what_and_with_what_exceptions() {
        let mut outcome = Banned {
            prefix: "192.0.2.0/24".parse().unwrap(),
            until: Some(Time("2026-11-22T12:10:00Z".parse().unwrap())),
            services: vec!["smtp".into(), "imap".into()],
            except: Vec::new(),
            overridden: Vec::new(),
            waits: false,
            not_saved: None,
        };
        let shown = |outcome: &Banned| banned(outcome, &Style::plain());
        assert_eq!(shown(&outcome), "192.0.2.0/24 is banned until 2026-11-22 12:10:00+00:00 from smtp, imap\n");
        outcome.until = None;
        outcome.except = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        outcome.overridden = vec!["ignoreip 192.0.2.128/25".into()];
        assert_eq!(
            shown(&outcome),
            "192.0.2.0/24 is banned permanently from smtp, imap, except the protected 192.0.2.1, 192.0.2.2\n\
             warning: overrides ignoreip 192.0.2.128/25\n"
        );
        outcome.waits = true;
        assert!(shown(&outcome).contains("warning: the kernel's map is full"), "{}", shown(&outcome));
        outcome.not_saved = Some("the disk is full".into());
        assert!(shown(&outcome).ends_with("warning: the disk is full\n"), "{}", shown(&outcome));
    }

    #[test]
    fn an_unban_says_what_still_holds() {
        let mut outcome = Unbanned {
            prefix: "192.0.2.1".parse().unwrap(),
            lifted: 2,
            instead: Vec::new(),
            still_banned_by: Vec::new(),
            not_saved: None,
        };
        let lifted = "192.0.2.1: 2 bans lifted, its failures are forgotten\n";
        assert_eq!(unbanned(&outcome, &Style::plain()), lifted);
        outcome.instead = vec!["192.0.2.2".parse().unwrap(), "192.0.2.3".parse().unwrap()];
        outcome.still_banned_by = vec!["192.0.2.0/24".parse().unwrap()];
        let shown = unbanned(&outcome, &Style::plain());
        let instead = "banned one by one instead: 192.0.2.2, 192.0.2.3\n";
        assert_eq!(shown, format!("{lifted}{instead}warning: it stays banned by 192.0.2.0/24\n"));
    }

    #[test]
    fn a_reload_says_what_it_lifted() {
        let shown = |lifted| reloaded(&Reloaded { lifted, warnings: vec!["odd".into()] }, &Style::plain());
        assert_eq!(shown(0), "the configuration is read again\nwarning: odd\n");
        assert_eq!(shown(1), "the configuration is read again; 1 ban lifted that is now protected\nwarning: odd\n");
    }

    #[test]
    fn a_detach_says_what_it_took_off() {
        let shown = |interfaces: &[&str], entries| {
            let interfaces = interfaces.iter().map(|name| (*name).into()).collect();
            let not_saved = (entries == 2).then(|| "the disk is full".into());
            detached(&Detached { interfaces, entries, not_saved }, &Style::plain())
        };
        assert_eq!(shown(&[], 0), "nothing was attached\n");
        assert_eq!(
            shown(&["eth0", "eth1"], 1),
            "detached from eth0, eth1; 1 ban removed: nothing is dropped any more\n"
        );
        assert_eq!(
            shown(&[], 2),
            "detached from no interface; 2 bans removed: nothing is dropped any more\nwarning: the disk is full\n"
        );
    }
}
