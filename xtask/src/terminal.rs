//! What a task says: headings, check marks and notes. Plain text when it is not a terminal that reads it.

use std::{
    env, fmt,
    io::{self, IsTerminal as _, Write as _},
};

/// Standard output, with colour where a person wants it.
pub(crate) struct Terminal {
    colour: bool,
}

impl Terminal {
    /// Colour only on a terminal, and not where NO_COLOR is set (<https://no-color.org>).
    pub(crate) fn stdout() -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: io::stdout().is_terminal() && !unwanted }
    }

    /// Whether programs that write to the same place may colour what they say.
    pub(crate) fn has_colour(&self) -> bool {
        self.colour
    }

    /// Begins a part.
    pub(crate) fn heading(&self, text: impl fmt::Display) {
        self.write(format_args!("\n{}\n", self.styled("1", format_args!("== {text}"))));
    }

    /// Something that is as it should be.
    pub(crate) fn good(&self, text: impl fmt::Display) {
        self.write(format_args!("{} {text}\n", self.styled("32", "✓")));
    }

    /// Something that is not as it should be.
    pub(crate) fn bad(&self, text: impl fmt::Display) {
        self.write(format_args!("{} {text}\n", self.styled("31", "✗")));
    }

    /// Something that a person should know.
    pub(crate) fn note(&self, text: impl fmt::Display) {
        self.write(format_args!("{} {text}\n", self.styled("33", "!")));
    }

    /// One line as it is.
    pub(crate) fn line(&self, text: impl fmt::Display) {
        self.write(format_args!("{text}\n"));
    }

    /// Why the task failed, with its causes.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.bad(format_args!("{error:#}"));
    }

    fn styled(&self, code: &str, text: impl fmt::Display) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn write(&self, text: fmt::Arguments<'_>) {
        let mut stdout = io::stdout().lock();
        // Nobody reads any more (`| head`): the task still ends as it would have, and its exit code says how.
        let _ = stdout.write_fmt(text).and_then(|()| stdout.flush());
    }
}
