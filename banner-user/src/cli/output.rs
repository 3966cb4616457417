//! Where answers are written, and how.

use std::io::{self, BufWriter, IsTerminal, Write};

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Failure, render::Style};
use crate::control::protocol::Text;

/// Clears to the end of the line (ECMA-48, EL).
const CLEAR: &str = "\x1b[K";

/// Stdout, written in blocks, with the style that fits it; and stderr for what is not the answer.
pub(super) struct Output {
    writer: Box<dyn Write>,
    notes: Box<dyn Write>,
    style: Style,
    /// Somebody watches stderr, and nothing on stdout.
    shows_progress: bool,
    /// The last line of stderr is one of progress.
    is_progress_shown: bool,
}

impl Output {
    pub(super) fn standard() -> Self {
        let stdout = io::stdout();
        let environment = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let colour = stdout.is_terminal()
            // https://no-color.org
            && environment("NO_COLOR").is_none()
            && environment("TERM").is_some_and(|terminal| terminal != "dumb");
        let style = Style { colour, zone: TimeZone::system() };
        Self {
            style,
            shows_progress: io::stderr().is_terminal()
                && !stdout.is_terminal()
                && environment("TERM").is_some_and(|terminal| terminal != "dumb"),
            is_progress_shown: false,
            writer: Box::new(BufWriter::new(stdout)),
            notes: Box::new(io::stderr()),
        }
    }

    #[cfg(test)]
    pub(super) fn to(writer: impl Write + 'static, notes: impl Write + 'static) -> Self {
        Self {
            writer: Box::new(writer),
            notes: Box::new(notes),
            style: Style::plain(),
            shows_progress: false,
            is_progress_shown: false,
        }
    }

    pub(super) fn style(&self) -> &Style {
        &self.style
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.writer.write_all(text.as_bytes()).map_err(Failure::output)
    }

    /// One JSON value on one line.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.writer, value).map_err(|error| Failure::output(error.into()))?;
        self.text("\n")
    }

    /// Says something beside the answer. Where stderr is closed, nobody wants to know.
    pub(super) fn note(&mut self, message: &str) {
        self.end_progress();
        drop(writeln!(self.notes, "{}", message.trim_end()));
    }

    /// Says how far it is, on a line that the next one takes.
    pub(super) fn progress(&mut self, message: &str) {
        if self.shows_progress {
            self.is_progress_shown = true;
            drop(write!(self.notes, "\r{}{CLEAR}", Text::from(message)));
            drop(self.notes.flush());
        }
    }

    /// Takes the line of progress away, before anything else is said.
    pub(super) fn end_progress(&mut self) {
        if std::mem::take(&mut self.is_progress_shown) {
            drop(write!(self.notes, "\r{CLEAR}"));
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(Failure::output)
    }
}

/// Text of several lines, each printable.
pub(super) fn printable(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", Text::from(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines_and_nothing_else_steers_the_terminal() {
        assert_eq!(printable("error: `a\x1b]0;x\x07`\n\tb\r\n"), "error: `a\\u{1b}]0;x\\u{7}`\n\\tb\n");
    }
}
