//! What the daemon says while it runs.
//!
//! ```text
//! info!, warn!, error! ──> level ──> limit ──┬── run by systemd ──> journal, an entry with fields
//!                                            └── otherwise ───────> standard error, a line with the time
//! ```
//!
//! Nothing of what banner decides hangs on it: what is not logged is still in `status`, `bans` and `why`.

mod journal;
mod limit;
mod report;

use std::{
    collections::hash_map::RandomState,
    fmt::{self, Write as _},
    io::{self, IsTerminal as _},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    callsite::Identifier,
    error,
    field::{Field, Visit},
    info,
    level_filters::LevelFilter,
    warn,
};
use tracing_subscriber::{
    EnvFilter, Layer,
    field::MakeExt as _,
    filter::FilterExt as _,
    fmt::format::debug_fn,
    layer::{Context, Filter, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

pub(super) use self::report::report;
use self::{
    journal::Journal,
    limit::{Limit, Summary},
};

/// The environment variable that sets the level: `error`, `warn`, `info` (if it is not set), `debug`, `trace`.
const LEVEL: &str = "BANNER_LOG";

/// A message that this target has is let through, always: it sums up what was not.
const SUMMARY: &str = "banner::log::summary";

/// The limit is one for the process, as logging is.
static LIMIT: LazyLock<Mutex<Limit<Identifier, RandomState>>> = LazyLock::new(Mutex::default);

/// Starts logging. A terminal gets colour unless NO_COLOR is set.
pub(in crate::daemon) fn start() {
    let is_journal = journal::takes_standard_error();
    let log = match Journal::open().ok().filter(|_| is_journal) {
        Some(journal) => journal.boxed(),
        // Where the journal takes standard error and nothing else, it keeps the time.
        None => lines(!is_journal),
    };
    let level = EnvFilter::try_from_env(LEVEL).unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call, as tests make, finds a subscriber in place and changes nothing.
    let _ = tracing_subscriber::registry().with(log.with_filter(level.and(Limited))).try_init();
}

/// One line a message, without its fields: they say again what the message says, for machines.
fn lines<S>(with_time: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let message = debug_fn(|writer, field, value| match field.name() {
        MESSAGE => write!(writer, "{}", Printable(&format!("{value:?}"))),
        _ => Ok(()),
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(colour);
    let lines = lines.fmt_fields(message.delimited(""));
    if with_time { lines.boxed() } else { lines.without_time().boxed() }
}

/// Tells how much was not logged, where that is due. To be called every second.
pub(in crate::daemon) fn tick() {
    let due = limit().due(Instant::now());
    due.iter().for_each(say);
}

/// Tells how much was not logged: there will be no other occasion.
pub(in crate::daemon) fn finish() {
    let rest = limit().rest(Instant::now());
    rest.iter().for_each(say);
}

fn say(summary: &Summary) {
    match summary.level {
        Level::ERROR => error!(target: SUMMARY, "{summary}"),
        Level::WARN => warn!(target: SUMMARY, "{summary}"),
        _ => info!(target: SUMMARY, "{summary}"),
    }
}

fn limit() -> MutexGuard<'static, Limit<Identifier, RandomState>> {
    LIMIT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets no kind of message fill the log. A kind is a place in the source.
struct Limited;

impl<S: Subscriber> Filter<S> for Limited {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // What is below information was asked for.
        *metadata.level() > Level::INFO
            || metadata.target() == SUMMARY
            || limit().admit(metadata.callsite(), *metadata.level(), Instant::now(), || message(event))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

/// The field that holds an event's sentence.
const MESSAGE: &str = "message";

/// An event's sentence.
fn message(event: &Event<'_>) -> String {
    struct Message(String);
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == MESSAGE {
                self.0 = Printable(&format!("{value:?}")).to_string();
            }
        }
    }
    let mut message = Message(String::new());
    event.record(&mut message);
    message.0
}

/// Text in which only line breaks steer a terminal. What is someone else's is escaped where it is put into a message; this is
/// for what was forgotten.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if character.is_control() && character != '\n' {
                write!(f, "{}", character.escape_default())
            } else {
                f.write_char(character)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_lines_stay_lines() {
        assert_eq!(Printable("a\x1b[31mb\rc\u{9b}d\u{e9}\ne").to_string(), "a\\u{1b}[31mb\\rc\\u{9b}d\u{e9}\ne");
    }
}
