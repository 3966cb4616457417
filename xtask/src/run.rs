//! `cargo xtask run`: the demonstration, or `banner ARGS` as root on this host.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{demo, process, terminal::Terminal, workspace};

/// What `cargo xtask run` does.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// This binary, instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Run `banner` with these arguments, as root, on this host; without any: the demonstration
    #[arg(last = true)]
    args: Vec<OsString>,
}

/// Runs banner, or shows it.
///
/// # Errors
/// It cannot be built, this process cannot become root, or a step of the demonstration did not happen.
pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    let banner = match &args.binary {
        Some(binary) => binary.clone(),
        None => build()?,
    };
    if !args.args.is_empty() {
        return replace_this_process(process::as_root(banner).args(&args.args));
    }
    if process::is_root() {
        return demo::run(&banner, terminal);
    }
    if process::find("sudo").is_none() {
        bail!("the demonstration makes network namespaces and loads a program into the kernel, which needs root");
    }
    // What was built belongs to the user; only what comes now is root's.
    let mut demonstration = process::as_root("env");
    if env::var_os("NO_COLOR").is_some() {
        demonstration.arg("NO_COLOR=1");
    }
    demonstration.arg(env::current_exe().context("cannot find this program")?);
    replace_this_process(demonstration.arg("run").arg("--binary").arg(banner))
}

/// Builds the binary, with the features that it has in the tests.
///
/// # Errors
/// The build fails.
pub(crate) fn build() -> Result<PathBuf> {
    let mut cargo = Command::new(workspace::cargo());
    cargo.current_dir(workspace::root()).args(["build", "--locked", "--workspace", "--exclude", "banner-ebpf"]);
    process::run(cargo.args(["--bin", "banner"]))?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace::root().join("target"), PathBuf::from);
    Ok(absolute(&target)?.join("debug/banner"))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))
}

/// Its exit code becomes this task's.
fn replace_this_process(command: &mut Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", process::shown(command)))
}
