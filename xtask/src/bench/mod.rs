//! `cargo xtask bench`: what banner costs beside what an admin could pick instead, measured on this machine.
//!
//! The benchmarks are `tests/benches/NAME`: each says itself what it measures and how. This builds the release binary and them, runs
//! them as root one after the other, and gathers their reports.

mod plot;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use banner_tests::measure::Report;

use crate::{process, terminal::Terminal, workspace};

/// The benchmarks that report in a common way, in the order of the documentation.
pub(crate) const BENCHES: [(&str, &str); 5] = [
    ("packet", "what a packet costs, and how many are dropped a second"),
    ("lines", "how many log lines are read for a second of processor time, and in how much memory"),
    ("latency", "from the line that decides to the first dropped packet"),
    ("scale", "10,000 to 5 million bans: to load, restart, list and lift"),
    ("idle", "what a daemon takes that has nothing to do"),
];

/// What `cargo xtask bench` does.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these benchmarks (see --list)
    names: Vec<String>,
    /// List the benchmarks and do nothing else
    #[arg(long)]
    list: bool,
    /// Write what was measured there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only beside this peer (may be repeated); otherwise beside all that are installed
    #[arg(long, value_name = "PEER")]
    against: Vec<String>,
    /// How often everybody is measured
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Draw each series there, as SVG
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
    /// Measure nothing, and take what these files have, written with --json
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
}

/// Runs the benchmarks.
///
/// # Errors
/// One is not known, cannot be built or fails; a promise of banner's is missed; a file cannot be written.
pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    if args.list {
        BENCHES.iter().for_each(|(name, what)| terminal.line(format_args!("{name:<12} {what}")));
        return Ok(());
    }
    let known = BENCHES.map(|(name, _)| name);
    if let Some(unknown) = args.names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no benchmark `{unknown}`; there are {}", known.join(", "));
    }
    let mut reports = Vec::new();
    for file in &args.from {
        reports.extend(read(file)?);
    }
    if args.from.is_empty() {
        let wanted =
            known.into_iter().filter(|name| args.names.is_empty() || args.names.iter().any(|known| known == name));
        reports = measure(&wanted.collect::<Vec<_>>(), args, terminal)?;
    } else {
        reports.retain(|report| args.names.is_empty() || args.names.contains(&report.bench));
        reports.iter().for_each(|report| terminal.line(report));
    }
    if let Some(file) = &args.json {
        fs::write(file, serde_json::to_vec_pretty(&reports)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(folder) = &args.plots {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for report in &reports {
            for series in report.series.iter().filter(|series| plot::is_drawn(series)) {
                let file = folder.join(format!("{}-{}.svg", report.bench, series.name));
                plot::draw(series, &file).with_context(|| format!("cannot draw {}", file.display()))?;
                terminal.good(file.display());
            }
        }
    }
    let missed = reports.iter().flat_map(|report| &report.targets).filter(|target| !target.met).count();
    if missed > 0 {
        bail!("{missed} targets are missed: the tables above say which");
    }
    Ok(())
}

/// Of one benchmark, as it writes it, or of several, as this does.
fn read(file: &Path) -> Result<Vec<Report>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let one = serde_json::from_str::<Report>(&text).map(|report| vec![report]);
    one.or_else(|_| serde_json::from_str(&text)).with_context(|| format!("{} has no reports", file.display()))
}

fn measure(names: &[&str], args: &Args, terminal: &Terminal) -> Result<Vec<Report>> {
    let root = workspace::root();
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(workspace::cargo());
        cargo.current_dir(&root).args(arguments).arg("--locked");
        cargo
    };
    process::run(&mut cargo(&["build", "--release", "-p", "banner-user"]))?;
    let folder = tempfile::tempdir()?;
    let mut reports = Vec::new();
    for name in names {
        terminal.heading(name);
        let built = process::output(
            cargo(&["bench", "--no-run", "-p", "banner-tests", "--bench", name])
                .arg("--message-format=json-render-diagnostics"),
        )?;
        let json = folder.path().join(format!("{name}.json"));
        let mut command = process::as_root("env");
        command
            .arg(format!("BANNER_BIN={}", root.join("target/release/banner").display()))
            .arg(format!("CARGO_MANIFEST_DIR={}", root.join("tests").display()))
            .arg(executable(&built, name)?)
            .arg("--bench")
            .arg("--json")
            .arg(&json);
        for peer in &args.against {
            command.args(["--against", peer]);
        }
        if let Some(rounds) = args.rounds {
            command.args(["--rounds", &rounds.to_string()]);
        }
        let done = process::run(&mut command);
        match read(&json) {
            Ok(report) => reports.extend(report),
            // It has failed before it could say anything, or leaves itself out here.
            Err(_) => done?,
        }
    }
    Ok(reports)
}

/// What cargo built for a benchmark.
fn executable(messages: &str, name: &str) -> Result<PathBuf> {
    let built = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executables = built.filter(|message| message.pointer("/target/name").is_some_and(|target| target == name));
    let path = executables.filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from)).next();
    path.with_context(|| format!("cargo built no benchmark `{name}`"))
}
