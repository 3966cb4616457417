//! The kernel's operations on many entries at once (Linux 5.6 for hashes, 5.13 for tries): of single ones, most of the time goes
//! into the system calls.

#![expect(unsafe_code, reason = "aya has no batch operations")]

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::maps::MapData;
use banner_common::Ban;

/// Bytes of a cursor: the kernel writes a u32 or a key.
pub(super) const CURSOR: usize = 24;

/// `struct { .. } batch` of `union bpf_attr` (include/uapi/linux/bpf.h).
#[repr(C)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    elem_flags: u64,
    flags: u64,
}

const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;

/// Reads entries of a map whose keys have `KEY` bytes and whose values are bans, which the caller knows: as many as there is room
/// for in both. How many were read, and whether these were the last.
///
/// # Errors
/// The kernel's. ENOSPC where a single bucket of a hash holds more than there is room for.
pub(super) fn read<const KEY: usize>(
    map: &MapData,
    from: Option<&[u8; CURSOR]>,
    next: &mut [u8; CURSOR],
    keys: &mut [[u8; KEY]],
    values: &mut [Ban],
) -> io::Result<(usize, bool)> {
    let mut batch = Batch {
        from: from.map_or(0, |from| from.as_ptr().expose_provenance() as u64),
        next: next.as_mut_ptr().expose_provenance() as u64,
        keys: keys.as_mut_ptr().expose_provenance() as u64,
        values: values.as_mut_ptr().expose_provenance() as u64,
        count: count(keys.len().min(values.len())),
        map: descriptor(map),
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: for this command the kernel reads `batch` and the cursor that it points to, and writes `batch.count`, the next
    // cursor, and at most `count` keys and values of the map's sizes, for which there is room. All of them outlive the call,
    // and any bytes are a value of their types.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH, std::ptr::from_mut(&mut batch), size_of::<Batch>())
    };
    // At the end it answers ENOENT, with what it has found until there.
    let is_last = match answer {
        0 => false,
        _ => match io::Error::last_os_error() {
            end if end.raw_os_error() == Some(libc::ENOENT) => true,
            error => return Err(error),
        },
    };
    Ok((usize::try_from(batch.count).unwrap_or(0), is_last))
}

/// Writes entries, as [`write`] does, however many they are. How many the kernel has taken.
pub(super) fn fill<const KEY: usize>(map: &MapData, mut entries: impl Iterator<Item = ([u8; KEY], Ban)>) -> usize {
    let mut taken = 0_usize;
    loop {
        let (keys, values): (Vec<_>, Vec<_>) = entries.by_ref().take(FILL).unzip();
        let written = if keys.is_empty() { 0 } else { write(map, &keys, &values) };
        taken = taken.saturating_add(written);
        if written < FILL {
            return taken;
        }
    }
}

/// Entries that are written at once.
const FILL: usize = 4_096;

/// Writes entries to a map whose keys have `KEY` bytes and whose values are bans, which the caller knows, in their order up to the first
/// that the kernel refuses. How many it has taken.
fn write<const KEY: usize>(map: &MapData, keys: &[[u8; KEY]], values: &[Ban]) -> usize {
    let most = keys.len().min(values.len());
    let mut batch = Batch {
        from: 0,
        next: 0,
        keys: keys.as_ptr().expose_provenance() as u64,
        values: values.as_ptr().expose_provenance() as u64,
        count: count(most),
        map: descriptor(map),
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: for this command the kernel reads `batch` and at most `count` keys and values of the map's sizes, which there are, and
    // writes `batch.count`. All of them outlive the call.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_MAP_UPDATE_BATCH, std::ptr::from_mut(&mut batch), size_of::<Batch>())
    };
    match answer {
        0 => most,
        // Where it has looked at no entry, it leaves the count as it was (`generic_map_update_batch`, kernel/bpf/syscall.c).
        _ if batch.count == count(most) => 0,
        _ => usize::try_from(batch.count).unwrap_or(0),
    }
}

fn count(entries: usize) -> u32 {
    u32::try_from(entries).unwrap_or(u32::MAX)
}

fn descriptor(map: &MapData) -> u32 {
    map.fd().as_fd().as_raw_fd().unsigned_abs()
}
