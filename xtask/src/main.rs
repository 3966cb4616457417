//! banner's development tasks, as `cargo xtask TASK`.

mod bench;
mod demo;
mod ebpf;
mod lab;
mod process;
mod run;
mod terminal;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use terminal::Terminal;

/// banner's development tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct CommandLine {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure banner beside what an admin could pick instead, as root
    Bench(bench::Args),
    /// Rebuild the kernel object from source, or check the committed one
    Ebpf(ebpf::Args),
    /// Boot a mail server with Postfix, Cyrus or Dovecot in namespaces, to attack it by hand
    Lab(lab::Args),
    /// Show the whole of banner on this machine, or run `banner ARGS` as root (after `--`)
    Run(run::Args),
    /// Run everything that has to hold, or some parts of it
    Test(test::Args),
}

fn main() -> ExitCode {
    let terminal = Terminal::stdout();
    let done = match CommandLine::parse().task {
        Task::Bench(args) => bench::run(&args, &terminal),
        Task::Ebpf(args) => ebpf::run(&args, &terminal),
        Task::Lab(args) => lab::run(&args, &terminal),
        Task::Run(args) => run::run(&args, &terminal),
        Task::Test(args) => test::run(&args, &terminal),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.error(&error);
            ExitCode::FAILURE
        }
    }
}
