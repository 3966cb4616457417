//! The manifest beside the kernel object: which object, from which inputs, by which toolchain.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::{COMMITTED, inputs, inputs::Inputs, toolchain::Versions};

/// Below the root.
const PATH: &str = "banner-ebpf/banner.bpf.toml";

const HEADER: &str = "\
# What banner.bpf.o was built from and with. `cargo xtask ebpf` writes both files, `cargo xtask ebpf --check` compares them
# with the sources.

";

/// Everything that is known about the committed object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// SHA-256 of the object.
    object: String,
    /// What built it.
    pub(crate) toolchain: Versions,
    /// What it was built from.
    inputs: Inputs,
}

impl Manifest {
    /// Describes an object that was just built.
    pub(crate) fn new(object: &[u8], toolchain: Versions, inputs: Inputs) -> Self {
        Self { object: inputs::sha256(object), toolchain, inputs }
    }

    /// Reads the committed manifest.
    ///
    /// # Errors
    /// It is not there, or is not one.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(PATH)).with_context(|| format!("cannot read {PATH}"))?;
        toml::from_str(&text).with_context(|| format!("cannot parse {PATH}; `cargo xtask ebpf` writes it anew"))
    }

    /// Writes it where it is committed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, root: &Path) -> Result<()> {
        let text = HEADER.to_owned() + &toml::to_string(self).context("cannot write the manifest as TOML")?;
        fs::write(root.join(PATH), text).with_context(|| format!("cannot write {PATH}"))
    }

    /// Whether this object is the one that it describes.
    ///
    /// # Errors
    /// It is another one.
    pub(crate) fn matches_object(&self, object: &[u8]) -> Result<()> {
        if inputs::sha256(object) != self.object {
            bail!("{COMMITTED} is not the object that {PATH} describes; build both again: cargo xtask ebpf");
        }
        Ok(())
    }

    /// Whether the sources are still those that the object was built from.
    ///
    /// # Errors
    /// They are not; the error names each input that differs.
    pub(crate) fn matches_inputs(&self, now: &Inputs) -> Result<()> {
        let changes = self.inputs.changes(now);
        if !changes.is_empty() {
            bail!(
                "{COMMITTED} was built from other sources: {}; build and commit it again: cargo xtask ebpf",
                changes.join(", ")
            );
        }
        Ok(())
    }
}
