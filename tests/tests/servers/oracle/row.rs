//! The table: who does what, and who bans them for it.

use std::net::IpAddr;

use super::deeds::Deed;

/// A source.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its addresses, which take turns.
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
    pub(crate) fail2ban: &'static [&'static str],
    /// banner's: `mail`, which everybody has, and `abuse`.
    pub(crate) banner: &'static [&'static str],
    /// Those of banner's jails with fail2ban's filters, where they are not fail2ban's.
    pub(crate) imported: &'static [&'static str],
    /// Why the two differ.
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
pub(crate) fn sources(from: &[&str], does: &'static str, deeds: Vec<Deed>) -> Row {
    let from = from.iter().map(|address| address.parse().expect("an address")).collect();
    Row { from, does, deeds, when: When::Usual, before: &[], fail2ban: &[], banner: &[], imported: &[], because: "" }
}

impl Row {
    /// These jails of fail2ban's ban it.
    pub(crate) fn fail2ban(self, jails: &'static [&'static str]) -> Self {
        Self { fail2ban: jails, imported: jails, ..self }
    }

    /// These of banner's.
    pub(crate) fn banner(self, jails: &'static [&'static str]) -> Self {
        Self { banner: jails, ..self }
    }

    /// These of banner's with fail2ban's filters, which decide otherwise than fail2ban.
    pub(crate) fn imported(self, jails: &'static [&'static str]) -> Self {
        Self { imported: jails, ..self }
    }

    /// Why they differ.
    pub(crate) fn because(self, reason: &'static str) -> Self {
        Self { because: reason, ..self }
    }

    pub(crate) fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    pub(crate) fn before(self, seconds: &'static [u64]) -> Self {
        Self { before: seconds, ..self }
    }

    /// Whether the two decide otherwise: of logins `mail` corresponds to all jails but `postfix`, which `abuse` corresponds to.
    pub(crate) fn differs(&self) -> bool {
        let of_logins = self.fail2ban.iter().any(|jail| *jail != "postfix");
        let of_mail = self.fail2ban.contains(&"postfix");
        self.banner.contains(&"mail") != of_logins || self.banner.contains(&"abuse") != of_mail
    }
}
