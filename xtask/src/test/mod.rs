//! `cargo xtask test`: everything that has to hold, part by part, with the time that each took.

mod executables;
mod summary;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use executables::Executables;
use summary::{Counts, Summary};

use crate::{bench::BENCHES, ebpf, process, terminal::Terminal, workspace};

/// What `cargo xtask test` does.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these parts (see --list)
    parts: Vec<String>,
    /// List the parts and do nothing else
    #[arg(long)]
    list: bool,
}

/// One part of the tests.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Format,
    Clippy,
    Docs,
    Object,
    Unit,
    /// The benchmarks, once and small, so that they keep working.
    Benches,
    /// A test of the crate banner-tests, which needs root: packets through the kernel, namespaces, the binary.
    System(String),
}

impl Part {
    fn name(&self) -> &str {
        match self {
            Self::Format => "fmt",
            Self::Clippy => "clippy",
            Self::Docs => "doc",
            Self::Object => "ebpf",
            Self::Unit => "unit",
            Self::Benches => "bench",
            Self::System(name) => name,
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Self::Format => "the formatting",
            Self::Clippy => "the lints, warnings are errors",
            Self::Docs => "the documentation, warnings are errors",
            Self::Object => "the committed kernel object against its sources",
            Self::Unit => "unit, property and documentation tests of every crate but banner-tests",
            Self::Benches => "tests/benches: every benchmark, once and small, as root",
            Self::System(_) => "tests/tests: from outside, as root",
        }
    }
}

/// Cargo's words for the whole workspace. Always the same, so that each dependency is built once, with one set of features;
/// banner-ebpf is for the BPF target alone.
const WORKSPACE: [&str; 4] = ["--workspace", "--exclude", "banner-ebpf", "--locked"];

/// The crate whose tests see banner from outside.
const SYSTEM_TESTS: &str = "banner-tests";

/// System tests that wait for most of their time, and so run more at a time than there are processors.
const WAITING: [&str; 2] = ["faults", "servers"];
const WAITING_THREADS: &str = "4";

/// Runs the parts.
///
/// # Errors
/// A part failed, or its name is not known.
pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<()> {
    let parts = parts(&workspace::root())?;
    if args.list {
        for part in &parts {
            terminal.line(format_args!("{:<12} {}", part.name(), part.what()));
        }
        return Ok(());
    }
    let mut run = Run { terminal, summary: Summary::default(), rebuilt_object: None, executables: None };
    for part in select(parts, &args.parts)? {
        run.part(&part);
    }
    run.summary.print(terminal);
    if run.summary.failed() {
        bail!("not everything holds");
    }
    Ok(())
}

/// Every part, in the order in which they run: what answers soonest first.
fn parts(root: &Path) -> Result<Vec<Part>> {
    let mut parts = vec![Part::Format, Part::Clippy, Part::Docs, Part::Object, Part::Unit];
    parts.push(Part::Benches);
    parts.extend(system_tests(&root.join("tests/tests"))?.into_iter().map(Part::System));
    Ok(parts)
}

/// The names of banner-tests' test targets: what cargo finds as `NAME.rs` and `NAME/main.rs`.
fn system_tests(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let is_test = path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
        if let (true, Some(name)) = (is_test, path.file_stem()) {
            names.insert(name.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

fn select(parts: Vec<Part>, wanted: &[String]) -> Result<Vec<Part>> {
    let known: Vec<_> = parts.iter().map(Part::name).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no part `{unknown}`; the parts are {}", known.join(", "));
    }
    let is_wanted = |part: &Part| wanted.is_empty() || wanted.iter().any(|name| name == part.name());
    Ok(parts.into_iter().filter(is_wanted).collect())
}

/// A run of several parts, and what they leave for one another.
struct Run<'a> {
    terminal: &'a Terminal,
    summary: Summary,
    /// What the part `ebpf` built, where its bytes are not the committed ones'.
    rebuilt_object: Option<PathBuf>,
    /// Built once, by the first part that needs them; `None` inside where that failed.
    executables: Option<Option<Executables>>,
}

impl Run<'_> {
    /// Runs a part; its failure is recorded, and the next part runs all the same.
    fn part(&mut self, part: &Part) {
        if matches!(part, Part::Unit | Part::Benches | Part::System(_)) {
            self.build();
        }
        self.terminal.heading(format_args!("{}: {}", part.name(), part.what()));
        let started = Instant::now();
        let counts = match part {
            Part::Format => self.cargo(&mut cargo(&["fmt", "--all", "--check"])),
            Part::Clippy => {
                let mut clippy = cargo(&["clippy", "--all-targets"]);
                self.cargo(clippy.args(WORKSPACE).args(["--", "-D", "warnings"]))
            }
            Part::Docs => {
                let mut doc = cargo(&["doc", "--no-deps"]);
                self.cargo(doc.args(WORKSPACE).env("RUSTDOCFLAGS", "-D warnings"))
            }
            Part::Object => self.object(),
            Part::Unit => self.unit(),
            Part::Benches => self.benches(),
            Part::System(name) => self.system(name),
        };
        let counts = counts.unwrap_or_else(|error| {
            self.terminal.error(&error);
            Counts::FAILED
        });
        self.summary.add(part.name(), counts, started.elapsed());
    }

    /// A part that is one command.
    fn cargo(&self, command: &mut Command) -> Result<Counts> {
        process::run(command)?;
        self.terminal.good("nothing to say");
        Ok(Counts::PASSED)
    }

    fn object(&mut self) -> Result<Counts> {
        // A second build takes as long as the first one ever did.
        let checked = ebpf::check(workspace::in_ci(), self.terminal)?;
        if !checked.built && workspace::in_ci() {
            bail!("CI has to rebuild the object; `cargo xtask ebpf --install` first");
        }
        self.rebuilt_object = checked.differing;
        Ok(Counts::PASSED)
    }

    fn build(&mut self) {
        if self.executables.is_some() {
            return;
        }
        self.terminal.heading("build: the binary and every test");
        let started = Instant::now();
        let built = Executables::build();
        let counts = match &built {
            Ok(_) => Counts::PASSED,
            Err(error) => {
                self.terminal.error(error);
                Counts::FAILED
            }
        };
        self.summary.add("build", counts, started.elapsed());
        self.executables = Some(built.ok());
    }

    fn executables(&self) -> Result<&Executables> {
        self.executables.as_ref().and_then(Option::as_ref).context("not run, because the build failed")
    }

    fn unit(&self) -> Result<Counts> {
        let mut counts = Counts::default();
        for test in self.executables()?.tests.iter().filter(|test| test.package != SYSTEM_TESTS) {
            let mut command = Command::new(&test.path);
            counts += test.run(&mut command, self.terminal)?;
        }
        // rustdoc compiles these itself, so there is no executable.
        let mut doc = cargo(&["test", "--doc"]);
        counts += executables::run_counted(doc.args(WORKSPACE), "documentation", self.terminal)?;
        if !process::is_root() {
            self.terminal.note(
                "tests that make network namespaces leave themselves out without root: \
                 sudo --preserve-env=PATH,HOME cargo xtask test unit",
            );
        }
        Ok(counts)
    }

    fn benches(&self) -> Result<Counts> {
        let mut counts = Counts::default();
        for (name, _) in BENCHES {
            let done = self.system(name)?;
            counts += if done.failed == 0 { Counts::PASSED } else { done };
        }
        Ok(counts)
    }

    fn system(&self, name: &str) -> Result<Counts> {
        let executables = self.executables()?;
        let test = executables.tests.iter().find(|test| test.package == SYSTEM_TESTS && test.name == name);
        let test = test.with_context(|| format!("cargo built no test `{name}` of {SYSTEM_TESTS}"))?;
        let root = workspace::root();
        let objects = [Some(root.join(ebpf::COMMITTED)), self.rebuilt_object.clone()];
        let objects =
            env::join_paths(objects.into_iter().flatten()).context("the path of this checkout has a colon")?;
        // sudo keeps no environment, so it is given again behind it.
        let mut command = process::as_root("env");
        for name in ["CI", "RUST_BACKTRACE", "PROPTEST_CASES", "BANNER_LAB"] {
            if let Some(value) = env::var_os(name) {
                command.arg(assignment(name, value));
            }
        }
        if WAITING.contains(&name) {
            command.arg(assignment("RUST_TEST_THREADS", WAITING_THREADS));
        }
        command
            .arg(assignment("BANNER_BIN", &executables.banner))
            .arg(assignment("BANNER_BPF_OBJECTS", objects))
            .arg(assignment("CARGO_MANIFEST_DIR", root.join("tests")))
            .arg(&test.path);
        if !process::is_root() && process::find("sudo").is_none() {
            if workspace::in_ci() {
                bail!("this needs root, or sudo");
            }
            self.terminal.note("left out: this needs root, and there is no sudo; run `cargo xtask test` as root");
            return Ok(Counts::default());
        }
        test.run(&mut command, self.terminal)
    }
}

fn assignment(name: &str, value: impl AsRef<std::ffi::OsStr>) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(name);
    text.push("=");
    text.push(value);
    text
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(workspace::cargo());
    cargo.current_dir(workspace::root()).args(args);
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_chosen_by_name_in_their_own_order() {
        let parts = || vec![Part::Format, Part::Unit, Part::System("packets".into())];
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(select(parts(), &[]).unwrap(), parts());
        assert_eq!(
            select(parts(), &names(&["packets", "fmt"])).unwrap(),
            [Part::Format, Part::System("packets".into())]
        );
        let error = select(parts(), &names(&["packet"])).unwrap_err().to_string();
        assert_eq!(error, "there is no part `packet`; the parts are fmt, unit, packets");
    }

    #[test]
    fn system_tests_are_what_cargo_takes_for_test_targets() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["packets.rs", "lab/main.rs", "shared/frames.rs", "table.txt"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(system_tests(folder.path()).unwrap().into_iter().collect::<Vec<_>>(), ["lab", "packets"]);
    }
}
