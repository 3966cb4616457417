//! Everything that can be wrong with what banner is given: each is an error with its cause, a remedy and the documented exit
//! code, and leaves alone what was there.

#![expect(clippy::indexing_slicing, reason = "indexed by name, JSON answers null for what it does not have")]

mod configuration;
mod environment;
mod filters;
mod reloading;
mod sources;

use anyhow::ensure;
use banner_tests::command_line::Answer;

/// Sees that a command failed with this exit code, and said on stderr all of this, in this order.
fn expect_error(answer: &Answer, code: i32, said: &[&str]) -> anyhow::Result<()> {
    ensure!(answer.code == Some(code), "the exit code should be {code}: {answer:?}");
    let mut rest = answer.stderr.as_str();
    for part in said {
        let Some((_, behind)) = rest.split_once(part) else { anyhow::bail!("no {part:?} in {rest:?} of {answer:?}") };
        rest = behind;
    }
    Ok(())
}
