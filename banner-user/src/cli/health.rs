//! `banner health`: what monitoring asks.

use serde::Serialize;

use super::{Exit, Failure, arguments::Format, output::Output, render};
use crate::control::protocol::{FileState, InterfaceState, Status};

/// What `banner health --json` prints.
#[derive(Debug, Serialize)]
struct Health<'a> {
    /// There is nothing to look at.
    healthy: bool,
    /// What there is, in words.
    troubles: &'a [String],
}

/// Tells what an operator should look at, and ends with 1 where there is something.
pub(super) fn health(status: &Status, format: Format, output: &mut Output) -> Result<Exit, Failure> {
    let troubles = troubles(status);
    if format.json {
        output.json(&Health { healthy: troubles.is_empty(), troubles: &troubles })?;
    } else {
        output.text(&render::health(&troubles, output.style()))?;
    }
    Ok(if troubles.is_empty() { Exit::Done } else { Exit::No })
}

fn troubles(status: &Status) -> Vec<String> {
    let note = |note: Option<&crate::control::protocol::Text>| note.map_or(String::new(), |note| format!(": {note}"));
    let interfaces = status.interfaces.iter().filter_map(|interface| {
        let is = match interface.state {
            InterfaceState::Attached => return None,
            InterfaceState::Missing => "is missing",
            InterfaceState::Failed => "is not guarded",
        };
        Some(format!("interface {} {is}{}", interface.name, note(interface.note.as_ref())))
    });
    let none = status.interfaces.is_empty().then(|| "no interface is guarded".to_owned());
    let files = status.files.iter().filter_map(|file| {
        let is = match file.state {
            FileState::Following | FileState::Draining => return None,
            FileState::Missing => "is missing",
            FileState::Unreadable => "cannot be read",
        };
        Some(format!("log {} {is}{}", file.path, note(file.note.as_ref())))
    });
    let warnings = status.warnings.iter().map(ToString::to_string);
    interfaces.chain(none).chain(files).chain(warnings).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::{File, Interface, Mode};

    #[test]
    fn whatever_an_operator_should_look_at_is_told() {
        let interface = |name: &str, state| Interface {
            name: name.into(),
            mode: (state == InterfaceState::Attached).then_some(Mode::Native),
            state,
            note: None,
        };
        let file = |state| File {
            path: "/var/log/mail.log".into(),
            state,
            offset: 0,
            behind: 0,
            lines: 0,
            note: Some("odd".into()),
        };
        let well = Status {
            interfaces: vec![interface("eth0", InterfaceState::Attached)],
            files: vec![file(FileState::Following), file(FileState::Draining)],
            ..Status::default()
        };
        assert_eq!(troubles(&well), [""; 0]);
        assert_eq!(troubles(&Status::default()), ["no interface is guarded"]);
        let ill = Status {
            interfaces: vec![interface("eth0", InterfaceState::Failed), interface("eth1", InterfaceState::Missing)],
            files: vec![file(FileState::Missing), file(FileState::Unreadable)],
            warnings: vec!["the fuse is tripped".into()],
            ..Status::default()
        };
        let expected = [
            "interface eth0 is not guarded",
            "interface eth1 is missing",
            "log /var/log/mail.log is missing: odd",
            "log /var/log/mail.log cannot be read: odd",
            "the fuse is tripped",
        ];
        assert_eq!(troubles(&ill), expected);
    }
}
