//! The bans as they stand in the kernel, read from where banner pins them, past banner.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use aya::maps::{HashMap, Map, MapData, MapError};
use banner_common::{Ban, KeyV4, KeyV6, VERSION};

/// Where banner pins its maps, below its bpffs directory.
#[must_use]
pub fn maps(bpffs: &Path) -> PathBuf {
    bpffs.join(format!("v{VERSION}/maps"))
}

/// The two maps of single sources. They stay open when banner pins others in their place.
pub struct PinnedBans {
    v4: HashMap<MapData, KeyV4, Ban>,
    v6: HashMap<MapData, KeyV6, Ban>,
}

impl PinnedBans {
    /// Opens what is pinned now.
    ///
    /// # Errors
    /// Nothing is.
    pub fn open(bpffs: &Path) -> anyhow::Result<Self> {
        let map = |name| -> anyhow::Result<Map> {
            let path = maps(bpffs).join(name);
            let data = MapData::from_pin(&path).with_context(|| format!("opening {}", path.display()))?;
            Ok(Map::HashMap(data))
        };
        Ok(Self { v4: HashMap::try_from(map("BANS_V4")?)?, v6: HashMap::try_from(map("BANS_V6")?)? })
    }

    /// The entry of an IPv4 address.
    ///
    /// # Errors
    /// The kernel's.
    pub fn v4(&self, key: KeyV4) -> anyhow::Result<Option<Ban>> {
        found(self.v4.get(&key, 0))
    }

    /// Puts an entry there or takes it out, as somebody with bpftool can.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_v4(&mut self, key: KeyV4, entry: Option<Ban>) -> anyhow::Result<()> {
        match entry {
            Some(entry) => Ok(self.v4.insert(key, entry, 0)?),
            None => Ok(self.v4.remove(&key)?),
        }
    }

    /// Every entry, by the source's address in the prefix's first place. What is neither written nor removed meanwhile is in it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn entries(&self) -> anyhow::Result<BTreeMap<IpAddr, Ban>> {
        let mut entries = BTreeMap::new();
        // Where the key at hand is removed, the kernel begins anew; nobody removes keys for ever.
        for entry in self.v4.iter() {
            let (key, ban) = entry?;
            entries.insert(IpAddr::V4(Ipv4Addr::from(key)), ban);
        }
        for entry in self.v6.iter() {
            let ([a, b, c, d, e, f, g, h], ban) = entry?;
            entries.insert(IpAddr::from([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]), ban);
        }
        Ok(entries)
    }

    /// The entry of an IPv6 /64.
    ///
    /// # Errors
    /// The kernel's.
    pub fn v6(&self, key: KeyV6) -> anyhow::Result<Option<Ban>> {
        found(self.v6.get(&key, 0))
    }
}

fn found(entry: Result<Ban, MapError>) -> anyhow::Result<Option<Ban>> {
    match entry {
        Ok(ban) => Ok(Some(ban)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
