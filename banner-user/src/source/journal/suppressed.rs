//! What journald itself says of messages that it threw away.

use super::{
    export::{Field, Fields},
    notice::{AGAIN, Notice},
};
use crate::clock::BootTime;

/// `SD_MESSAGE_JOURNAL_DROPPED` of systemd's sd-messages.h.
const DROPPED: &[u8] = b"a596d6fe7bfa4994828e72309e95d61e";

/// Units that are remembered as told of; beyond, all are forgotten, and told of again.
const UNITS_MAX: usize = 64;

/// How many messages of which unit an entry says were thrown away; none where it says something else.
///
/// Only journald can write it: no client can set `_TRANSPORT`, and `driver` is journald's own.
pub(super) fn suppressed(fields: &Fields) -> Option<(u64, &[u8])> {
    if fields.of(Field::Transport) != Some(b"driver") || fields.of(Field::MessageId) != Some(DROPPED) {
        return None;
    }
    // `Suppressed 4711 messages from postfix@-.service` (journald-server.c, server_dispatch_message).
    let parse = |text: &'_ str| -> Option<(u64, usize)> {
        let rest = text.strip_prefix("Suppressed ")?;
        let (number, rest) = rest.split_once(' ')?;
        Some((number.parse().ok()?, text.len() - rest.strip_prefix("messages from ")?.len()))
    };
    let message = fields.of(Field::Message).unwrap_or_default();
    let (messages, unit) = str::from_utf8(message).ok().and_then(parse).unwrap_or((1, 0));
    Some((messages, message.get(unit..).unwrap_or_default()))
}

/// What was told of it.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<Unit>);

#[derive(Debug)]
struct Unit {
    name: Box<[u8]>,
    told_at: BootTime,
    untold: u64,
}

impl Told {
    /// The notice, where it is time for one: of each unit once an hour.
    pub(super) fn tell(&mut self, unit: &[u8], messages: u64, now: BootTime) -> Option<Notice> {
        let notice = |messages| Some(Notice::Suppressed { unit: unit.into(), messages });
        match self.0.iter_mut().find(|known| *known.name == *unit) {
            Some(known) => {
                known.untold = known.untold.saturating_add(messages);
                if now - known.told_at < AGAIN {
                    return None;
                }
                known.told_at = now;
                notice(std::mem::take(&mut known.untold))
            }
            None => {
                if self.0.len() == UNITS_MAX {
                    self.0.clear();
                }
                self.0.push(Unit { name: unit.into(), told_at: now, untold: 0 });
                notice(messages)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::export::Parser, *};

    fn read(entry: &str) -> Option<(u64, Vec<u8>)> {
        let mut parser = Parser::default();
        let fields = parser.next(&mut [entry, "\n"].concat().as_bytes()).unwrap().unwrap();
        suppressed(fields).map(|(messages, unit)| (messages, unit.to_vec()))
    }

    #[test]
    fn only_journald_is_believed() {
        let message =
            "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\nMESSAGE=Suppressed 4711 messages from postfix@-.service\n";
        let journald = format!("_TRANSPORT=driver\n{message}");
        assert_eq!(read(&journald), Some((4711, b"postfix@-.service".to_vec())));
        assert_eq!(read(&journald.replace("driver", "journal")), None);
        assert_eq!(read(message), None);
        assert_eq!(read(&journald.replace("a596", "a597")), None);
        assert_eq!(
            read(&journald.replace("4711", "many")),
            Some((1, b"Suppressed many messages from postfix@-.service".to_vec()))
        );
    }

    #[test]
    fn each_unit_is_told_of_once_an_hour() {
        let mut told = Told::default();
        let mut tell = |unit: &str, messages, seconds: u64| match told.tell(
            unit.as_bytes(),
            messages,
            BootTime::default() + std::time::Duration::from_secs(seconds),
        ) {
            Some(Notice::Suppressed { messages, .. }) => Some(messages),
            _ => None,
        };
        assert_eq!(tell("a.service", 5, 0), Some(5));
        assert_eq!(tell("a.service", 6, 10), None);
        assert_eq!(tell("b.service", 1, 20), Some(1));
        assert_eq!(tell("a.service", 7, 3600), Some(13));
        assert_eq!(tell("a.service", 8, 3601), None);
    }
}
