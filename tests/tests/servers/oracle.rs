//! fail2ban as the oracle: Debian's, with its own jails and filters and banner's numbers, watches the same log of the same servers.
//! Whom each bans stands side by side, and every difference with its reason.
//!
//! The tables (`cyrus.rs`, `dovecot.rs`) have both verdicts for every source, so that a test fails when either changes; they are
//! printed as Markdown (`--nocapture`).
//!
//! banner has the jail that everybody has (`mail`), one with its filters for other abuse of SMTP (`abuse`), and one for each of
//! fail2ban's with that one's filter. All only observe: nobody's lines are missing because another was quicker.

mod because;
mod cyrus;
mod deeds;
mod dovecot;
mod fail2ban;
mod row;
mod trial;
mod verdict;

use banner_tests::lab::root::Kind;

#[test]
fn beside_cyrus_every_difference_from_fail2ban_has_its_reason() -> anyhow::Result<()> {
    trial::hold(Kind::Cyrus, &cyrus::rows())
}

#[test]
fn beside_dovecot_every_difference_from_fail2ban_has_its_reason() -> anyhow::Result<()> {
    trial::hold(Kind::Dovecot, &dovecot::rows())
}
