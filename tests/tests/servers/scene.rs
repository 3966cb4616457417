//! A mail host with banner at work.

use banner_tests::{
    installation::binary,
    lab::{Lab, Setup, root::Kind},
};

/// Quick bans, a small map; otherwise what an operator has who configured nothing.
pub(crate) const QUICK: &str = "[jail.mail]\nbantime = \"15s\"\n";

/// Boots a host and starts banner there.
///
/// # Errors
/// As [`Lab::up`] and [`Lab::start_banner`].
pub(crate) fn guarded(kind: Kind, variants: &[&str], configuration: &str) -> anyhow::Result<Option<Lab>> {
    let variants = variants.iter().map(|name| (*name).to_owned()).collect();
    let setup = Setup { variants, configuration: configuration.to_owned(), ..Setup::new(kind, binary()?) };
    let Some(lab) = Lab::up(&setup)? else { return Ok(None) };
    lab.start_banner()?;
    Ok(Some(lab))
}
