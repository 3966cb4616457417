//! What the build of the kernel object needs, and how to get it.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{process, terminal::Terminal, workspace};

/// Printed where a part of the toolchain is missing; the first block is what `--install` runs.
pub(super) const INSTRUCTIONS: &str = "  On Debian 12 or 13 (cargo xtask ebpf --install runs these):
    apt-get install --no-install-recommends rustc-web libstd-rust-web-dev-bpf llvm-22-dev
    LLVM_PREFIX=/usr/lib/llvm-22 cargo install --locked bpf-linker@0.13.0 --no-default-features --features llvm-22
  Elsewhere, with rustup:
    rustup toolchain install nightly --component rust-src
    cargo binstall bpf-linker";

const PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev-bpf", "llvm-22-dev"];
const LLVM: &str = "/usr/lib/llvm-22";
const LINKER: &str = "0.13.0";

/// Installs Debian's compiler with `core` for BPF, LLVM's libraries, and bpf-linker built against them.
///
/// # Errors
/// This is no Debian, or one of the commands fails.
pub(super) fn run(terminal: &Terminal) -> Result<()> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.lines().any(|line| line == "ID=debian") {
        bail!("this is not Debian\n{INSTRUCTIONS}");
    }
    // sudo passes no environment on.
    let mut apt = process::as_root("env");
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends"])
        .args(PACKAGES);
    terminal.line(process::shown(&apt));
    process::run(&mut apt).context("Debian's packages (apt-get update may help)")?;

    let wanted = format!("bpf-linker {LINKER}");
    let installed =
        process::find("bpf-linker").and_then(|linker| process::output(Command::new(linker).arg("--version")).ok());
    if installed.is_some_and(|version| version.trim() == wanted) {
        terminal.good(format_args!("{wanted} is there already"));
        return Ok(());
    }
    let mut cargo = Command::new(workspace::cargo());
    cargo.env("LLVM_PREFIX", LLVM).args(["install", "--locked", "--force", &format!("bpf-linker@{LINKER}")]).args([
        "--no-default-features",
        "--features",
        "llvm-22",
    ]);
    terminal.line(format_args!("LLVM_PREFIX={LLVM} {}", process::shown(&cargo)));
    process::run(&mut cargo)
}
