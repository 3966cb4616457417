//! What the daemon says while it runs: one line a message, on standard error, where the service manager takes it up.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The environment variable that sets the level: `error`, `warn`, `info` (if it is not set), `debug`, `trace`.
const LEVEL: &str = "BANNER_LOG";

/// Starts logging. Lines have a time, except under systemd, whose journal keeps one; a terminal gets colour unless NO_COLOR is
/// set.
pub(super) fn start() {
    let filter = EnvFilter::try_from_env(LEVEL).unwrap_or_else(|_| EnvFilter::new("info"));
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(colour);
    let lines = if journal { lines.without_time().boxed() } else { lines.boxed() };
    // A second call, as tests make, finds a subscriber in place and changes nothing.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}
