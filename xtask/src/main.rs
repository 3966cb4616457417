//! banner's development tasks, as `cargo xtask TASK`.

mod ebpf;
mod process;
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
    /// Rebuild the kernel object from source, or check the committed one
    Ebpf(ebpf::Args),
    /// Run everything that has to hold, or some parts of it
    Test(test::Args),
}

fn main() -> ExitCode {
    let terminal = Terminal::stdout();
    let done = match CommandLine::parse().task {
        Task::Ebpf(args) => ebpf::run(&args, &terminal),
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
