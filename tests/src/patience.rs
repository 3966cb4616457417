//! Waiting for what must come, with an end. What must not come is never waited for: what was sent after it is.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How long something that must happen may take, on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long between two looks.
const STEP: Duration = Duration::from_millis(5);

/// Looks again and again until there is an answer.
///
/// # Errors
/// Looking fails, or there is no answer within [`PATIENCE`]; the error names `what` was waited for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = look()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s in vain: {what}", PATIENCE.as_secs());
        }
        #[expect(clippy::disallowed_methods, reason = "this is the condition with a deadline")]
        std::thread::sleep(STEP);
    }
}
