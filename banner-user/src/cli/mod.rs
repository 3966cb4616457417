//! The command line: what was typed becomes a request to the daemon, and its answer becomes text.
//!
//! | file | what |
//! | --- | --- |
//! | `arguments` | what can be typed |
//! | `commands` | what each command does |
//! | `health` | `banner health` |
//! | `matching` | `banner match` |
//! | `replay` | `banner replay`: logs in, what would have been banned out |
//! | `platform` | what is beyond the command line: the daemon itself, and the kernel when no daemon runs |
//! | `render` | how answers look to people; pure |
//! | `exit`, `output`, `progress` | how it ends, where it writes, how far it is |

mod arguments;
mod check;
mod commands;
mod exit;
mod health;
mod matching;
mod output;
mod platform;
mod progress;
mod render;
mod replay;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

pub use check::{Check, Finding, Verdict};
pub use exit::{Exit, Failure};
pub use platform::Platform;

use arguments::Arguments;
use output::Output;

/// Does what `arguments` (the program's name first) say, and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = OsString>, platform: &dyn Platform) -> ExitCode {
    let mut output = Output::standard();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error, &mut output).into(),
    };
    let outcome = commands::execute(&arguments, platform, &mut output).and_then(|exit| output.flush().map(|()| exit));
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if let Some(message) = failure.message() {
                output.note(&message);
            }
            failure.exit().into()
        }
    }
}

/// Help goes to stdout as clap colours it. Errors repeat what was typed, which may come out of a log: they are escaped.
fn explain(error: &clap::Error, output: &mut Output) -> Exit {
    if error.use_stderr() {
        output.note(&output::printable(&error.render().to_string()));
        Exit::Usage
    } else {
        // A broken pipe is no error.
        drop(error.print());
        Exit::Done
    }
}
