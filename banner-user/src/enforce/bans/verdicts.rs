//! What the program does with packets, asked address by address.

use std::net::IpAddr;

use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError, lpm_trie::Key};
use banner_common::{Ban, FLAG_OBSERVE, KeyV4, KeyV6, NetKeyV4, NetKeyV6, net_key_v4};

use super::{BanMapError, is_missing, not_a_map, open, refused};
use crate::{enforce::pins::Pins, judge::canonical, service::ServiceMask};

/// The maps of bans, read as the program reads them (`find` in `banner-ebpf/src/verdict.rs`). Opening them takes no time, however
/// many bans there are.
pub struct Verdicts {
    v4: HashMap<MapData, KeyV4, Ban>,
    v6: HashMap<MapData, KeyV6, Ban>,
    nets_v4: LpmTrie<MapData, NetKeyV4, Ban>,
    nets_v6: LpmTrie<MapData, NetKeyV6, Ban>,
}

impl Verdicts {
    /// Opens the maps that are pinned.
    ///
    /// # Errors
    /// [`BanMapError::Open`] where one is missing or not what it should be.
    pub fn open(pins: &Pins) -> Result<Self, BanMapError> {
        let directory = pins.maps();
        Ok(Self {
            v4: HashMap::try_from(Map::HashMap(open(&directory, "BANS_V4")?)).map_err(not_a_map("BANS_V4"))?,
            v6: HashMap::try_from(Map::HashMap(open(&directory, "BANS_V6")?)).map_err(not_a_map("BANS_V6"))?,
            nets_v4: LpmTrie::try_from(Map::LpmTrie(open(&directory, "NETS_V4")?)).map_err(not_a_map("NETS_V4"))?,
            nets_v6: LpmTrie::try_from(Map::LpmTrie(open(&directory, "NETS_V6")?)).map_err(not_a_map("NETS_V6"))?,
        })
    }

    /// Whether a packet of this source to a port with these services is dropped. Deadlines are not looked at: the daemon removes
    /// an entry when its time is over.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn drops(&self, source: IpAddr, services: ServiceMask) -> Result<bool, BanMapError> {
        let (exact, prefix) = match canonical(source) {
            IpAddr::V4(address) => {
                let octets = address.octets();
                (self.v4.get(&octets, 0), self.nets_v4.get(&Key::new(32, net_key_v4(octets)), 0))
            }
            IpAddr::V6(address) => {
                let octets = address.octets();
                let [a, b, c, d, e, f, g, h, ..] = octets;
                (self.v6.get(&[a, b, c, d, e, f, g, h], 0), self.nets_v6.get(&Key::new(128, octets), 0))
            }
        };
        Ok(applies(exact, services)? || applies(prefix, services)?)
    }
}

fn applies(found: Result<Ban, MapError>, services: ServiceMask) -> Result<bool, BanMapError> {
    match found {
        Ok(ban) => Ok(ban.services & services.0 != 0 && ban.flags & FLAG_OBSERVE == 0),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(refused("read a ban", error)),
    }
}
