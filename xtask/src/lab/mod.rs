//! `cargo xtask lab`: a mail server to attack, on this machine and without touching it.

mod keeper;

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use banner_tests::{
    lab::{
        Lab, Setup, host,
        root::{FOLDER, Kind, Roots},
    },
    network::{SERVER_V4, SERVER_V6},
};
use clap::{Subcommand, ValueEnum};

use self::keeper::{Keeper, Running};
use crate::{process, run, terminal::Terminal, workspace};

/// What `cargo xtask lab` does.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Unpack Debian 12 with mail servers below target/lab, where that is not done yet
    Fetch,
    /// Boot a mail server with banner on it, which stays until `down`
    Up(Up),
    /// Run a shell, or a command (after `--`), on the mail server or on the internet
    Shell(Shell),
    /// Show what is up, and what banner says there
    Status,
    /// Take it all away
    Down,
    /// Keeps what `up` boots
    #[command(hide = true)]
    Keep(Up),
}

#[derive(clap::Args)]
struct Up {
    /// The IMAP server, beside Postfix
    #[arg(long, value_enum, default_value_t)]
    imap: Imap,
    /// Also these files: a folder of tests/lab/files, for example `sasldb`
    #[arg(long = "with", value_name = "VARIANT")]
    variants: Vec<String>,
    /// This configuration of banner instead of none
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// This binary, instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Imap {
    #[default]
    Cyrus,
    Dovecot,
}

impl From<Imap> for Kind {
    fn from(imap: Imap) -> Self {
        match imap {
            Imap::Cyrus => Self::Cyrus,
            Imap::Dovecot => Self::Dovecot,
        }
    }
}

#[derive(clap::Args)]
struct Shell {
    /// Among the clients and attackers, instead of on the mail server
    #[arg(long)]
    internet: bool,
    /// The command; a shell without one
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// Does it.
///
/// # Errors
/// Without root, without mmdebstrap where roots are to be made, and what does not start.
pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    // What is built belongs to the user; only what comes now is root's.
    if !process::is_root() {
        return become_root(args);
    }
    match &args.task {
        Task::Fetch => fetch(terminal),
        Task::Up(up) => self::up(up, terminal),
        Task::Shell(shell) => self::shell(shell),
        Task::Status => status(terminal),
        Task::Down => down(terminal),
        Task::Keep(up) => keep(up),
    }
}

fn become_root(args: &Args) -> Result<()> {
    let mut again = process::as_root("env");
    for name in ["NO_COLOR", "CI", FOLDER] {
        if let Some(value) = env::var_os(name) {
            let mut assignment = OsString::from(name);
            assignment.push("=");
            assignment.push(value);
            again.arg(assignment);
        }
    }
    let mut directory = OsString::from("CARGO_MANIFEST_DIR=");
    directory.push(workspace::root().join("xtask"));
    again.arg(directory).arg(env::current_exe().context("cannot find this program")?).args(env::args_os().skip(1));
    if let Task::Up(Up { binary: None, .. }) = &args.task {
        again.arg("--binary").arg(run::build()?);
    }
    let error = again.exec();
    Err(error).context("the lab boots hosts in namespaces, which needs root; cannot start sudo")
}

/// Makes the roots that are missing.
fn fetch(terminal: &Terminal) -> Result<()> {
    let roots = Roots::new();
    for kind in Kind::ALL {
        if roots.find(kind)?.is_some() {
            terminal.good(format_args!("{}: there already", kind.name()));
            continue;
        }
        terminal.line(format_args!("{}: unpacking Debian 12 with its mail servers; this takes a minute", kind.name()));
        let started = Instant::now();
        fs::create_dir_all(roots.folder())?;
        let said = roots.folder().join(format!("{}.log", kind.name()));
        let path = roots.fetch(kind, &File::create(&said)?).with_context(|| last_words(&said))?;
        terminal.good(format_args!("{} ({:.0} s)", path.display(), started.elapsed().as_secs_f64()));
    }
    Ok(())
}

/// The end of what a program wrote to a file.
fn last_words(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let from = text.rmatch_indices('\n').nth(15).map_or(0, |(at, _)| at);
    format!("{} ends with:{}", path.display(), text.get(from..).unwrap_or_default().trim_end())
}

/// Boots the host, and leaves it to a process of its own.
fn up(up: &Up, terminal: &Terminal) -> Result<()> {
    if let Some(running) = Running::find()? {
        bail!("a lab is up already (process {}); `cargo xtask lab down` takes it away", running.keeper);
    }
    fetch(terminal)?;
    let binary = match &up.binary {
        Some(binary) => binary.clone(),
        None => run::build()?,
    };
    let started = Instant::now();
    let mut command = Command::new(env::current_exe().context("cannot find this program")?);
    command.args(["lab", "keep", "--imap"]).arg(up.imap.to_possible_value().context("a server has a name")?.get_name());
    for variant in &up.variants {
        command.args(["--with", variant]);
    }
    if let Some(config) = &up.config {
        command.arg("--config").arg(config);
    }
    keeper::start(command.arg("--binary").arg(binary))?;
    terminal.good(format_args!(
        "mail.example.org is up: {SERVER_V4} and {SERVER_V6} ({:.1} s)",
        started.elapsed().as_secs_f64()
    ));
    for hint in [
        "alice, bob and carol have the password `secret`; everybody in 198.51.100.0/24, 203.0.113.0/24, 198.18.0.0/15 and \
         2001:db8::/32 is on the internet:",
        "  cargo xtask lab shell --internet -- curl --interface 203.0.113.9 --user alice:wrong imap://192.0.2.25",
        "  cargo xtask lab shell -- banner status",
        "  cargo xtask lab shell",
        "  cargo xtask lab down",
    ] {
        terminal.line(hint);
    }
    Ok(())
}

/// Boots the host, and keeps it until a signal comes.
fn keep(up: &Up) -> Result<()> {
    let keeper = Keeper::new()?;
    let banner = up.binary.clone().context("`up` says which binary")?;
    let configuration = up
        .config
        .as_ref()
        .map(|path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())));
    let setup = Setup {
        variants: up.variants.clone(),
        configuration: configuration.transpose()?.unwrap_or_default(),
        ..Setup::new(up.imap.into(), banner)
    };
    let lab = Lab::up(&setup)?.context("the roots are there")?;
    lab.start_banner()?;
    keeper.keep(lab)
}

/// Becomes a shell, or a command.
fn shell(shell: &Shell) -> Result<()> {
    let running = Running::find()?.context("no lab is up; `cargo xtask lab up`")?;
    let mut words = shell.command.iter();
    let program = words.next().map_or_else(|| "bash".into(), |word| word.to_string_lossy());
    let mut command = if shell.internet {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", running.internet)).arg("--").arg(&*program);
        command
    } else {
        host::command(running.server, &program)
    };
    let error = command.args(words).exec();
    Err(error).with_context(|| format!("cannot start {}", process::shown(&command)))
}

fn status(terminal: &Terminal) -> Result<()> {
    let Some(running) = Running::find()? else {
        terminal.note("no lab is up; `cargo xtask lab up` boots one");
        return Ok(());
    };
    terminal.good(format_args!("mail.example.org is up: {SERVER_V4} and {SERVER_V6}, process {}", running.keeper));
    let failed =
        process::output(host::command(running.server, "systemctl").args(["--failed", "--no-legend", "--plain"]))?;
    for unit in failed.lines() {
        terminal.bad(unit);
    }
    process::run(host::command(running.server, "banner").arg("status"))
}

fn down(terminal: &Terminal) -> Result<()> {
    match Running::find()? {
        Some(running) => {
            running.end()?;
            terminal.good("nothing is left of it");
        }
        None => terminal.good("no lab is up"),
    }
    // Where a keeper was killed.
    host::sweep()
}
