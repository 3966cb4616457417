//! The table: who does what, and who bans them for it.

use std::{collections::BTreeSet, net::IpAddr};

use super::deeds::Deed;

/// A source.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its addresses, as they are written.
    pub(crate) named: String,
    /// The same, which take turns.
    pub(crate) from: Vec<IpAddr>,
    /// What it does, in words.
    pub(crate) does: &'static str,
    /// The same.
    pub(crate) deeds: Vec<Deed>,
    /// When.
    pub(crate) when: When,
    /// How many seconds before the two were started it has done the first of these already, each time.
    pub(crate) before: &'static [u64],
    /// fail2ban's jails that ban it.
    pub(crate) fail2ban: BTreeSet<&'static str>,
    /// banner's: `mail`, which everybody has, and `abuse`.
    pub(crate) banner: BTreeSet<&'static str>,
    /// Those of fail2ban's jails that ban it in banner, with fail2ban's filters.
    pub(crate) imported: BTreeSet<&'static str>,
    /// Why the two differ; empty where they do not.
    pub(crate) because: &'static str,
}

/// When something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// While all is well.
    Usual,
    /// While nothing checks passwords.
    Outage,
    /// After that, and more than a findtime after what was done before.
    Late,
    /// When all others are done. Every jail bans these.
    Closing,
}

/// Somebody who does this, and whom nobody bans.
pub(crate) fn source(from: &str, does: &'static str, deeds: Vec<Deed>) -> Row {
    sources(&[from], does, deeds)
}

/// The same from several addresses in turn.
#[expect(clippy::expect_used, reason = "a table is written by hand")]
pub(crate) fn sources(from: &[&str], does: &'static str, deeds: Vec<Deed>) -> Row {
    let named = from.join(", ");
    let from = from.iter().map(|address| address.parse().expect("the table has addresses")).collect();
    let (fail2ban, banner, imported) = Default::default();
    Row { named, from, does, deeds, when: When::Usual, before: &[], fail2ban, banner, imported, because: "" }
}

impl Row {
    /// This jail of fail2ban's bans it, and the one of banner's that is for the same.
    pub(crate) fn both(mut self, jail: &'static str) -> Self {
        self.fail2ban.insert(jail);
        self.imported.insert(jail);
        self.banner.insert(if jail == "postfix" { "abuse" } else { "mail" });
        self
    }

    /// This jail of banner's bans it, and none of fail2ban's.
    pub(crate) fn only_banner(mut self, jail: &'static str, because: &'static str) -> Self {
        self.banner.insert(jail);
        Self { because, ..self }
    }

    /// This jail of fail2ban's bans it, and none of banner's.
    pub(crate) fn only_fail2ban(mut self, jail: &'static str, because: &'static str) -> Self {
        self.fail2ban.insert(jail);
        self.imported.insert(jail);
        Self { because, ..self }
    }

    /// In banner, fail2ban's filters ban it by these jails, which is another verdict than fail2ban's, for the same reason.
    pub(crate) fn imported(self, jails: &[&'static str]) -> Self {
        Self { imported: jails.iter().copied().collect(), ..self }
    }

    /// It does so then.
    pub(crate) fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// It has done so already, so many seconds before.
    pub(crate) fn before(self, seconds: &'static [u64]) -> Self {
        Self { before: seconds, ..self }
    }
}
