//! Messages as entries of systemd's journal, with fields to search by.
//!
//! The protocol is documented at <https://systemd.io/JOURNAL_NATIVE_PROTOCOL>: a datagram an entry. It is sent without waiting:
//! a journal that hangs must not hang the daemon, whose watchdog would then end it for nothing. Messages that the journal
//! does not take are counted, and their number is told as soon as it takes any again.

use std::{
    fmt, io,
    os::unix::net::UnixDatagram,
    sync::atomic::{AtomicU64, Ordering},
};

use nix::sys::socket::{setsockopt, sockopt};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{MESSAGE, Printable};

/// Where journald listens, by its documentation.
const SOCKET: &str = "/run/systemd/journal/socket";

/// How many bytes may be on their way, with what the kernel adds to each message: some thousands of them, while journald has
/// other things to do. The kernel's own default is filled by 166.
const ON_THEIR_WAY: usize = 8 << 20;

/// The journal.
pub(super) struct Journal {
    socket: UnixDatagram,
    /// Messages that it has not taken since it last took one.
    lost: AtomicU64,
}

/// Whether what this process writes to its standard error goes to the journal (systemd.exec(5), `JOURNAL_STREAM`). The
/// variable alone does not tell: it is inherited by what has its standard error elsewhere.
pub(super) fn takes_standard_error() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let file = nix::sys::stat::fstat(io::stderr()).ok();
    stream.zip(file).is_some_and(|(stream, file)| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

impl Journal {
    /// Makes the socket; nothing listens to it yet.
    pub(super) fn open() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // Beyond the administrator's limit where CAP_NET_ADMIN is there, else up to it; less is no reason not to log.
        if setsockopt(&socket, sockopt::SndBufForce, &ON_THEIR_WAY).is_err() {
            let _ = setsockopt(&socket, sockopt::SndBuf, &ON_THEIR_WAY);
        }
        Ok(Self { socket, lost: AtomicU64::new(0) })
    }

    fn send(&self, entry: &Entry) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            let told =
                Entry::new(Level::WARN, &format!("{lost} messages are missing here: the journal did not take them"));
            if self.socket.send_to(&told.0, SOCKET).is_ok() {
                self.lost.fetch_sub(lost, Ordering::Relaxed);
            }
        }
        // By its path each time: it is another socket after a restart of journald's socket unit.
        if self.socket.send_to(&entry.0, SOCKET).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields { message: String::new(), others: Vec::new() };
        event.record(&mut fields);
        let mut entry = Entry::new(*event.metadata().level(), &fields.message);
        for (name, value) in fields.others {
            entry.add(&format!("BANNER_{}", name.to_ascii_uppercase()), &value);
        }
        self.send(&entry);
    }
}

/// An entry as it is sent.
struct Entry(Vec<u8>);

impl Entry {
    fn new(level: Level, message: &str) -> Self {
        let mut entry = Self(Vec::new());
        // syslog's severities; journald takes the rest of who speaks from the socket.
        let priority = match level {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            _ => "7",
        };
        entry.add("PRIORITY", priority);
        entry.add("SYSLOG_IDENTIFIER", "banner");
        entry.add("MESSAGE", message);
        entry
    }

    /// A value of several lines has its length before it.
    fn add(&mut self, name: &str, value: &str) {
        let Self(bytes) = self;
        bytes.extend(name.as_bytes());
        if value.contains('\n') {
            bytes.push(b'\n');
            bytes.extend((value.len() as u64).to_le_bytes());
        } else {
            bytes.push(b'=');
        }
        bytes.extend(value.as_bytes());
        bytes.push(b'\n');
    }
}

/// An event's sentence, and its other fields.
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            MESSAGE => self.message = value,
            name => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Printable(value).to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Printable(&format!("{value:?}")).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_the_journal_s_protocol_says() {
        let mut entry = Entry::new(Level::WARN, "one line");
        entry.add("BANNER_PREFIX", "192.0.2.1");
        assert_eq!(entry.0, b"PRIORITY=4\nSYSLOG_IDENTIFIER=banner\nMESSAGE=one line\nBANNER_PREFIX=192.0.2.1\n");
    }

    #[test]
    fn no_text_makes_a_field_of_its_own() {
        let entry = Entry::new(Level::INFO, "a\nPRIORITY=0");
        assert_eq!(entry.0, b"PRIORITY=6\nSYSLOG_IDENTIFIER=banner\nMESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n");
    }
}
