//! Real mail servers: a Debian host of its own for each test, with systemd, Postfix, Cyrus or Dovecot and banner's own unit, and
//! the internet around it.
//!
//! - [`root`] makes the file systems, once, below `target/lab`;
//! - [`host`] boots one of them in a second: network, files and processes of its own, which vanish with the test;
//! - [`client`] is who speaks to it from the internet, well or ill behaved;
//! - `tests/lab/` has what is laid over the files: the servers' configuration.

pub mod client;
pub mod host;
pub mod root;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use client::Clients;
use host::Host;
use root::{Kind, Roots};

use crate::{
    command_line::{Answer, CommandLine},
    network::Network,
    privilege,
};

/// What a lab is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which servers.
    pub kind: Kind,
    /// Folders of `tests/lab/files` that are laid over those that every host of this kind has.
    pub variants: Vec<String>,
    /// `/etc/banner/banner.toml`.
    pub configuration: String,
    /// The binary.
    pub banner: PathBuf,
}

impl Setup {
    /// Servers as Debian's postmasters have them, and banner without configuration.
    #[must_use]
    pub fn new(kind: Kind, banner: PathBuf) -> Self {
        Self { kind, variants: Vec::new(), configuration: String::new(), banner }
    }
}

/// A mail server on the internet.
#[derive(Debug)]
pub struct Lab {
    /// The cable, and everybody else.
    pub network: Network,
    /// Postfix, Cyrus or Dovecot, banner.
    pub server: Host,
    /// The files that its host began with.
    pub root: PathBuf,
}

impl Lab {
    /// Boots it; None where this machine does not let a test do that, which is then said. banner is installed and not started.
    ///
    /// # Errors
    /// In CI a missing right or root is one; elsewhere the kernel's, and what does not start.
    pub fn up(setup: &Setup) -> anyhow::Result<Option<Self>> {
        let skipped = format!("the lab with {}", setup.kind.name());
        if !privilege::can_load_programs(&skipped)? {
            return Ok(None);
        }
        let roots = Roots::new();
        let Some(root) = roots.find(setup.kind)? else {
            let remedy = "its root is not there, or from an older recipe; make it with `cargo xtask lab fetch`";
            if std::env::var_os("CI").is_some() {
                bail!("{skipped}: {remedy}");
            }
            // Straight to the descriptor: the test harness swallows what a passing test prints.
            writeln!(std::io::stderr(), "skipped: {skipped}: {remedy}")?;
            return Ok(None);
        };
        let own = tempfile::tempdir().context("making a temporary folder")?;
        install(own.path(), &roots, setup)?;
        let mut layers: Vec<_> = ["all", setup.kind.name()].map(|name| roots.layer(name)).into();
        layers.extend(setup.variants.iter().map(|name| roots.layer(name)));
        layers.push(own.path().to_owned());
        let network = Network::without_listeners()?;
        let server = Host::boot(&network.server, &root, &layers, &setup.banner)?;
        Ok(Some(Self { network, server, root }))
    }

    /// Everybody on the internet.
    #[must_use]
    pub fn clients(&self) -> Clients<'_> {
        Clients::new(&self.network.internet, &self.root)
    }

    /// Starts banner, as an operator does.
    ///
    /// # Errors
    /// systemd says why it does not start.
    pub fn start_banner(&self) -> anyhow::Result<()> {
        if let Err(error) = self.server.run("systemctl start banner") {
            let said = self.server.run("journalctl --no-pager --unit banner")?;
            return Err(error.context(said));
        }
        Ok(())
    }
}

impl CommandLine for Lab {
    fn banner(&self, arguments: &str) -> anyhow::Result<Answer> {
        self.server.answer(&format!("banner {arguments}"))
    }
}

/// banner's own files, where the README puts them.
fn install(files: &Path, roots: &Roots, setup: &Setup) -> anyhow::Result<()> {
    let units = files.join("etc/systemd/system");
    fs::create_dir_all(&units)?;
    fs::copy(roots.unit(), units.join("banner.service")).context("installing the unit")?;
    let etc = files.join("etc/banner");
    fs::create_dir_all(&etc)?;
    fs::write(etc.join("banner.toml"), &setup.configuration)?;
    fs::set_permissions(files, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
