//! The program under test: its compiled object, loaded with maps of its own and asked about packets.

use std::{
    fs,
    net::IpAddr,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray, lpm_trie::Key},
    programs::{ProgramError, TestRun as _, TestRunOptions, TestRunResult, Xdp, XdpMode},
};
use banner_common::{
    Ban, ClockSample, KeyV4, KeyV6, NETS_PRESENT_V4, NETS_PRESENT_V6, NetKeyV4, NetKeyV6, REASONS, net_key_v4,
};

use crate::privilege::{self, BPFFS};

/// Names the objects to test, by absolute paths separated by `:`; without it, the committed one is tested.
pub const OBJECTS: &str = "BANNER_BPF_OBJECTS";

/// The object that ships.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../banner-ebpf/banner.bpf.o");

/// The objects that a test runs on; none where this machine does not let it, which is then said.
///
/// # Errors
/// As [`privilege::can_load_programs`].
pub fn under_test(test: &str) -> anyhow::Result<Vec<PathBuf>> {
    if !privilege::can_load_programs(test)? {
        return Ok(Vec::new());
    }
    Ok(match std::env::var_os(OBJECTS) {
        Some(paths) => std::env::split_paths(&paths).collect(),
        None => vec![PathBuf::from(COMMITTED)],
    })
}

/// What the program did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// XDP_DROP.
    Drop,
    /// XDP_PASS.
    Pass,
}

impl Verdict {
    /// By what an XDP program returned.
    ///
    /// # Errors
    /// It is neither pass nor drop.
    pub fn of(returned: u32) -> anyhow::Result<Self> {
        match returned {
            1 => Ok(Self::Drop),
            2 => Ok(Self::Pass),
            other => bail!("the program returned {other}, neither XDP_DROP nor XDP_PASS"),
        }
    }
}

/// Where a ban stands: the map, and the key in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry {
    /// `BANS_V4`.
    HostV4(KeyV4),
    /// `BANS_V6`.
    HostV6(KeyV6),
    /// `NETS_V4`: the address and the length of the prefix.
    NetV4(KeyV4, u32),
    /// `NETS_V6`.
    NetV6([u8; 16], u32),
}

impl FromStr for Entry {
    type Err = anyhow::Error;

    /// A single IPv4 address and an IPv6 /64 have maps of their own; every other prefix, a /32 or /128 too, is in a trie.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse()?)),
            None => (text, None),
        };
        Ok(match (address.parse()?, length) {
            (IpAddr::V4(address), None) => Self::HostV4(address.octets()),
            (IpAddr::V4(address), Some(length)) => Self::NetV4(address.octets(), length),
            (IpAddr::V6(address), Some(64)) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::HostV6([a, b, c, d, e, f, g, h])
            }
            (IpAddr::V6(address), Some(length)) => Self::NetV6(address.octets(), length),
            (IpAddr::V6(_), None) => bail!("{text} has no prefix length; a single IPv6 address is written as /128"),
        })
    }
}

/// The program in the kernel, with its maps. Everything goes away with it.
pub struct Program {
    ebpf: Ebpf,
    bans_v4: HashMap<MapData, KeyV4, Ban>,
    /// A second descriptor of the same map: aya keeps the first to itself.
    bans_v4_descriptor: OwnedFd,
    bans_v6: HashMap<MapData, KeyV6, Ban>,
    nets_v4: LpmTrie<MapData, NetKeyV4, Ban>,
    nets_v6: LpmTrie<MapData, NetKeyV6, Ban>,
    nets_present: Array<MapData, u32>,
    ports: Array<MapData, u16>,
    stats: PerCpuArray<MapData, u64>,
}

/// How many bans each map holds in most tests; the object's own defaults would take 60 MB a test.
const ENTRIES: u32 = 16_384;

impl Program {
    /// Loads an object with room for what a test needs.
    ///
    /// # Errors
    /// Where the file cannot be read, or the kernel refuses it; the verifier's words are in the error.
    pub fn load(object: &Path) -> anyhow::Result<Self> {
        Self::load_with_entries(object, ENTRIES)
    }

    /// Loads an object with room for so many IPv4 bans.
    ///
    /// # Errors
    /// As [`Program::load`].
    pub fn load_with_entries(object: &Path, entries: u32) -> anyhow::Result<Self> {
        let failed = || format!("{} (cargo xtask ebpf builds it)", object.display());
        let pins = PinDirectory::new()?;
        let mut ebpf = EbpfLoader::new()
            .default_map_pin_directory(&pins.0)
            .map_max_entries("BANS_V4", entries)
            .map_max_entries("BANS_V6", ENTRIES)
            .map_max_entries("NETS_V4", ENTRIES)
            .map_max_entries("NETS_V6", ENTRIES)
            .load_file(object)
            .with_context(failed)?;
        for program in ["banner", "clock"] {
            load(xdp(&mut ebpf, program)?).with_context(failed)?;
        }
        let bans_v4 = take(&mut ebpf, "BANS_V4")?;
        let Map::HashMap(data) = &bans_v4 else { bail!("BANS_V4 is not a hash map") };
        Ok(Self {
            bans_v4_descriptor: data.fd().as_fd().try_clone_to_owned()?,
            bans_v4: HashMap::try_from(bans_v4)?,
            bans_v6: HashMap::try_from(take(&mut ebpf, "BANS_V6")?)?,
            nets_v4: LpmTrie::try_from(take(&mut ebpf, "NETS_V4")?)?,
            nets_v6: LpmTrie::try_from(take(&mut ebpf, "NETS_V6")?)?,
            nets_present: Array::try_from(take(&mut ebpf, "NETS_PRESENT")?)?,
            ports: Array::try_from(take(&mut ebpf, "PORTS")?)?,
            stats: PerCpuArray::try_from(take(&mut ebpf, "STATS")?)?,
            ebpf,
        })
    }

    /// Puts services behind a TCP port.
    ///
    /// # Errors
    /// The kernel's.
    pub fn guard(&mut self, port: u16, services: u16) -> anyhow::Result<()> {
        Ok(self.ports.set(u32::from(port), services, 0)?)
    }

    /// Writes a ban, its counters included.
    ///
    /// # Errors
    /// The kernel's; a full map is one.
    pub fn ban(&mut self, entry: Entry, ban: Ban) -> anyhow::Result<()> {
        match entry {
            Entry::HostV4(key) => self.bans_v4.insert(key, ban, 0)?,
            Entry::HostV6(key) => self.bans_v6.insert(key, ban, 0)?,
            Entry::NetV4(address, length) => {
                self.nets_present.set(NETS_PRESENT_V4, 1, 0)?;
                self.nets_v4.insert(&Key::new(length, net_key_v4(address)), ban, 0)?;
            }
            Entry::NetV6(address, length) => {
                self.nets_present.set(NETS_PRESENT_V6, 1, 0)?;
                self.nets_v6.insert(&Key::new(length, address), ban, 0)?;
            }
        }
        Ok(())
    }

    /// Removes a ban. The flag that a trie holds something stays: a lookup in vain harms nothing.
    ///
    /// # Errors
    /// The kernel's; a ban that is not there is one.
    pub fn unban(&mut self, entry: Entry) -> anyhow::Result<()> {
        match entry {
            Entry::HostV4(key) => self.bans_v4.remove(&key)?,
            Entry::HostV6(key) => self.bans_v6.remove(&key)?,
            Entry::NetV4(address, length) => self.nets_v4.remove(&Key::new(length, net_key_v4(address)))?,
            Entry::NetV6(address, length) => self.nets_v6.remove(&Key::new(length, address))?,
        }
        Ok(())
    }

    /// A ban with what it has counted.
    ///
    /// # Errors
    /// The kernel's; a ban that is not there is one.
    pub fn counters(&self, entry: Entry) -> anyhow::Result<Ban> {
        Ok(match entry {
            Entry::HostV4(key) => self.bans_v4.get(&key, 0)?,
            Entry::HostV6(key) => self.bans_v6.get(&key, 0)?,
            Entry::NetV4(address, length) => self.nets_v4.get(&Key::new(length, net_key_v4(address)), 0)?,
            Entry::NetV6(address, length) => self.nets_v6.get(&Key::new(length, address), 0)?,
        })
    }

    /// How many packets were counted for each reason, in the order of `Reason::ALL`, over all CPUs.
    ///
    /// # Errors
    /// The kernel's.
    pub fn stats(&self) -> anyhow::Result<Vec<u64>> {
        (0..REASONS).map(|reason| Ok(self.stats.get(&reason, 0)?.iter().sum())).collect()
    }

    /// Asks about one packet, of 14 bytes or more (`bpf_prog_test_run_xdp`, `net/bpf/test_run.c`).
    ///
    /// # Errors
    /// The kernel's, and a verdict that is neither pass nor drop.
    pub fn run(&mut self, frame: &[u8]) -> anyhow::Result<Verdict> {
        self.repeat(frame, 1)
    }

    /// Asks about one packet so many times, for a measurement.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn repeat(&mut self, frame: &[u8], times: u32) -> anyhow::Result<Verdict> {
        Verdict::of(self.test_run("banner", frame, None, times)?.return_value)
    }

    /// Reads the clock that deadlines are compared with, by the program that the daemon reads it with.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ticks(&mut self) -> anyhow::Result<u64> {
        Ok(self.clocks()?.0)
    }

    /// Reads that clock, and the time since boot at the same moment.
    ///
    /// # Errors
    /// The kernel's.
    pub fn clocks(&mut self) -> anyhow::Result<(u64, Duration)> {
        let mut sample = [0; size_of::<ClockSample>()];
        self.test_run("clock", &[0; size_of::<ClockSample>()], Some(&mut sample), 1)?;
        let (ticks, boot) = sample.split_first_chunk().context("a sample holds two clocks")?;
        let boot = boot.first_chunk().context("a sample holds two clocks")?;
        Ok((u64::from_ne_bytes(*ticks), Duration::from_nanos(u64::from_ne_bytes(*boot))))
    }

    /// Attaches to an interface of the namespace that the calling thread is in, natively.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach(&mut self, interface: &str) -> anyhow::Result<()> {
        self.attach_in(interface, XdpMode::Driver)
    }

    /// As [`Program::attach`], in a mode.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach_in(&mut self, interface: &str, mode: XdpMode) -> anyhow::Result<()> {
        xdp(&mut self.ebpf, "banner")?.attach(interface, mode).with_context(|| format!("attaching to {interface}"))?;
        Ok(())
    }

    /// The memory that the kernel accounts for the map of IPv4 bans, in bytes (`memlock` in `/proc/self/fdinfo`).
    ///
    /// # Errors
    /// Where the kernel does not say it (before Linux 6.4 it says a rough guess).
    pub fn bans_v4_memory(&self) -> anyhow::Result<u64> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.bans_v4_descriptor.as_raw_fd()))?;
        let bytes = info.lines().find_map(|line| line.strip_prefix("memlock:")).context("no memlock in fdinfo")?;
        Ok(bytes.trim().parse()?)
    }

    fn test_run(
        &mut self,
        program: &str,
        frame: &[u8],
        data_out: Option<&mut [u8]>,
        repeat: u32,
    ) -> anyhow::Result<TestRunResult> {
        let options = TestRunOptions { data_in: Some(frame), data_out, repeat, ..TestRunOptions::default() };
        Ok(xdp(&mut self.ebpf, program)?.test_run(options)?)
    }
}

/// A signal that comes while the verifier works ends it with EAGAIN (`do_check`, `kernel/bpf/verifier.c`), also one that is
/// ignored in the end, as the SIGCHLD of another test's child is. As libbpf does, this tries five times.
fn load(program: &mut Xdp) -> Result<(), ProgramError> {
    let interrupted = |error: &ProgramError| matches!(error, ProgramError::LoadError { io_error, .. } if io_error.kind() == std::io::ErrorKind::WouldBlock);
    for _ in 1..LOAD_ATTEMPTS {
        match program.load() {
            Err(error) if interrupted(&error) => {}
            done => return done,
        }
    }
    program.load()
}

/// `PROG_LOAD_ATTEMPTS` of libbpf.
const LOAD_ATTEMPTS: u32 = 5;

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut Xdp> {
    Ok(ebpf.program_mut(name).with_context(|| format!("the object has no program `{name}`"))?.try_into()?)
}

fn take(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<Map> {
    ebpf.take_map(name).with_context(|| format!("the object has no map `{name}`"))
}

/// A directory on bpffs. The maps ask to be pinned by name, and a loader would otherwise share them with whoever uses the
/// same directory; once they are loaded the pins are not needed, so it lives only that long.
struct PinDirectory(PathBuf);

impl PinDirectory {
    fn new() -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(BPFFS).join(format!("banner-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for PinDirectory {
    fn drop(&mut self) {
        // A failure leaves an empty directory in memory; a test must not fail, or panic twice, for that.
        let _: std::io::Result<()> = fs::remove_dir_all(&self.0);
    }
}
