//! Finds what can compile for BPF: a compiler with `core` for the target, and bpf-linker.

use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::install;
use crate::{process, workspace};

/// A toolchain that is complete.
#[derive(Debug)]
pub(super) struct Toolchain {
    /// Where `core` comes from.
    pub(super) kind: Kind,
    /// The compiler.
    pub(super) rustc: PathBuf,
    /// bpf-linker.
    pub(super) linker: PathBuf,
    /// What decides about the bytes.
    pub(super) versions: Versions,
}

/// Where `core` for the BPF target comes from.
#[derive(Debug)]
pub(super) enum Kind {
    /// It lies beside the compiler, as Debian's libstd-rust-web-dev-bpf puts it.
    PrebuiltCore,
    /// It is compiled from the sources in this folder, by a nightly cargo.
    Nightly {
        /// rustup's component rust-src.
        library: PathBuf,
    },
}

/// The versions that decide about the bytes of an object. (Cargo's does not: 1.95 and 1.97 gave the same.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Versions {
    /// As `rustc --version` says it.
    pub(super) rustc: String,
    /// The machine that the compiler runs on.
    pub(super) host: String,
    /// The LLVM in the compiler.
    pub(super) rustc_llvm: String,
    /// As `bpf-linker --version` says it.
    pub(super) linker: String,
    /// The LLVM in bpf-linker, which generates the code.
    pub(super) linker_llvm: String,
}

/// What is missing here, with the commands that change that.
#[derive(Debug)]
pub(super) struct Missing {
    compiler: Option<String>,
    linker: bool,
}

impl Toolchain {
    /// Looks for a compiler with a prebuilt `core`, then for rustup's nightly with the sources of `core`.
    ///
    /// # Errors
    /// A tool is there, but cannot tell its version. A tool that is not there is no error but [`Missing`].
    pub(super) fn find() -> Result<Result<Self, Missing>> {
        let linker = process::find("bpf-linker");
        let (kind, rustc, linker) = match (find_compiler(), linker) {
            (Ok((kind, rustc)), Some(linker)) => (kind, rustc, linker),
            (compiler, linker) => {
                return Ok(Err(Missing { compiler: compiler.err(), linker: linker.is_none() }));
            }
        };
        let versions = Versions::of(&rustc, &linker)?;
        Ok(Ok(Self { kind, rustc, linker, versions }))
    }

    /// The cargo that drives the build: of the nightly where it has to compile `core`, else the one that runs this task.
    pub(super) fn cargo(&self) -> OsString {
        match self.kind {
            Kind::PrebuiltCore => workspace::cargo(),
            Kind::Nightly { .. } => self.rustc.with_file_name("cargo").into(),
        }
    }
}

impl Versions {
    fn of(rustc: &Path, linker: &Path) -> Result<Self> {
        let verbose = process::output(Command::new(rustc).arg("-vV"))?;
        let field = |name: &str| {
            let value = verbose.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.map(str::to_owned).with_context(|| format!("{} -vV names no {name}", rustc.display()))
        };
        let mut version = verbose.lines().next().unwrap_or_default().to_owned();
        // Debian's `core` names its sources there, and LLVM copies the lines that it finds into BTF.
        if Path::new(&format!("/usr/src/rustc-{}", field("release")?)).exists() {
            version.push_str(", with its sources in /usr/src");
        }
        // LLVM's own option parser answers and ends the program before the linker looks at the files.
        let llvm = Command::new(linker).args(["--llvm-args=--version", "--output=/dev/null", "/dev/null"]).output();
        let llvm = llvm.with_context(|| format!("cannot start {}", linker.display()))?;
        let llvm = String::from_utf8_lossy(&llvm.stdout).into_owned();
        let linker_llvm = llvm.lines().map(str::trim).find(|line| line.contains("LLVM version"));
        Ok(Self {
            rustc: version,
            host: field("host")?,
            rustc_llvm: field("LLVM version")?,
            linker: process::output(Command::new(linker).arg("--version"))?.trim().to_owned(),
            linker_llvm: linker_llvm.unwrap_or("unknown LLVM").to_owned(),
        })
    }

    /// What another toolchain has instead of the recorded versions, one entry each.
    pub(super) fn differences(&self, here: &Self) -> Vec<String> {
        let pairs = [
            (&self.rustc, &here.rustc),
            (&self.host, &here.host),
            (&self.rustc_llvm, &here.rustc_llvm),
            (&self.linker, &here.linker),
            (&self.linker_llvm, &here.linker_llvm),
        ];
        let differing = pairs.into_iter().filter(|(recorded, here)| recorded != here);
        differing.map(|(recorded, here)| format!("{here} instead of the recorded {recorded}")).collect()
    }
}

/// The compiler, or what is wrong with each that was looked at.
fn find_compiler() -> Result<(Kind, PathBuf), String> {
    let debian = PathBuf::from("/usr/bin/rustc");
    let no_debian = match has_prebuilt_core(&debian) {
        Ok(true) => return Ok((Kind::PrebuiltCore, debian)),
        Ok(false) => "/usr/bin/rustc has no core for BPF",
        Err(_) => "there is no /usr/bin/rustc",
    };
    let Ok(sysroot) = process::output(Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]))
    else {
        return Err(format!("{no_debian}, rustup has no nightly"));
    };
    let sysroot = PathBuf::from(sysroot.trim());
    let library = sysroot.join("lib/rustlib/src/rust");
    if library.join("library/core").is_dir() {
        Ok((Kind::Nightly { library }, sysroot.join("bin/rustc")))
    } else {
        Err(format!("{no_debian}, rustup's nightly has no rust-src"))
    }
}

fn has_prebuilt_core(rustc: &Path) -> Result<bool> {
    let folder =
        process::output(Command::new(rustc).args(["--print", "target-libdir", "--target", "bpfel-unknown-none"]))?;
    let Ok(entries) = fs::read_dir(folder.trim()) else { return Ok(false) };
    let is_core = |name: OsString| {
        let name = name.to_string_lossy().into_owned();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    };
    Ok(entries.flatten().any(|entry| is_core(entry.file_name())))
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(compiler) = &self.compiler {
            writeln!(f, "  missing: a compiler with core for bpfel-unknown-none ({compiler})")?;
        }
        if self.linker {
            writeln!(f, "  missing: bpf-linker (neither on PATH nor in cargo's bin folder)")?;
        }
        f.write_str(install::INSTRUCTIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions() -> Versions {
        Versions {
            rustc: "rustc 1.96.0".into(),
            host: "x86_64-unknown-linux-gnu".into(),
            rustc_llvm: "22.1.8".into(),
            linker: "bpf-linker 0.13.0".into(),
            linker_llvm: "LLVM version 22.1.8".into(),
        }
    }

    #[test]
    fn each_version_that_differs_is_said() {
        assert!(versions().differences(&versions()).is_empty());
        let here = Versions { rustc: "rustc 1.97.0".into(), linker: "bpf-linker 0.14.0".into(), ..versions() };
        assert_eq!(
            versions().differences(&here),
            [
                "rustc 1.97.0 instead of the recorded rustc 1.96.0",
                "bpf-linker 0.14.0 instead of the recorded bpf-linker 0.13.0",
            ]
        );
    }

    #[test]
    fn what_is_missing_is_said_with_the_commands_for_both_ways() {
        let text = Missing { compiler: Some("rustup has no nightly".into()), linker: true }.to_string();
        for part in
            ["rustup has no nightly", "missing: bpf-linker", "apt-get install", "rustup toolchain install nightly"]
        {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }
}
