//! systemd's journal export format, as it comes out of a pipe (<https://systemd.io/JOURNAL_EXPORT_FORMATS/>):
//!
//! ```text
//! _UID=106\n                        a field of text
//! MESSAGE\n                         a field of any bytes: its length, 64 bits, the low byte first; the bytes; a newline
//! \x05\0\0\0\0\0\0\0a\nb\nc\n
//! \n                                the end of the entry
//! ```
//!
//! Whatever an entry holds, of each field no more is kept than [`Field::longest`].

use super::super::LINE_MAX;

/// The longest field there can be (`DATA_SIZE_MAX` of systemd's journal-importer.h is 768 MiB).
const LENGTH_MAX: u64 = 1 << 30;

/// A name that is longer than any that is looked for: a field's is at most 64 bytes (journal-file.c).
const NAME_MAX: usize = 64;

/// A field that is read. `__` are addresses, `_` is what journald itself found out about the writer: no client can set either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Cursor,
    Realtime,
    SourceRealtime,
    Transport,
    Hostname,
    Uid,
    Pid,
    Executable,
    Unit,
    Identifier,
    MessageId,
    Message,
}

impl Field {
    pub(super) const ALL: [Self; 12] = [
        Self::Cursor,
        Self::Realtime,
        Self::SourceRealtime,
        Self::Transport,
        Self::Hostname,
        Self::Uid,
        Self::Pid,
        Self::Executable,
        Self::Unit,
        Self::Identifier,
        Self::MessageId,
        Self::Message,
    ];

    /// As it is called in the journal.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cursor => "__CURSOR",
            Self::Realtime => "__REALTIME_TIMESTAMP",
            Self::SourceRealtime => "_SOURCE_REALTIME_TIMESTAMP",
            Self::Transport => "_TRANSPORT",
            Self::Hostname => "_HOSTNAME",
            Self::Uid => "_UID",
            Self::Pid => "_PID",
            Self::Executable => "_EXE",
            Self::Unit => "_SYSTEMD_UNIT",
            Self::Identifier => "SYSLOG_IDENTIFIER",
            Self::MessageId => "MESSAGE_ID",
            Self::Message => "MESSAGE",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name().as_bytes() == name)
    }

    /// In bytes; an entry with a longer one is not read.
    fn longest(self) -> usize {
        match self {
            Self::Message => LINE_MAX,
            // PATH_MAX of Linux.
            Self::Executable => 4096,
            Self::Cursor
            | Self::Realtime
            | Self::SourceRealtime
            | Self::Transport
            | Self::Hostname
            | Self::Uid
            | Self::Pid
            | Self::Unit
            | Self::Identifier
            | Self::MessageId => 512,
        }
    }
}

/// What an entry holds, as far as it is read.
#[derive(Debug, Default)]
pub(super) struct Fields {
    values: [Value; Field::ALL.len()],
    /// One of them was longer than it may be.
    is_overlong: bool,
}

#[derive(Debug, Default)]
struct Value {
    bytes: Vec<u8>,
    is_present: bool,
}

impl Fields {
    pub(super) fn of(&self, field: Field) -> Option<&[u8]> {
        self.values.get(field as usize).filter(|value| value.is_present).map(|value| &*value.bytes)
    }

    pub(super) fn text(&self, field: Field) -> Option<&str> {
        str::from_utf8(self.of(field)?).ok()
    }

    pub(super) fn is_overlong(&self) -> bool {
        self.is_overlong
    }

    fn clear(&mut self) {
        for value in &mut self.values {
            value.bytes.clear();
            value.is_present = false;
        }
        self.is_overlong = false;
    }

    /// Starts a field. None where it is there already: a client can repeat its own, and the first stands.
    fn begin(&mut self, field: Field) -> Option<Field> {
        let value = self.values.get_mut(field as usize)?;
        (!std::mem::replace(&mut value.is_present, true)).then_some(field)
    }

    fn append(&mut self, field: Field, bytes: &[u8]) {
        let Some(value) = self.values.get_mut(field as usize) else { return };
        if value.bytes.len() + bytes.len() > field.longest() {
            self.is_overlong = true;
        } else {
            value.bytes.extend_from_slice(bytes);
        }
    }
}

/// What is no export format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads entries out of pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Parser {
    fields: Fields,
    state: State,
    /// The name of a field, as far as it has come.
    name: Vec<u8>,
    /// The entry is complete: the next byte begins another one.
    is_complete: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Name,
    /// After `NAME=`, to the end of the line.
    Text(Option<Field>),
    /// Of what follows, so many bytes are there.
    Length(Option<Field>, [u8; 8], usize),
    /// So many bytes are still to come.
    Bytes(Option<Field>, u64),
    /// The newline behind them.
    End,
}

impl Parser {
    /// Reads from the front of `input` up to the end of an entry, if it is there, and cuts off what it has read.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<&Fields>, Malformed> {
        if std::mem::take(&mut self.is_complete) {
            self.fields.clear();
        }
        while !input.is_empty() {
            if self.step(input)? {
                self.is_complete = true;
                return Ok(Some(&self.fields));
            }
        }
        Ok(None)
    }

    /// Whether an entry has come to its end.
    fn step(&mut self, input: &mut &[u8]) -> Result<bool, Malformed> {
        match &mut self.state {
            State::Name => {
                let end = memchr::memchr2(b'=', b'\n', input);
                let (name, rest) = input.split_at(end.unwrap_or(input.len()));
                if self.name.len() <= NAME_MAX {
                    self.name.extend_from_slice(name.get(..NAME_MAX + 1).unwrap_or(name));
                }
                *input = rest;
                let Some((delimiter, rest)) = rest.split_first() else { return Ok(false) };
                *input = rest;
                if *delimiter == b'\n' && self.name.is_empty() {
                    return Ok(true);
                }
                let field = Field::named(&self.name).and_then(|field| self.fields.begin(field));
                self.name.clear();
                self.state = if *delimiter == b'=' { State::Text(field) } else { State::Length(field, [0; 8], 0) };
            }
            State::Text(field) => {
                let end = memchr::memchr(b'\n', input);
                let (text, rest) = input.split_at(end.unwrap_or(input.len()));
                if let Some(field) = field {
                    self.fields.append(*field, text);
                }
                *input = rest.get(1..).unwrap_or_default();
                if end.is_some() {
                    self.state = State::Name;
                }
            }
            State::Length(field, bytes, have) => {
                for byte in bytes.iter_mut().skip(*have) {
                    let Some((next, rest)) = input.split_first() else { return Ok(false) };
                    (*byte, *input) = (*next, rest);
                    *have += 1;
                }
                let length = u64::from_le_bytes(*bytes);
                if length > LENGTH_MAX {
                    return Err(Malformed);
                }
                self.state = State::Bytes(*field, length);
            }
            State::Bytes(field, missing) => {
                let here = usize::try_from(*missing).map_or(input.len(), |missing| missing.min(input.len()));
                let (bytes, rest) = input.split_at(here);
                if let Some(field) = field {
                    self.fields.append(*field, bytes);
                }
                *input = rest;
                *missing -= bytes.len() as u64;
                if *missing == 0 {
                    self.state = State::End;
                }
            }
            State::End => {
                *input = input.strip_prefix(b"\n").ok_or(Malformed)?;
                self.state = State::Name;
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two entries: text, bytes with newlines, fields that are not read, fields that come twice.
    const EXPORT: &[u8] = b"__CURSOR=c1\n_UID=106\nOTHER=a=b\nMESSAGE=one=1\nMESSAGE=again\n\n\
        __CURSOR=c2\nOTHER\n\x03\0\0\0\0\0\0\0a\n\n\nMESSAGE\n\x05\0\0\0\0\0\0\0a\nb\nc\n_UID=0\n\n_UID=7\n";

    fn entries<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Vec<[Option<Vec<u8>>; 3]> {
        let (mut parser, mut entries) = (Parser::default(), Vec::new());
        for mut piece in pieces {
            while let Some(fields) = parser.next(&mut piece).unwrap() {
                assert!(!fields.is_overlong());
                entries.push(
                    [Field::Cursor, Field::Uid, Field::Message].map(|field| fields.of(field).map(<[u8]>::to_vec)),
                );
            }
        }
        entries
    }

    #[test]
    fn entries_are_read_wherever_the_pipe_cuts_them() {
        let some = |text: &[u8]| Some(text.to_vec());
        let expected = [[some(b"c1"), some(b"106"), some(b"one=1")], [some(b"c2"), some(b"0"), some(b"a\nb\nc")]];
        for size in 1..=EXPORT.len() {
            assert_eq!(entries(EXPORT.chunks(size)), expected, "{size}");
        }
    }

    #[test]
    fn a_field_that_is_too_long_is_not_kept_and_the_next_entry_is_read() {
        let mut export = b"__CURSOR=c1\nMESSAGE\n".to_vec();
        export.extend_from_slice(&(1u64 << 20).to_le_bytes());
        export.resize(export.len() + (1 << 20), b'\n');
        export.extend_from_slice(b"\n\n__CURSOR=c2\nMESSAGE=");
        export.resize(export.len() + LINE_MAX, b'm');
        export.extend_from_slice(b"\n\n__CURSOR=c3\n_EXE=");
        export.resize(export.len() + 5000, b'/');
        export.extend_from_slice(b"\n\n");
        export.resize(export.len() + 100_000, b'N');
        export.extend_from_slice(b"=x\n\n");
        let (mut parser, mut overlong) = (Parser::default(), Vec::new());
        for mut piece in export.chunks(1000) {
            while let Some(fields) = parser.next(&mut piece).unwrap() {
                overlong.push(fields.is_overlong());
            }
            let kept: usize = parser.fields.values.iter().map(|value| value.bytes.len()).sum();
            assert!(kept <= LINE_MAX + 8192 && parser.name.len() <= 2 * NAME_MAX);
        }
        assert_eq!(overlong, [true, false, true, false]);
    }

    #[test]
    fn what_is_no_export_format_is_refused() {
        for wrong in [&b"MESSAGE\n\x01\0\0\0\0\0\0\0ab\n"[..], b"MESSAGE\n\0\0\0\0\0\0\0\x01"] {
            assert_eq!(Parser::default().next(&mut &*wrong).map(drop), Err(Malformed));
        }
    }
}
