//! packaging/banner.service, as far as it confines.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
    str::FromStr as _,
};

use anyhow::{Context as _, bail, ensure};
use caps::{Capability, CapsHashSet};
use nix::sys::socket::AddressFamily;

const UNIT: &str = include_str!("../../../packaging/banner.service");

/// The unit's file.
pub(crate) fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/banner.service")
}

/// The values of a key, in their order.
pub(crate) fn values(key: &str) -> Vec<&'static str> {
    let value = |line: &'static str| line.strip_prefix(key)?.strip_prefix('=');
    UNIT.lines().filter_map(value).collect()
}

/// The words of all values of a key.
fn words(key: &str) -> impl Iterator<Item = &'static str> {
    values(key).into_iter().flat_map(str::split_whitespace)
}

/// What the daemon starts with.
pub(crate) fn capabilities() -> anyhow::Result<CapsHashSet> {
    let parse = |name| Capability::from_str(name).ok().with_context(|| format!("{name} is no capability"));
    words("CapabilityBoundingSet").map(parse).collect()
}

/// The families of sockets that it can make.
pub(crate) fn families() -> anyhow::Result<Vec<AddressFamily>> {
    let parse = |name| match name {
        "AF_UNIX" => Ok(AddressFamily::Unix),
        "AF_NETLINK" => Ok(AddressFamily::Netlink),
        _ => bail!("this test does not know {name}"),
    };
    words("RestrictAddressFamilies").map(parse).collect()
}

/// What it can write to, beside its own directories. `ProtectKernelTunables` makes all of /sys read-only, and bpffs by name, so
/// that naming it in `ReadWritePaths` does not help (`protect_kernel_tunables_table`, src/core/namespace.c, systemd 252).
pub(crate) fn writable() -> impl Iterator<Item = &'static Path> {
    let covers_sys = values("ProtectKernelTunables").contains(&"yes");
    words("ReadWritePaths").map(Path::new).filter(move |path| !(covers_sys && path.starts_with("/sys")))
}

/// The system calls that it can make, as systemd.exec(5) reads `SystemCallFilter`: the first list allows, later ones take away
/// with a `~` and add without, and `@default` is always there. None where systemd-analyze is missing.
pub(crate) fn system_calls() -> anyhow::Result<Option<BTreeSet<String>>> {
    let mut allowed = BTreeSet::new();
    for list in ["@default"].into_iter().chain(values("SystemCallFilter")) {
        let (is_taken_away, list) = list.strip_prefix('~').map_or((false, list), |list| (true, list));
        for name in list.split_whitespace() {
            let Some(calls) = expand(name)? else { return Ok(None) };
            for call in calls {
                if is_taken_away {
                    allowed.remove(&call)
                } else {
                    allowed.insert(call)
                };
            }
        }
    }
    Ok(Some(allowed))
}

/// The system calls of a group, with those of the groups in it; or the one of this name.
fn expand(name: &str) -> anyhow::Result<Option<BTreeSet<String>>> {
    if !name.starts_with('@') {
        return Ok(Some(BTreeSet::from([name.to_owned()])));
    }
    let Some((listed, _)) = systemd_analyze(&["syscall-filter", name])? else { return Ok(None) };
    let members = listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut calls = BTreeSet::new();
    for member in members {
        calls.extend(expand(member)?.unwrap_or_default());
    }
    ensure!(!calls.is_empty(), "systemd-analyze knows no {name}: {listed}");
    Ok(Some(calls))
}

/// What `systemd-analyze` says, and whether it is content. None where it is not installed, which is said; a failure in CI.
pub(crate) fn systemd_analyze(arguments: &[&str]) -> anyhow::Result<Option<(String, bool)>> {
    let output = match Command::new("systemd-analyze").arg("--no-pager").args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var_os("CI").is_none() => {
            // Straight to the descriptor: the test harness swallows what a passing test prints.
            writeln!(
                std::io::stderr(),
                "skipped: the unit file: there is no systemd-analyze; install the package systemd"
            )?;
            return Ok(None);
        }
        Err(error) => return Err(error).context("running systemd-analyze; install the package systemd"),
    };
    let said = [output.stdout, output.stderr].concat();
    Ok(Some((String::from_utf8_lossy(&said).into_owned(), output.status.success())))
}
