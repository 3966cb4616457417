//! What the command line finds on a real machine: the daemon, and the pinned maps where none runs.

use std::{fmt::Display, fs::File, io, path::Path, time::Duration};

use super::{DaemonError, log, memory::Memory, view};
use crate::{
    cli::{Exit, Failure, Finding, Platform, Verdict},
    clock::Now,
    config::{Config, Errors},
    control::protocol::{Ban, Detached, Interface, InterfaceState, Packets, Status, Text},
    control::socket::BindError,
    enforce::{
        bans::BanMaps,
        guard::GuardError,
        host::{self, Host, Snapshot, XdpMode},
        kernel::{self, KernelError, MapSizes},
        migration,
        pins::{Pins, PinsError},
    },
    judge::{
        effect::{Map, Slot, Until},
        list::ListAction,
        saved::OffencesChange,
    },
    lists::{self, ReadError, parse::Parsed},
    source::{
        hidden,
        journal::{JOURNAL, Journalctl, ProbeError},
    },
    state::{Batch, Store},
};

/// How long the state may take to forget the bans of a detached kernel.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(5);

/// This machine.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Platform for System {
    fn run_daemon(&self, config: Config, path: Option<&Path>) -> Result<(), Failure> {
        log::start();
        super::run(config, path).map_err(|error| {
            if let DaemonError::Filter(error) = &error {
                return Errors::from(error.clone()).into();
            }
            let sentence = match &error {
                DaemonError::Kernel(error) | DaemonError::Guard(GuardError::Kernel(error)) => in_full(error),
                DaemonError::Socket(_)
                | DaemonError::Guard(GuardError::Select(_) | GuardError::Refused { .. })
                | DaemonError::Host(_)
                | DaemonError::Filter(_)
                | DaemonError::Source(_)
                | DaemonError::Runtime(_) => error.to_string(),
            };
            Failure::new(exit(&error), &sentence)
        })
    }

    fn check(&self, config: &Config) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |subject: &str, verdict, note: String| {
            findings.push(Finding { subject: subject.into(), verdict, note: note.into() });
        };
        match kernel::release() {
            Ok(release) => find("kernel", Verdict::Good, format!("Linux {release}")),
            Err(error) => find("kernel", Verdict::Refused, error.to_string()),
        }
        match Pins::new(&config.bpffs).check() {
            Ok(()) => find("bpffs", Verdict::Good, config.bpffs.display().to_string()),
            Err(error) => find("bpffs", Verdict::Misconfigured, error.to_string()),
        }
        match kernel::probe_ticks() {
            Ok(ticks) => find("XDP", Verdict::Good, format!("programs load and run; {} ticks a second", ticks.hertz())),
            Err(error) => find("XDP", Verdict::Refused, in_full(&error)),
        }
        let memory = Memory::needed(config);
        find("memory", if memory.fits() { Verdict::Good } else { Verdict::Warning }, memory.note());
        match network() {
            Err(error) => find("network", Verdict::Refused, error),
            Ok(network) => {
                for own in host::unignored_networks(&network, &config.policy.ignoreip) {
                    let note = format!(
                        "{own} is a private network of this host: unless strangers can send from there, add it to `ignoreip`"
                    );
                    find("ignoreip", Verdict::Warning, note);
                }
                match host::select(&network, &config.interface) {
                    Err(error) => find("interface", Verdict::Misconfigured, error.to_string()),
                    Ok(selection) => {
                        for link in &selection.links {
                            let notes = selection.notes.iter().filter(|note| note.interface == link.name);
                            let notes: Vec<String> = notes.map(ToString::to_string).collect();
                            let subject = Text::escape(link.name.as_bytes()).to_string();
                            let subject = format!("interface {subject}");
                            if notes.is_empty() {
                                find(&subject, Verdict::Good, format!("index {}, MTU {}", link.index, link.mtu));
                            } else {
                                find(&subject, Verdict::Warning, notes.join("; "));
                            }
                        }
                    }
                }
            }
        }
        for list in &config.lists {
            let subject = format!("list {}", list.name);
            let path = Text::from(list.file.as_path());
            match lists::read(&list.file, list.width()) {
                Ok(content) => {
                    let (verdict, note) = fits(list, &content.parsed, config.map_sizes);
                    find(&subject, verdict, format!("{path}: {note}"));
                }
                Err(error @ ReadError::Missing) => {
                    find(&subject, Verdict::Warning, format!("{path} {error}: the list is empty until it does"));
                }
                Err(error) => find(&subject, Verdict::Misconfigured, format!("{path} {error}")),
            }
        }
        // Patterns may match nothing yet, and a file may come later: the daemon tells of both while it runs.
        for source in config.policy.sources() {
            let subject = Text::escape(source.as_bytes()).to_string();
            if source == JOURNAL {
                let (verdict, note) = look_at_journal();
                find(&subject, verdict, note);
                continue;
            }
            if !source.contains(['*', '?', '[']) {
                let (verdict, note) = look_at_log(Path::new(source));
                find(&subject, verdict, note);
            }
            // This command is not confined as the daemon is.
            if let Some(hidden) = hidden::hidden_below(Path::new(source)) {
                find(&subject, Verdict::Warning, hidden::remedy(hidden));
            }
        }
        findings
    }

    fn offline_status(&self, config: &Config) -> Result<Option<Status>, Failure> {
        let pins = Pins::new(&config.bpffs);
        if !pins.exist() {
            return Ok(None);
        }
        let bans = BanMaps::open(&pins).map_err(refused)?;
        let network = network().map_err(refused)?;
        Ok(Some(Status {
            interfaces: linked_interfaces(&pins, &network),
            packets: Packets::read(|reason| bans.packets(reason)).map_err(refused)?,
            limits: view::limits(&bans, migration::pinned_sizes(&pins).map_err(refused)?, |_| 0),
            ..Status::default()
        }))
    }

    fn offline_bans(&self, config: &Config) -> Result<Option<Box<dyn Iterator<Item = Ban>>>, Failure> {
        let pins = Pins::new(&config.bpffs);
        if !pins.exist() {
            return Ok(None);
        }
        let ticks = kernel::probe_ticks().map_err(refused)?;
        let mut entries = BanMaps::open(&pins).and_then(|bans| bans.entries(&ticks)).map_err(refused)?;
        entries.retain(|(entry, _)| !entry.protected);
        entries.sort_by_key(|(entry, _)| entry.slot.prefix());
        let (services, now) = (config.services.clone(), Now::read());
        let is_in_force = move |until: Until| until > Until::Boot(now.boot);
        Ok(Some(Box::new(
            entries
                .into_iter()
                .filter(move |(entry, _)| is_in_force(entry.until))
                .map(move |(entry, counters)| view::entry(&entry, counters, &services, now)),
        )))
    }

    fn offline_detach(&self, config: &Config) -> Result<Option<Detached>, Failure> {
        let pins = Pins::new(&config.bpffs);
        if !pins.exist() {
            return Ok(None);
        }
        // What cannot be read any more can be taken off all the same.
        let entries = BanMaps::open(&pins).map_or(0, |bans| Map::ALL.map(|map| bans.used(map)).iter().sum());
        let interfaces = network().map(|network| linked_interfaces(&pins, &network)).unwrap_or_default();
        pins.remove().map_err(refused)?;
        forget_bans(config)?;
        let interfaces = interfaces.into_iter().map(|interface| interface.name).collect();
        Ok(Some(Detached { interfaces, entries, not_saved: None }))
    }
}

/// What is not in the kernel any more should not come back with the next start.
fn forget_bans(config: &Config) -> Result<(), Failure> {
    if !Store::exists(&config.state_dir) {
        return Ok(());
    }
    let now = Now::read();
    let (store, loaded) = Store::open(&config.state_dir, &config.services, config.history, now);
    let mut last = Batch::new(now);
    last.changes.complete = true;
    // Bans end, and failures are forgotten; who was banned before is not.
    last.changes.offences = loaded.saved.offences.into_iter().map(OffencesChange::Banned).collect();
    runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            runtime.block_on(store.close(last, FORGOTTEN_WITHIN)).map_err(|trouble| trouble.to_string())
        })
        .map_err(|error| {
            Failure::new(Exit::No, &format!("everything is detached, but the bans return with the next start: {error}"))
        })
}

/// Whether a list has room in the kernel's maps, were it alone there.
fn fits(list: &crate::config::List, parsed: &Parsed, sizes: MapSizes) -> (Verdict, String) {
    let entries = format!("{} entries", parsed.prefixes.len());
    if list.action == ListAction::Ignore {
        return match parsed.everything {
            Some(everything) => {
                (Verdict::Warning, format!("{entries}; {everything} is every address: nobody is banned"))
            }
            None => (Verdict::Good, entries),
        };
    }
    let maps = [
        (Map::BansV4, "bans_v4", sizes.bans_v4),
        (Map::BansV6, "bans_v6", sizes.bans_v6),
        (Map::NetsV4, "prefixes", sizes.prefixes),
        (Map::NetsV6, "prefixes", sizes.prefixes),
    ];
    let is_in = |prefix: &ipnet::IpNet, map| Slot::exact(*prefix).unwrap_or(Slot::net(*prefix)).map() == map;
    for (map, key, size) in maps {
        let needed = parsed.prefixes.iter().filter(|prefix| is_in(prefix, map)).count();
        if needed > size as usize {
            let note =
                format!("{needed} of its entries have to share `limits.{key} = {size}`: the others wait for room");
            return (Verdict::Warning, format!("{entries}; {note}; raise it"));
        }
    }
    (Verdict::Good, entries)
}

fn look_at_log(path: &Path) -> (Verdict, String) {
    // Looked at before it is opened: opening a FIFO waits for its writer.
    match std::fs::metadata(path)
        .and_then(|metadata| if metadata.is_file() { File::open(path).map(Some) } else { Ok(None) })
    {
        Ok(Some(_)) => (Verdict::Good, "readable".to_owned()),
        Ok(None) => (Verdict::Misconfigured, "is not a regular file; name the log itself in `source`".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (
            Verdict::Warning,
            "does not exist; it is followed as soon as it does. Where journald alone logs: `source = \"journal\"`"
                .to_owned(),
        ),
        Err(error) => {
            (Verdict::Misconfigured, format!("cannot be read: {error}; the daemon needs CAP_DAC_READ_SEARCH or root"))
        }
    }
}

fn look_at_journal() -> (Verdict, String) {
    let journalctl = Journalctl::system();
    match journalctl.probe() {
        Ok(()) => (Verdict::Good, format!("readable by {}", journalctl.program().display())),
        // It may begin later.
        Err(error @ ProbeError::Empty) => (Verdict::Warning, error.to_string()),
        Err(error) => (Verdict::Misconfigured, error.to_string()),
    }
}

fn network() -> Result<Snapshot, String> {
    let runtime = runtime().map_err(|error| error.to_string())?;
    runtime.block_on(Host::default().read()).map_err(|error| error.to_string())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The interfaces for which a link is pinned.
fn linked_interfaces(pins: &Pins, network: &Snapshot) -> Vec<Interface> {
    let indices = pins.linked_interfaces().unwrap_or_default();
    let show = |index: u32| match network.link(index) {
        Some(link) => {
            let mode = link.xdp.first().map(|attached| match attached.mode {
                XdpMode::Native | XdpMode::Offload => crate::control::protocol::Mode::Native,
                XdpMode::Generic => crate::control::protocol::Mode::Generic,
            });
            let state = if mode.is_some() { InterfaceState::Attached } else { InterfaceState::Failed };
            Interface { name: Text::escape(link.name.as_bytes()), mode, state, note: None }
        }
        None => Interface {
            name: Text::from(format!("index {index}")),
            mode: None,
            state: InterfaceState::Missing,
            note: None,
        },
    };
    indices.into_iter().map(show).collect()
}

/// What failed, and where the kernel's answer tells, why and what to do.
fn in_full(error: &KernelError) -> String {
    match error.explained() {
        Some(explained) => format!("{error}: {explained}"),
        None => error.to_string(),
    }
}

fn refused(error: impl Display) -> Failure {
    Failure::new(Exit::Kernel, &error)
}

fn exit(error: &DaemonError) -> Exit {
    match error {
        DaemonError::Guard(GuardError::Select(_)) | DaemonError::Filter(_) | DaemonError::Source(_) => Exit::Usage,
        DaemonError::Kernel(KernelError::Pins(PinsError::NotBpffs { .. }) | KernelError::TooSmall { .. }) => {
            Exit::Usage
        }
        DaemonError::Socket(BindError::AlreadyRunning { .. })
        | DaemonError::Kernel(KernelError::Pins(PinsError::InUse { .. })) => Exit::No,
        DaemonError::Socket(_) => Exit::Usage,
        DaemonError::Kernel(_) | DaemonError::Guard(_) | DaemonError::Host(_) | DaemonError::Runtime(_) => Exit::Kernel,
    }
}
