//! The binary `banner`.

use std::{path::Path, process::ExitCode};

use banner_user::{
    cli::{self, Exit, Failure, Finding, Platform, Verdict},
    config::Config,
    control::protocol::{Ban, Detached, Status},
};

fn main() -> ExitCode {
    cli::run(std::env::args_os(), &ThisHost)
}

/// The machine that this runs on.
struct ThisHost;

impl Platform for ThisHost {
    fn filters(&self) -> &[&str] {
        &["postfix-sasl", "cyrus"]
    }

    fn run_daemon(&self, _: Config, _: Option<&Path>) -> Result<(), Failure> {
        Err(unavailable("the daemon"))
    }

    fn check(&self, _: &Config) -> Vec<Finding> {
        let note = "looking at the kernel and the interfaces is not part of this build".into();
        vec![Finding { subject: "kernel".into(), verdict: Verdict::Refused, note }]
    }

    fn offline_status(&self, _: &Config) -> Result<Option<Status>, Failure> {
        Err(unavailable("reading the pinned maps"))
    }

    fn offline_bans(&self, _: &Config) -> Result<Option<Box<dyn Iterator<Item = Ban>>>, Failure> {
        Err(unavailable("reading the pinned maps"))
    }

    fn offline_detach(&self, _: &Config) -> Result<Option<Detached>, Failure> {
        Err(unavailable("detaching without the daemon"))
    }
}

fn unavailable(what: &str) -> Failure {
    Failure::new(Exit::Kernel, &format_args!("{what} is not part of this build"))
}
