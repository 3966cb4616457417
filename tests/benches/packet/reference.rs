//! The filter in plain C, compiled where this runs.

use std::{env::consts::ARCH, net::Ipv4Addr, path::Path, process::Command};

use anyhow::{Context as _, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap},
    programs::Xdp,
};

/// Its program.
pub(super) const NAME: &str = "reference";

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/packet/reference.bpf.c");

/// `struct ban`: until when, and three counters.
type Ban = [u64; 4];

/// A ban that does not end.
const BAN: Ban = [u64::MAX, 0, 0, 0];

/// Compiles and loads it.
pub(super) fn load(
    ports: &[u16],
    bans_v4: impl ExactSizeIterator<Item = Ipv4Addr>,
    ban_v6: [u8; 8],
) -> anyhow::Result<Ebpf> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("reference.bpf.o");
    compile(&path)?;
    let entries = u32::try_from(bans_v4.len())?;
    let mut ebpf = EbpfLoader::new().map_max_entries("bans_v4", entries.max(1)).load_file(&path)?;
    let map = |ebpf: &mut Ebpf, name| ebpf.take_map(name).with_context(|| format!("the reference has no map `{name}`"));
    let mut guarded: Array<_, u8> = Array::try_from(map(&mut ebpf, "ports")?)?;
    for port in ports {
        guarded.set((*port).into(), 1, 0)?;
    }
    let mut bans: HashMap<_, [u8; 4], Ban> = HashMap::try_from(map(&mut ebpf, "bans_v4")?)?;
    for address in bans_v4 {
        bans.insert(address.octets(), BAN, 0)?;
    }
    let mut bans: HashMap<_, [u8; 8], Ban> = HashMap::try_from(map(&mut ebpf, "bans_v6")?)?;
    bans.insert(ban_v6, BAN, 0)?;
    let program: &mut Xdp = ebpf.program_mut(NAME).context("the reference has its program")?.try_into()?;
    program.load()?;
    Ok(ebpf)
}

fn compile(path: &Path) -> anyhow::Result<()> {
    let output = Command::new("clang")
        .args(["-O2", "-g", "-target", "bpf", "-Wall", "-Werror"])
        // Where Debian has asm/types.h, which clang looks for under its target's name alone.
        .arg(format!("-I/usr/include/{ARCH}-linux-gnu"))
        .args(["-c", SOURCE, "-o"])
        .arg(path)
        .output()
        .context("running clang")?;
    ensure!(output.status.success(), "compiling {SOURCE}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
