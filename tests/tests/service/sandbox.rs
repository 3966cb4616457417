//! What systemd does to a process before it runs the unit's command: done by a thread to itself, for the process that it then
//! starts.
//!
//! Three things are stricter than there. A system call that the unit denies ends the process at once instead of failing, so
//! that none goes unnoticed; so does a socket of a family that it denies. And everything is read-only, /dev and /proc too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use caps::CapSet;
use nix::{
    libc,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{prctl, socket::AddressFamily},
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use crate::unit;

/// What the unit takes from the daemon.
pub(crate) struct Sandbox {
    capabilities: caps::CapsHashSet,
    writable: Vec<PathBuf>,
    filters: Vec<BpfProgram>,
}

impl Sandbox {
    /// The unit's, for a daemon that has its own files in `folder`. None where systemd-analyze is missing.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Option<Self>> {
        let Some(calls) = unit::system_calls()? else { return Ok(None) };
        let writable = unit::writable().map(Path::to_owned).chain([folder.to_owned()]).collect();
        // That of system calls comes last: it does not allow to set filters.
        let filters = vec![only_families(&unit::families()?)?, no_writable_code()?, only_calls(&calls)?];
        Ok(Some(Self { capabilities: unit::capabilities()?, writable, filters }))
    }

    /// Confines this thread, for good. It must be root's.
    pub(crate) fn enter(&self) -> anyhow::Result<()> {
        self.protect_files().context("making the files read-only")?;
        prctl::set_no_new_privs()?;
        for capability in caps::read(None, CapSet::Bounding)?.difference(&self.capabilities) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
        caps::clear(None, CapSet::Inheritable)?;
        caps::set(None, CapSet::Effective, &self.capabilities)?;
        caps::set(None, CapSet::Permitted, &self.capabilities)?;
        for filter in &self.filters {
            seccompiler::apply_filter(filter)?;
        }
        Ok(())
    }

    /// `ProtectSystem=strict` and `ReadWritePaths`.
    fn protect_files(&self) -> anyhow::Result<()> {
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        for path in &self.writable {
            mount(Some(path), path, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
        }
        for line in fs::read_to_string("/proc/thread-self/mountinfo")?.lines() {
            // proc_pid_mountinfo(5): the fifth field, in which a space is written \040.
            let point = PathBuf::from(line.split(' ').nth(4).context("a mount point")?.replace("\\040", " "));
            let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            if !self.writable.iter().any(|path| point.starts_with(path)) {
                match mount(none, &point, none, flags, none) {
                    // Another mount covers it.
                    Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
                    Err(errno) => return Err(errno).with_context(|| point.display().to_string()),
                }
            }
        }
        Ok(())
    }
}

/// `RestrictAddressFamilies`.
fn only_families(families: &[AddressFamily]) -> anyhow::Result<BpfProgram> {
    let others = families.iter().map(|family| condition(0, SeccompCmpOp::Ne, *family as u64));
    denying([(libc::SYS_socket, others.collect::<anyhow::Result<_>>()?)])
}

/// `MemoryDenyWriteExecute`.
fn no_writable_code() -> anyhow::Result<BpfProgram> {
    let (write, execute) = (u64::try_from(libc::PROT_WRITE)?, u64::try_from(libc::PROT_EXEC)?);
    let (both, shared) = (write | execute, u64::try_from(libc::SHM_EXEC)?);
    denying([
        (libc::SYS_mmap, vec![condition(2, SeccompCmpOp::MaskedEq(both), both)?]),
        (libc::SYS_mprotect, vec![condition(2, SeccompCmpOp::MaskedEq(execute), execute)?]),
        (libc::SYS_pkey_mprotect, vec![condition(2, SeccompCmpOp::MaskedEq(execute), execute)?]),
        (libc::SYS_shmat, vec![condition(2, SeccompCmpOp::MaskedEq(shared), shared)?]),
    ])
}

fn condition(argument: u8, comparison: SeccompCmpOp, value: u64) -> anyhow::Result<SeccompCondition> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value)?)
}

fn denying<const N: usize>(calls: [(i64, Vec<SeccompCondition>); N]) -> anyhow::Result<BpfProgram> {
    let mut rules = BTreeMap::new();
    for (call, conditions) in calls {
        rules.insert(call, vec![SeccompRule::new(conditions)?]);
    }
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::KillProcess, machine()?)?;
    Ok(filter.try_into()?)
}

/// `SystemCallFilter`.
fn only_calls(names: &BTreeSet<String>) -> anyhow::Result<BpfProgram> {
    // systemd has names of all machines; those of others do not compile.
    let rules: Vec<_> = names.iter().map(|name| serde_json::json!({ "syscall": name })).collect();
    let known: Vec<_> = rules.into_iter().filter(|rule| compile(std::slice::from_ref(rule)).is_ok()).collect();
    compile(&known)
}

fn compile(rules: &[serde_json::Value]) -> anyhow::Result<BpfProgram> {
    let text = serde_json::json!({
        "unit": { "mismatch_action": "kill_process", "match_action": "allow", "filter": rules }
    });
    let mut programs = seccompiler::compile_from_json(text.to_string().as_bytes(), machine()?)?;
    programs.remove("unit").context("the program that was compiled")
}

fn machine() -> anyhow::Result<TargetArch> {
    Ok(std::env::consts::ARCH.try_into()?)
}
