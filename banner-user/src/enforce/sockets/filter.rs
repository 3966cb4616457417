//! The program with which the kernel leaves sockets out of a dump (`INET_DIAG_REQ_BYTECODE`, include/uapi/linux/inet_diag.h;
//! `inet_diag_bc_run` in net/ipv4/inet_diag.c): a socket that it leaves out costs a tenth of one that it reports.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::judge::NAT64;

/// The attribute of the request (`INET_DIAG_REQ_BYTECODE`).
pub(super) const BYTECODE: u16 = 1;

/// Goes on by `no`.
const JUMP: u8 = 1;
/// Compares the remote address.
const REMOTE: u8 = 8;

/// An operation: what it does, and by how many bytes to go on where it is true and where it is not.
const OPERATION: u16 = 4;

/// The condition behind a [`REMOTE`]: family, prefix length, two bytes of nothing, port, address.
const CONDITION: u16 = 8;

/// The family of the sockets of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    /// Those of dual-stack listeners too, whose IPv4 peers have mapped addresses.
    V6,
}

/// A program that takes the sockets whose remote address is in one of these prefixes. None where none can be.
///
/// A block for each prefix: where the address is in it, jump to the end, which takes the socket; else go on behind the block.
/// Behind the last one that is four bytes behind the end, which leaves the socket out.
pub(super) fn remote_in<'a>(prefixes: impl IntoIterator<Item = &'a IpNet>, family: Family) -> Option<Vec<u8>> {
    let conditions: Vec<IpNet> = prefixes.into_iter().flat_map(|prefix| conditions(*prefix, family)).collect();
    let mut rest = conditions.iter().map(|prefix| block_length(*prefix)).fold(0, u16::saturating_add);
    let mut program = Vec::with_capacity(usize::from(rest));
    for prefix in conditions {
        let condition = block_length(prefix) - OPERATION;
        rest -= condition + OPERATION;
        let past_jump = condition + OPERATION + if rest == 0 { OPERATION } else { 0 };
        let family = if prefix.addr().is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        operation(&mut program, REMOTE, condition, past_jump);
        program.extend([u8::try_from(family).unwrap_or_default(), prefix.prefix_len(), 0, 0]);
        program.extend((-1_i32).to_ne_bytes()); // Any port.
        match prefix.addr() {
            IpAddr::V4(address) => program.extend(address.octets()),
            IpAddr::V6(address) => program.extend(address.octets()),
        }
        operation(&mut program, JUMP, OPERATION, OPERATION + rest);
    }
    (!program.is_empty()).then_some(program)
}

/// The prefixes in which the remote address of a banned source's socket can be. A condition of IPv4 is true for a mapped address
/// of an IPv6 socket too.
fn conditions(banned: IpNet, family: Family) -> impl Iterator<Item = IpNet> {
    let (itself, nat64) = match (banned, family) {
        (IpNet::V4(_), Family::V4) => (true, None),
        (IpNet::V4(net), Family::V6) => (true, Some(behind_nat64(net))),
        (IpNet::V6(_), Family::V4) => (false, None),
        (IpNet::V6(_), Family::V6) => (true, None),
    };
    itself.then_some(banned).into_iter().chain(nat64.map(IpNet::V6))
}

fn behind_nat64(net: Ipv4Net) -> Ipv6Net {
    let address = NAT64.network().to_bits() | u128::from(net.network().to_bits());
    Ipv6Net::new_assert(address.into(), NAT64.prefix_len().saturating_add(net.prefix_len()))
}

fn block_length(prefix: IpNet) -> u16 {
    let address = if prefix.addr().is_ipv4() { 4 } else { 16 };
    OPERATION + CONDITION + address + OPERATION
}

fn operation(program: &mut Vec<u8>, code: u8, yes: u16, no: u16) {
    program.extend([code, u8::try_from(yes).unwrap_or(u8::MAX)]);
    program.extend(no.to_ne_bytes());
}
