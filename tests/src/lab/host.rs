//! A Debian host with systemd as its process 1, in namespaces of its own, over files that are not changed.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use crate::{command_line::Answer, namespace::Namespace, patience::until, process::Killed};

/// Becomes process 1.
const BOOT: &str = include_str!("../../lab/boot.sh");

/// A booted host. Dropping it, or the end of the thread that booted it, kills all of its processes; its files and mounts are gone
/// with them.
#[derive(Debug)]
pub struct Host {
    /// Of process 1, as this machine counts.
    pid: u32,
    // In this order: the cgroup is empty, and the folder unused, once the processes are gone.
    _unshare: Killed,
    _cgroup: ControlGroup,
    folder: TempDir,
}

impl Host {
    /// Boots the files of `root`, with those of `layers` laid over them, each over those before it, and waits until systemd has
    /// started what there is to start.
    ///
    /// # Errors
    /// The kernel's, and what failed to start.
    pub fn boot(network: &Namespace, root: &Path, layers: &[PathBuf], banner: &Path) -> anyhow::Result<Self> {
        sweep()?;
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir().context("making a temporary folder")?;
        let files = folder.path().join("files");
        fs::create_dir(&files)?;
        // Users of the host look into `/`.
        fs::set_permissions(&files, fs::Permissions::from_mode(0o755))?;
        for layer in layers {
            lay_over(layer, &files).with_context(|| format!("copying {}", layer.display()))?;
        }
        fs::create_dir(folder.path().join("space"))?;
        let cgroup = ControlGroup::new(folder.path().file_name().context("a folder has a name")?)?;
        let log = folder.path().join("boot.log");
        let output = fs::File::create(&log)?;
        let mut command = Command::new("setpriv");
        command
            // Whatever becomes of this process, nothing of the host outlives it.
            .args(["--pdeathsig", "KILL", "sh", "-c"])
            .arg(r#"echo $$ > "$1/cgroup.procs"; shift; exec "$@""#)
            .args([OsStr::new("sh"), cgroup.0.as_os_str()])
            .args(["unshare", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child"])
            .args(["sh", "-c", BOOT, "boot"])
            .args([folder.path(), Path::new(&format!("{}:{}", files.display(), root.display())), banner])
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let inside = network.enter()?;
        let unshare = command.spawn();
        drop(inside);
        let mut unshare = Killed(unshare.context("starting `setpriv` (package util-linux)")?);
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let pid = until("a host of the lab boots", || {
            if let Some(status) = unshare.0.try_wait()? {
                bail!("its first process ended: {status}");
            }
            let written = fs::read_to_string(folder.path().join("pid")).unwrap_or_default();
            Ok(written.ends_with('\n').then(|| written.trim().parse()).transpose()?)
        })
        .with_context(said)?;
        let host = Self { pid, _unshare: unshare, _cgroup: cgroup, folder };
        host.await_boot().with_context(said)?;
        Ok(host)
    }

    fn await_boot(&self) -> anyhow::Result<()> {
        let state = until("systemd has started everything", || {
            let state = self.answer("systemctl is-system-running")?.stdout;
            Ok(["running", "degraded"].contains(&state.trim()).then_some(state))
        })?;
        if state.trim() == "degraded" {
            let failed = self.answer("systemctl --failed --no-legend --plain")?.stdout;
            let units: Vec<_> = failed.lines().filter_map(|line| line.split_whitespace().next()).collect();
            let said =
                self.answer(&format!("journalctl --no-pager --lines 50 --unit {}", units.join(" --unit ")))?.stdout;
            bail!("failed to start: {}\n{said}", units.join(", "));
        }
        Ok(())
    }

    /// The number of its process 1 on this machine.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A file of the host, as this machine reaches it.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.pid)).join(path.trim_start_matches('/'))
    }

    /// A program, to be run on the host.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        command(self.pid, program)
    }

    /// Runs a program with arguments separated by spaces on the host, however it ends.
    ///
    /// # Errors
    /// It does not end.
    pub fn answer(&self, words: &str) -> anyhow::Result<Answer> {
        let mut words = words.split_whitespace();
        let program = words.next().context("a command has a name")?;
        Answer::of(self.command(program).args(words))
    }

    /// What a program says that must succeed.
    ///
    /// # Errors
    /// It does not.
    pub fn run(&self, words: &str) -> anyhow::Result<String> {
        let answer = self.answer(words)?;
        ensure!(answer.code == Some(0), "{words}: {answer:?}");
        Ok(answer.stdout)
    }

    /// Runs lines of sh(1) that must succeed.
    ///
    /// # Errors
    /// They do not.
    pub fn script(&self, text: &str) -> anyhow::Result<String> {
        let answer = Answer::of(self.command("sh").args(["-euc", text]))?;
        ensure!(answer.code == Some(0), "{text}: {answer:?}");
        Ok(answer.stdout)
    }

    /// The folder of this machine with what belongs to the host while it runs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A program, to be run on the host whose process 1 has this number.
#[must_use]
pub fn command(pid: u32, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &pid.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root"]);
    // `--wd` without a folder is the one of process 1; with one, it is looked up before the host is entered: the machine's own.
    command.args(["--wd", "--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", program]);
    command
}

/// Copies a folder's files over those of another; they belong to root there. A link is copied as one.
fn lay_over(layer: &Path, files: &Path) -> io::Result<()> {
    for entry in fs::read_dir(layer)? {
        let entry = entry?;
        let (from, to) = (entry.path(), files.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            match fs::create_dir(&to) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
            lay_over(&from, &to)?;
            continue;
        }
        match fs::remove_file(&to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if entry.file_type()?.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
        } else {
            // Not the file's own mode: how a clone was made is not what a server sees.
            let mode = if from.metadata()?.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            fs::copy(&from, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

/// Names what belongs to a host on this machine; the process that booted it follows.
const PREFIX: &str = "banner-lab-";

/// Removes what a process has left that was killed, which are empty control groups and small files.
///
/// # Errors
/// Where they are cannot be looked at.
pub fn sweep() -> anyhow::Result<()> {
    for (folder, remove) in [
        (hierarchy()?, remove_groups as fn(&Path) -> io::Result<()>),
        (std::env::temp_dir(), |path: &Path| fs::remove_dir_all(path)),
    ] {
        for entry in fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
            // A dead process that nobody has waited for has no command line any more.
            let is_dead = |pid: &str| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.is_empty());
            if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists() || is_dead(owner)) {
                // Another process may do the same at this moment.
                let _: io::Result<()> = remove(&entry.path());
            }
        }
    }
    Ok(())
}

/// Where cgroup2 is mounted.
fn hierarchy() -> anyhow::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    // proc_pid_mountinfo(5): the fifth word is where, the first behind the dash is what.
    let mut hierarchies = mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4))?
    });
    Ok(hierarchies.next().context("cgroup2 is mounted nowhere; systemd needs it")?.into())
}

/// What systemd takes for the root of all control groups. Dropping it removes it, with what the host made below it.
#[derive(Debug)]
struct ControlGroup(PathBuf);

impl ControlGroup {
    fn new(name: &OsStr) -> anyhow::Result<Self> {
        let path = hierarchy()?.join(name);
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // The last process leaves its group a moment after it was waited for.
        let _: anyhow::Result<()> = until("the control group is empty", || Ok(remove_groups(&self.0).ok()));
    }
}

/// Removes a group and those below it.
fn remove_groups(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}
