mod decoding;
mod kernel;

use super::{Link, LinkLayer, Snapshot};

/// A link as a network card's driver would make it.
pub(in crate::enforce) fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        alternative_names: Vec::new(),
        kind: None,
        layer: LinkLayer::Ethernet,
        up: true,
        mtu: 1500,
        master: None,
        xdp: Vec::new(),
    }
}

pub(in crate::enforce) fn snapshot<const N: usize>(links: [Link; N]) -> Snapshot {
    Snapshot { links: links.into(), ..Snapshot::default() }
}
