//! Another build of the binary, of the kernel's program, of the state's schema; and back.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, ensure};
use banner_tests::{network::INTERFACE, process::install_program};

use crate::scene::{Conditions, Scene, at_work};

#[test]
fn another_build_of_binary_and_program_goes_on_and_so_does_the_former_after_it() -> anyhow::Result<()> {
    at_work(Conditions::default(), |scene| {
        let (former, other) = (scene.installation.binary().to_owned(), other_build(scene)?);
        let before = attached(scene)?;
        let source = scene.writer.new_source(3)?;
        let mut tags = Vec::new();
        for binary in [other, former] {
            scene.writer.write_line(source)?;
            scene.terminate()?;
            scene.installation.replace_binary(binary);
            scene.start()?;
            tags.push(attached(scene)?);
            scene.await_bans(3)?;
        }
        ensure!(tags.first() != Some(&before) && tags.last() == Some(&before), "{before}, then {tags:?}");
        // The third line: the two before it were counted by two other daemons.
        scene.writer.write_line(source)?;
        scene.await_bans(1)
    })
}

/// A copy of the binary with another program inside that does the same: where it loads a constant into the lower half of a
/// register, which clears the upper one, it loads the whole register (BPF_ALU | BPF_MOV | BPF_K, BPF_ALU64 | BPF_MOV | BPF_K).
fn other_build(scene: &Scene<'_>) -> anyhow::Result<PathBuf> {
    const HALF: u8 = 0xb4;
    const WHOLE: u8 = 0xb7;
    const INSTRUCTION: usize = 8;
    /// The magic of ELF, its class, order and version; at 18, the machine: EM_BPF (`include/uapi/linux/elf-em.h`).
    const ELF: &[u8] = &[0x7f, b'E', b'L', b'F', 2, 1, 1];
    const MACHINE: (usize, [u8; 2]) = (18, [247, 0]);
    let mut bytes = fs::read(scene.installation.binary())?;
    let is_object = |at: usize| {
        bytes.get(at..).is_some_and(|bytes| bytes.starts_with(ELF))
            && bytes.get(at + MACHINE.0..).is_some_and(|bytes| bytes.starts_with(&MACHINE.1))
    };
    let object = (0..bytes.len()).find(|at| is_object(*at)).context("the binary holds no object")?;
    // The first sections are the functions that the program calls, and the program.
    let mut instructions = bytes.get_mut(object..).context("an object")?.chunks_exact_mut(INSTRUCTION);
    let loads = |instruction: &&mut [u8]| matches!(**instruction, [HALF, 0..=9, 0, 0, _, _, _, 0..=0x7f]);
    let code = instructions.find(loads).and_then(|load| load.first_mut()).context("no instruction loads a constant")?;
    *code = WHOLE;
    let (written, path) = (scene.installation.path("other-bytes"), scene.installation.path("other-banner"));
    fs::write(&written, &bytes)?;
    install_program(&written, &path)?;
    Ok(path)
}

/// What `ip` says of the program on the interface: its tag is the digest of its instructions.
fn attached(scene: &Scene<'_>) -> anyhow::Result<String> {
    let inside = scene.network.server.enter()?;
    let shown = Command::new("ip").args(["-details", "link", "show", "dev", INTERFACE]).output()?;
    drop(inside);
    let shown = String::from_utf8(shown.stdout)?;
    let mut words = shown.split_whitespace().skip_while(|word| *word != "tag").skip(1);
    Ok(words.next().with_context(|| format!("no program is attached: {shown}"))?.to_owned())
}

#[test]
fn a_state_that_a_later_banner_has_migrated_is_gone_on_with() -> anyhow::Result<()> {
    // Where `user_version` stands in a database, four bytes, the highest first (https://sqlite.org/fileformat.html, 1.3).
    const USER_VERSION: u64 = 60;
    at_work(Conditions::default(), |scene| {
        let (failing, lifted) = (scene.writer.new_source(3)?, scene.writer.write_source(3)?);
        for _ in 0..2 {
            scene.writer.write_line(failing)?;
        }
        scene.installation.await_log_read()?;
        scene.unban(scene.source(lifted)?.address)?;
        scene.terminate()?;
        let state = File::options().read(true).write(true).open(scene.installation.path("state/state.db"))?;
        let mut version = [0; 4];
        state.read_exact_at(&mut version, USER_VERSION)?;
        let later = u32::from_be_bytes(version) + 1;
        state.write_all_at(&later.to_be_bytes(), USER_VERSION)?;
        scene.start()?;
        scene.writer.write_line(failing)?;
        scene.await_bans(3)?;
        let set_aside: Vec<_> = fs::read_dir(scene.installation.path("state"))?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| !name.starts_with("state.db"))
            .collect();
        ensure!(set_aside.is_empty(), "{set_aside:?}");
        Ok(())
    })
}
