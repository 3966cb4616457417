//! The kernel object: committed at banner-ebpf/banner.bpf.o, so that `cargo build` needs nothing but stable Rust, with a
//! manifest beside it that says from what, and with what, it was built.
//!
//! [`inputs`] is what goes in, [`toolchain`] finds what builds it, [`build`] does, [`manifest`] ties the three together.

mod build;
mod inputs;
mod install;
mod manifest;
mod toolchain;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use inputs::Inputs;
use manifest::Manifest;
use toolchain::{Toolchain, Versions};

use crate::{terminal::Terminal, workspace};

/// The committed object, below the root.
pub(crate) const COMMITTED: &str = "banner-ebpf/banner.bpf.o";
/// Where a check leaves what it built, below the root.
const REBUILT: &str = "target/bpf/banner.bpf.o";

/// What `cargo xtask ebpf` does; without an option it builds the object and its manifest anew.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install what the build needs on Debian, then do nothing else
    #[arg(long, conflicts_with = "check")]
    install: bool,
    /// Change nothing: compare the committed object with its sources, by digest and (with a toolchain) by building it
    #[arg(long)]
    check: bool,
    /// Build a second time, in another folder, and compare the bytes
    #[arg(long, requires = "check")]
    twice: bool,
}

/// Runs the task.
///
/// # Errors
/// The toolchain is missing or fails, or the check found a mismatch.
pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    if args.install {
        install::run(terminal)
    } else if args.check {
        check(args.twice, terminal).map(drop)
    } else {
        rebuild(terminal)
    }
}

/// What a check that found no mismatch knows.
pub(crate) struct Checked {
    /// The object that this machine's toolchain builds, where its bytes are not the committed ones'.
    pub(crate) differing: Option<PathBuf>,
    /// Whether a toolchain was there to build it.
    pub(crate) built: bool,
}

/// Compares the committed object with its sources; `twice` asks whether the folder leaves a trace in the bytes.
///
/// # Errors
/// The sources have changed since the object was built, the object is not the one that the manifest describes, or the
/// recorded toolchain builds other bytes.
pub(crate) fn check(twice: bool, terminal: &Terminal) -> Result<Checked> {
    let root = workspace::root();
    let manifest = Manifest::read(&root)?;
    let committed = read(&root.join(COMMITTED))?;
    manifest.matches_object(&committed)?;
    manifest.matches_inputs(&Inputs::read(&root)?)?;
    terminal.good("the object and its sources are those of the manifest");

    let toolchain = match Toolchain::find()? {
        Ok(toolchain) => toolchain,
        Err(missing) => {
            terminal.note(format_args!("no compiler for BPF here, so digests alone were compared\n{missing}"));
            return Ok(Checked { differing: None, built: false });
        }
    };
    let rebuilt = build::build(&root, &root.join("target/bpf"), &toolchain)?;
    if twice {
        let elsewhere = build::in_another_folder(&root, &toolchain)?;
        if elsewhere != rebuilt {
            bail!(
                "two builds in different folders differ: a path or a clock gets into the object; \
                 compare `strings` of both builds"
            );
        }
        terminal.good("a build in another folder gives the same bytes");
    }
    let path = root.join(REBUILT);
    fs::write(&path, &rebuilt).with_context(|| format!("cannot write {}", path.display()))?;
    let differing = (rebuilt != committed).then_some(path);
    let other = manifest.toolchain.differences(&toolchain.versions);
    compare(differing.is_none(), &other, terminal)?;
    Ok(Checked { differing, built: true })
}

/// Says what the bytes of a rebuilt object mean.
fn compare(same_bytes: bool, other_versions: &[String], terminal: &Terminal) -> Result<()> {
    match (same_bytes, other_versions) {
        (true, []) => terminal.good("rebuilt with the recorded toolchain: the same bytes"),
        (true, other) => terminal.good(format_args!("rebuilt with {}: the same bytes", other.join(", "))),
        (false, []) => bail!(
            "the recorded toolchain builds other bytes from the same sources; {REBUILT} is what it built. \
             Build and commit the object again: cargo xtask ebpf"
        ),
        (false, other) => terminal.note(format_args!(
            "rebuilt with {}: the bytes differ, which another toolchain may; {REBUILT} is what it built",
            other.join(", ")
        )),
    }
    Ok(())
}

/// Builds the object and writes it and its manifest where they are committed.
fn rebuild(terminal: &Terminal) -> Result<()> {
    let root = workspace::root();
    let toolchain = match Toolchain::find()? {
        Ok(toolchain) => toolchain,
        Err(missing) => bail!("no compiler for BPF here\n{missing}"),
    };
    let object = build::build(&root, &root.join("target/bpf"), &toolchain)?;
    let inputs = Inputs::read(&root)?;
    let path = root.join(COMMITTED);
    let before = fs::read(&path).ok();
    fs::write(&path, &object).with_context(|| format!("cannot write {}", path.display()))?;
    let Versions { rustc, linker, .. } = &toolchain.versions;
    let what = if before.as_deref() == Some(object.as_slice()) { "unchanged" } else { "written" };
    terminal.good(format_args!("{COMMITTED}: {} bytes, {what} ({rustc}, {linker})", object.len()));
    Manifest::new(&object, toolchain.versions, inputs).write(&root)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_are_an_error_of_the_recorded_toolchain_alone() {
        let terminal = Terminal::stdout();
        let other = ["rustc 2".to_owned()];
        for (same_bytes, other_versions, holds) in
            [(true, &[][..], true), (true, &other, true), (false, &[], false), (false, &other, true)]
        {
            let held = compare(same_bytes, other_versions, &terminal).is_ok();
            assert_eq!(held, holds, "same bytes: {same_bytes}, other versions: {other_versions:?}");
        }
    }
}
