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
    /// Stdout is a terminal: what is written there is seen at once.
    is_watched: bool,
    /// Stderr is a terminal, and no answer was written to the same one yet.
    shows_progress: bool,
    /// The last line of stderr is one of progress.
    is_progress_shown: bool,
}

impl Output {
    pub(super) fn standard() -> Self {
        let stdout = io::stdout();
        let environment = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_capable = environment("TERM").is_some_and(|terminal| terminal != "dumb");
        // https://no-color.org
        let colour = stdout.is_terminal() && environment("NO_COLOR").is_none() && is_capable;
        let style = Style { colour, zone: TimeZone::system() };
        Self {
            style,
            is_watched: stdout.is_terminal(),
            shows_progress: io::stderr().is_terminal() && is_capable,
            is_progress_shown: false,
            // Rust's own buffer of stdout is written out at each line's end.
            writer: if stdout.is_terminal() { Box::new(stdout) } else { Box::new(BufWriter::new(stdout)) },
            notes: Box::new(io::stderr()),
        }
    }

    #[cfg(test)]
    pub(super) fn to(writer: impl Write + 'static, notes: impl Write + 'static) -> Self {
        Self {
            writer: Box::new(writer),
            notes: Box::new(notes),
            style: Style::plain(),
            is_watched: false,
            shows_progress: false,
            is_progress_shown: false,
        }
    }

    pub(super) fn style(&self) -> &Style {
        &self.style
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.begin_answer();
        self.writer.write_all(text.as_bytes()).map_err(Failure::output)
    }

    /// One JSON value on one line.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.begin_answer();
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

    /// An answer on the same terminal is progress enough.
    fn begin_answer(&mut self) {
        if self.is_watched {
            self.end_progress();
            self.shows_progress = false;
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
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    /// A writer whose text can still be seen.
    #[derive(Clone, Default)]
    struct Seen(Rc<RefCell<Vec<u8>>>);

    impl Write for Seen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn progress_is_shown_on_one_line_until_something_else_is_said() {
        let terminal = Seen::default();
        let terminal_of = |is_watched, shows_progress| Output {
            is_watched,
            shows_progress,
            ..Output::to(terminal.clone(), terminal.clone())
        };
        let said = |output: &mut Output| {
            output.progress("1 %\x07");
            output.progress("2 %");
            output.note("warning: b");
            output.progress("3 %");
            output.text("answer\n").unwrap();
            output.progress("4 %");
            output.end_progress();
            String::from_utf8(std::mem::take(&mut *terminal.0.borrow_mut())).unwrap()
        };
        let shown = "\r1 %\\u{7}\x1b[K\r2 %\x1b[K\r\x1b[Kwarning: b\n\r3 %\x1b[K";
        assert_eq!(said(&mut terminal_of(true, true)), format!("{shown}\r\x1b[Kanswer\n"));
        assert_eq!(said(&mut terminal_of(false, true)), format!("{shown}answer\n\r4 %\x1b[K\r\x1b[K"));
        assert_eq!(said(&mut terminal_of(false, false)), "warning: b\nanswer\n");
    }

    #[test]
    fn lines_stay_lines_and_nothing_else_steers_the_terminal() {
        assert_eq!(printable("error: `a\x1b]0;x\x07`\n\tb\r\n"), "error: `a\\u{1b}]0;x\\u{7}`\n\\tb\n");
    }
}
