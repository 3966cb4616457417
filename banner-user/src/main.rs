//! The binary `banner`.

use std::process::ExitCode;

use banner_user::{cli, daemon};

fn main() -> ExitCode {
    cli::run(std::env::args_os(), &daemon::System)
}
