//! The program: loading it over the pinned maps, attaching it, and keeping both when the daemon goes.

mod error;

use std::{fs, io, path::Path};

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{Array, Map, MapData, MapError},
    programs::{
        ProgramError, Xdp, XdpMode,
        links::{FdLink, PinnedLink},
        xdp::XdpLink,
    },
};
use aya_log::EbpfLogger;

pub use self::error::KernelError;
use super::{
    bans::BanMaps,
    migration::{self, Migration},
    pins::{Pins, PinsError, PinsLock},
    ports::{Ports, Translation},
    ticks,
};
use crate::{
    clock::TickClock,
    judge::effect::Entry,
    service::{ServiceMask, Services},
};

/// The compiled program, as it is committed: building banner needs no BPF toolchain.
static OBJECT: &[u8] = include_bytes_aligned!("../../../banner-ebpf/banner.bpf.o");

/// How many entries the maps have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSizes {
    /// Bans of IPv4 addresses; 113 bytes of kernel memory each, taken when the map is made.
    pub bans_v4: u32,
    /// Bans of IPv6 /64s; as much.
    pub bans_v6: u32,
    /// Bans of other prefixes, for each family; memory is taken as they come.
    pub prefixes: u32,
}

impl MapSizes {
    /// The largest that can be configured: 16 Mi entries, near 2 GB of kernel memory.
    pub const MAX: u32 = 1 << 24;
}

/// In which of XDP's two ways the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel has made a packet of the frame.
    Native,
    /// In the stack, after: every driver can, and it costs several times as much.
    Generic,
}

/// In which way to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// Native, and generic where the driver cannot.
    #[default]
    Auto,
    /// In the driver or not at all.
    Native,
    /// In the stack.
    Generic,
}

/// What attaching came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// A link of an earlier run was found; its program was replaced without a gap.
    TakenOver,
    /// A new link.
    New(Mode),
}

/// The loaded program and the maps of bans.
pub struct Kernel {
    pins: Pins,
    _lock: PinsLock,
    object: Ebpf,
    /// What the programs log: the clock program each time it runs, the filter only when built with `trace`.
    log: Option<EbpfLogger<&'static dyn log::Log>>,
    ports: Array<MapData, u16>,
    /// The bans.
    pub bans: BanMaps,
    /// How the deadlines in them are counted.
    pub ticks: TickClock,
}

impl Kernel {
    /// Loads the program over the pinned maps, which are made where there are none, and tells what became of their bans where
    /// the configured sizes are others. A program that is attached already goes on unchanged.
    ///
    /// # Errors
    /// Where the kernel refuses; what was attached before still is.
    pub fn load(pins: &Pins, sizes: MapSizes) -> Result<(Self, Option<Migration>), KernelError> {
        release()?;
        let lock = pins.prepare()?;
        let mut migration = None;
        if migration::resized(pins, sizes)? {
            migration = Some(migration::migrate(pins, sizes)?);
        }
        let mut object = load_object(&pins.maps(), sizes)?;
        load_program(&mut object, FILTER)?;
        load_program(&mut object, CLOCK)?;
        // Enforcing does not depend on what a program logs.
        let log = EbpfLogger::init(&mut object).ok();
        let ticks = ticks::measure(program(&mut object, CLOCK)?)?;
        let ports = Array::try_from(Map::Array(open(&pins.map("PORTS"))?)).map_err(failed("open the port table"))?;
        let bans = BanMaps::open(pins)?;
        let mut kernel = Self { pins: pins.clone(), _lock: lock, object, log, ports, bans, ticks };
        kernel.pass_log_on();
        Ok((kernel, migration))
    }

    /// The kernel's id of the filter program, by which an interface tells what is attached to it.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn program_id(&mut self) -> Result<u32, KernelError> {
        let info = program(&mut self.object, FILTER)?.info();
        info.map(|info| info.id()).map_err(|error| KernelError::Program { name: FILTER, error })
    }

    /// Fills the port table: exactly these services' ports are guarded. Bans that an earlier run has made from services with
    /// other bits are written anew, and go on meaning the same ports.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn guard(&mut self, services: &Services) -> Result<(), KernelError> {
        let current = services.ports();
        let mut former = Ports::new();
        for port in 0..=u16::MAX {
            let wanted = current.get(&port).copied().unwrap_or(ServiceMask::NONE);
            let index = u32::from(port);
            let found = ServiceMask(self.ports.get(&index, 0).map_err(failed("read the port table"))?);
            if !found.is_empty() {
                former.insert(port, found);
            }
            if found != wanted {
                self.ports.set(index, wanted.0, 0).map_err(failed("write the port table"))?;
            }
        }
        if former != current {
            self.translate(&Translation::between(&former, &current))?;
        }
        Ok(())
    }

    fn translate(&mut self, translation: &Translation) -> Result<(), KernelError> {
        for (entry, _) in self.bans.entries(&self.ticks)? {
            let services = translation.translate(entry.services);
            if services == entry.services {
                continue;
            }
            if services.is_empty() {
                self.bans.remove(entry.slot)?;
            } else {
                self.bans.write(&Entry { services, ..entry }, &self.ticks)?;
            }
        }
        Ok(())
    }

    /// Attaches the program to an interface and pins the attachment. Where an earlier run's is pinned, its program is replaced
    /// atomically: no packet finds the interface without one.
    ///
    /// # Errors
    /// Where the kernel refuses: another program, a driver that cannot, a missing capability.
    pub fn attach(&mut self, interface: u32, mode: Mode) -> Result<Attached, KernelError> {
        let path = self.pins.link(interface);
        if path.exists() {
            if self.take_over(interface, &path)? {
                return Ok(Attached::TakenOver);
            }
            // The interface that it was for is gone; the pin holds nothing.
            fs::remove_file(&path).map_err(|error| PinsError::Io { operation: "remove", path: path.clone(), error })?;
        }
        let refused = |error| KernelError::Attach { interface, error };
        let filter = program(&mut self.object, FILTER)?;
        let flags = match mode {
            Mode::Native => XdpMode::Driver,
            Mode::Generic => XdpMode::Skb,
        };
        let id = filter.attach_to_if_index(interface, flags).map_err(refused)?;
        let link = filter.take_link(id).map_err(refused)?;
        // aya attaches over netlink where a link is refused with EINVAL, and offers no way to undo that once the link is taken out
        // of the program. A kernel that has links refuses both alike (`dev_xdp_attach`, net/core/dev.c, serves both), so that
        // this takes a driver that changes its mind.
        let link = FdLink::try_from(link).map_err(|_| KernelError::Unpinnable { interface })?;
        link.pin(&path).map_err(|error| KernelError::Pin { path, error })?;
        Ok(Attached::New(mode))
    }

    /// The interfaces for which a link is pinned, whether it still holds or not.
    ///
    /// # Errors
    /// Where the pins cannot be listed.
    pub fn linked_interfaces(&self) -> Result<Vec<u32>, KernelError> {
        Ok(self.pins.linked_interfaces()?)
    }

    /// The kernel's id of the program that the pinned link to an interface runs; None where none is pinned.
    ///
    /// # Errors
    /// Where the pinned link cannot be opened.
    pub fn linked_program(&self, interface: u32) -> Result<Option<u32>, KernelError> {
        let path = self.pins.link(interface);
        if !path.exists() {
            return Ok(None);
        }
        let info = PinnedLink::from_pin(path).and_then(|link| FdLink::from(link).info());
        info.map(|info| Some(info.program_id())).map_err(|error| KernelError::Link { interface, error })
    }

    /// Takes the program off one interface. Nothing happens where it is not attached.
    ///
    /// # Errors
    /// Where the pin cannot be removed.
    pub fn detach(&self, interface: u32) -> Result<(), KernelError> {
        let path = self.pins.link(interface);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PinsError::Io { operation: "remove", path, error }.into())
            }
            _ => Ok(()),
        }
    }

    /// Takes everything off: links, maps and their directory.
    ///
    /// # Errors
    /// Where a pin cannot be removed.
    pub fn remove_pins(&self) -> Result<(), KernelError> {
        Ok(self.pins.remove()?)
    }

    /// Hands what the programs have logged since to the daemon's own log, at debug level and above.
    pub fn pass_log_on(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Samples the tick clock again: due after a suspend, when deadlines have to be written anew.
    ///
    /// # Errors
    /// As [`ticks::measure`].
    pub fn resample(&mut self) -> Result<(), KernelError> {
        self.ticks = ticks::measure(program(&mut self.object, CLOCK)?)?;
        self.pass_log_on();
        Ok(())
    }

    /// False where the pinned link no longer has an interface.
    fn take_over(&mut self, interface: u32, path: &Path) -> Result<bool, KernelError> {
        let broken = |error| KernelError::Link { interface, error };
        let link = FdLink::from(PinnedLink::from_pin(path).map_err(broken)?);
        let link = XdpLink::try_from(link).map_err(broken)?;
        let filter = program(&mut self.object, FILTER)?;
        let error = match filter.attach_to_link(link) {
            // The pin keeps the link; this handle of it may go.
            Ok(id) => {
                return filter.take_link(id).map(|_| true).map_err(|error| KernelError::Attach { interface, error });
            }
            Err(error) => KernelError::Attach { interface, error },
        };
        // What `xdp_link_update` (net/core/dev.c) says for an interface that is gone.
        if error.errno() == Some(libc::ENOLINK) { Ok(false) } else { Err(error) }
    }
}

const FILTER: &str = "banner";
pub(super) const CLOCK: &str = "clock";

/// The oldest kernel that the program runs on: XDP over several buffers and `bpf_xdp_load_bytes` came with it.
const OLDEST: (u32, u32) = (5, 18);

/// The kernel's release.
///
/// # Errors
/// [`KernelError::TooOld`].
pub fn release() -> Result<String, KernelError> {
    let name = nix::sys::utsname::uname().map_err(|errno| KernelError::TooOld { release: errno.desc().to_owned() })?;
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers =
        release.split(|character: char| !character.is_ascii_digit()).map_while(|number| number.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST { Err(KernelError::TooOld { release }) } else { Ok(release) }
}

/// A tick clock without anything pinned: for looking at pinned maps from outside the daemon.
///
/// # Errors
/// Where the kernel does not load or run the clock program.
pub fn probe_ticks() -> Result<TickClock, KernelError> {
    let mut loader = EbpfLoader::new();
    // The clock program uses none of the maps: let them be small.
    let sizes = MapSizes { bans_v4: 1, bans_v6: 1, prefixes: 1 };
    for (name, .., entries) in migration::geometry(sizes) {
        loader.map_max_entries(name, entries);
    }
    let mut object = loader.load(OBJECT).map_err(|error| KernelError::Load { error, sizes })?;
    load_program(&mut object, CLOCK)?;
    Ok(ticks::measure(program(&mut object, CLOCK)?)?)
}

/// Every map that outlives the daemon.
pub(super) const PINNED: [&str; 7] = ["BANS_V4", "BANS_V6", "NETS_V4", "NETS_V6", "NETS_PRESENT", "PORTS", "STATS"];

pub(super) fn load_object(maps: &Path, sizes: MapSizes) -> Result<Ebpf, KernelError> {
    let mut loader = EbpfLoader::new();
    for name in PINNED {
        loader.map_pin_path(name, maps.join(name));
    }
    for (name, _, _, entries) in migration::geometry(sizes) {
        loader.map_max_entries(name, entries);
    }
    loader.load(OBJECT).map_err(|error| KernelError::Load { error, sizes })
}

pub(super) fn load_program(object: &mut Ebpf, name: &'static str) -> Result<(), KernelError> {
    program(object, name)?.load().map_err(|error| KernelError::Program { name, error })
}

pub(super) fn program<'object>(object: &'object mut Ebpf, name: &'static str) -> Result<&'object mut Xdp, KernelError> {
    let missing = KernelError::Program { name, error: ProgramError::UnexpectedProgramType };
    object.program_mut(name).ok_or(missing)?.try_into().map_err(|error| KernelError::Program { name, error })
}

fn open(path: &Path) -> Result<MapData, KernelError> {
    MapData::from_pin(path).map_err(failed("open a pinned map"))
}

pub(super) fn failed(operation: &'static str) -> impl Fn(MapError) -> KernelError {
    move |error| KernelError::Map { operation, error }
}
