//! Builds the kernel object so that its bytes depend on its inputs and its toolchain alone.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use object::{
    build::elf::{Builder, SectionData},
    elf,
};

use super::toolchain::{Kind, Toolchain};
use crate::{process, workspace};

const TARGET: &str = "bpfel-unknown-none";

/// What the compiler is told beside the profile. An input of the object.
pub(super) const FLAGS: [&str; 3] = [
    // The loader, the verifier's messages and bpftool read the types and lines from BTF.
    "-Clink-arg=--btf",
    // 32-bit arithmetic and jumps: Linux 5.1, atomics 5.12. A hit costs 25 ns instead of v1's 34.
    "-Ctarget-cpu=v3",
    // aya otherwise takes the host's, for the registers of probes, which an XDP program does not have.
    "--cfg=bpf_target_arch=\"x86_64\"",
];

/// Where the object claims that its sources are. LLVM copies source lines into BTF where it finds the file, so this must be
/// a place that no machine has: Debian Policy 9.2.3 reserves the name.
const NOWHERE: &str = "/nonexistent";

/// Builds the object of the workspace at `root`, with the files of the build below `target`, and returns its bytes.
///
/// # Errors
/// The compiler or the linker refuses, or what they made is no ELF file.
pub(super) fn build(root: &Path, target: &Path, toolchain: &Toolchain) -> Result<Vec<u8>> {
    let mut cargo = Command::new(toolchain.cargo());
    cargo.current_dir(root);
    // What a developer sets for host builds has no business in the object.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_TARGET_", "RUSTUP_"].iter().any(|prefix| text.starts_with(prefix))
        {
            cargo.env_remove(&name);
        }
    }
    // Empty is none, whatever a configuration file says.
    cargo.env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "").env("CARGO_INCREMENTAL", "0");
    cargo.env_remove("RUSTC_BOOTSTRAP");
    cargo
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(root, toolchain)?)
        .args(["build", "--locked", "--quiet", "--package", "banner-ebpf"])
        .args(["--profile", "bpf", "--target", TARGET]);
    match &toolchain.kind {
        // aya-ebpf asks for asm_experimental_arch, the program for core_intrinsics.
        Kind::PrebuiltCore => cargo.env("RUSTC_BOOTSTRAP", "1"),
        Kind::Nightly { .. } => cargo.args(["-Z", "build-std=core"]),
    };
    process::run(&mut cargo)?;
    let built = target.join(TARGET).join("bpf/banner-bpf");
    let object = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    without_dwarf(&object).with_context(|| format!("cannot rewrite {}", built.display()))
}

/// Builds a copy of the workspace in a temporary folder, from nothing.
///
/// # Errors
/// The copy cannot be made, or as [`build`].
pub(super) fn in_another_folder(root: &Path, toolchain: &Toolchain) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    // Another name, another depth.
    let copy = folder.path().join("another/folder");
    copy_folder(root, &copy).with_context(|| format!("cannot copy the workspace to {}", copy.display()))?;
    build(&copy, &copy.join("target/bpf"), toolchain)
}

/// The flags for cargo's CARGO_ENCODED_RUSTFLAGS: [`FLAGS`], and each folder of this machine that would get into the object
/// mapped to one that is the same everywhere. The compiler takes the last that fits.
fn flags(root: &Path, toolchain: &Toolchain) -> Result<OsString> {
    let mut folders = vec![(root.to_owned(), "banner")];
    // One folder per registry: crates.io and its mirrors differ in its name only.
    if let Some(registries) = workspace::cargo_home().map(|home| home.join("registry/src")) {
        for registry in fs::read_dir(&registries).into_iter().flatten() {
            folders.push((registry.context("cannot list cargo's registries")?.path(), "cargo"));
        }
    }
    if let Kind::Nightly { library } = &toolchain.kind {
        folders.push((library.clone(), "rust"));
    }
    let mut flags: OsString = FLAGS.join("\x1f").into();
    for (folder, name) in folders {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(folder);
        flags.push(format!("={NOWHERE}/{name}"));
    }
    Ok(flags)
}

/// Takes out the debugger's sections: nine tenths of the file, and nothing that the kernel or aya reads. BTF stays. LLVM
/// makes BTF from the same information and cannot be told to leave DWARF out.
fn without_dwarf(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    for section in builder.sections.iter_mut() {
        let name = section.name.to_string();
        section.delete = name.starts_with(".debug_") || name.starts_with(".rel.debug_");
    }
    builder.delete_orphans();
    // LLVM keeps the names of sections and symbols in one table, the writer in two.
    let names = builder.sections.add();
    names.name = ".shstrtab".into();
    names.sh_type = elf::SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    builder.write(&mut stripped)?;
    Ok(stripped)
}

/// Copies what a build reads: everything but what builds leave behind and what begins with a dot.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let target: PathBuf = to.join(&name);
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
