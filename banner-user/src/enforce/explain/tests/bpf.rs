//! bpf(2), so bare that its error numbers come through. Layouts: union bpf_attr in include/uapi/linux/bpf.h.

#![expect(unsafe_code, reason = "system calls that no crate wraps without interpreting their answer")]

use std::{
    ffi::CString,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::Path,
    thread,
};

/// The error number.
pub(super) type Refused = i32;

const MAP_CREATE: i32 = 0;
const MAP_UPDATE_ELEM: i32 = 2;
const PROG_LOAD: i32 = 5;
const OBJ_PIN: i32 = 6;
const LINK_CREATE: i32 = 28;

pub(super) const HASH: u32 = 1;
pub(super) const LPM_TRIE: u32 = 11;
pub(super) const NO_PREALLOC: u32 = 1;

const PROG_TYPE_XDP: u32 = 6;
const ATTACH_TYPE_XDP: u32 = 37;

pub(super) const XDP_HAS_FRAGS: u32 = 1 << 5;
pub(super) const GENERIC: u32 = 1 << 1;
pub(super) const NATIVE: u32 = 1 << 2;

fn bpf<A>(command: i32, attributes: &A) -> Result<i32, Refused> {
    // SAFETY: `attributes` is a repr(C) prefix of union bpf_attr for this command; the kernel reads no more than its
    // size, and writes to none of the commands used here.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>()) };
    i32::try_from(answer)
        .ok()
        .filter(|answer| *answer >= 0)
        .ok_or_else(|| std::io::Error::last_os_error().raw_os_error().unwrap())
}

fn descriptor(answer: i32) -> OwnedFd {
    // SAFETY: the commands that call this answer with a new descriptor, which nobody else knows.
    unsafe { OwnedFd::from_raw_fd(answer) }
}

fn number(descriptor: &OwnedFd) -> u32 {
    u32::try_from(descriptor.as_raw_fd()).unwrap()
}

fn address<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).addr() as u64
}

#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

/// Loads an XDP program named `other` that passes everything.
pub(super) fn load(flags: u32) -> Result<OwnedFd, Refused> {
    // `r0 = 2` (XDP_PASS) and `exit` (include/uapi/linux/bpf.h, struct bpf_insn).
    let instructions: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
    let license = *b"MIT\0";
    let mut name = [0; 16];
    name[..5].copy_from_slice(b"other");
    let attributes = Load {
        prog_type: PROG_TYPE_XDP,
        instruction_count: 2,
        instructions: address(&instructions),
        license: address(&license),
        flags,
        name,
        attach_type: ATTACH_TYPE_XDP,
        ..Load::default()
    };
    bpf(PROG_LOAD, &attributes).map(descriptor)
}

/// Attaches through a link, which holds as long as its descriptor.
pub(super) fn attach(program: &OwnedFd, interface: u32, flags: u32) -> Result<OwnedFd, Refused> {
    bpf(LINK_CREATE, &[number(program), interface, ATTACH_TYPE_XDP, flags]).map(descriptor)
}

pub(super) fn create_map(kind: u32, key: u32, entries: u32, flags: u32) -> Result<OwnedFd, Refused> {
    let value = 8;
    bpf(MAP_CREATE, &[kind, key, value, entries, flags]).map(descriptor)
}

/// Writes an entry with this key; the value is zero.
pub(super) fn update<K>(map: &OwnedFd, key: &K) -> Result<(), Refused> {
    let value = [0_u8; 8];
    bpf(MAP_UPDATE_ELEM, &[u64::from(number(map)), address(key), address(&value), 0]).map(drop)
}

pub(super) fn pin(map: &OwnedFd, path: &Path) -> Result<(), Refused> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    bpf(OBJ_PIN, &[path.as_ptr().addr() as u64, u64::from(number(map))]).map(drop)
}

/// Runs `action` on a thread that has only these capabilities (one bit each).
pub(super) fn with_only<T: Send>(capabilities: u64, action: impl FnOnce() -> T + Send) -> T {
    let halves = [capabilities & u64::from(u32::MAX), capabilities >> 32].map(|half| u32::try_from(half).unwrap());
    // capset(2): version 3, this thread; effective, permitted and inheritable of the lower 32 and then of the upper
    // ones.
    let header: [u32; 2] = [0x2008_0522, 0];
    let data: [u32; 6] = [halves[0], halves[0], 0, halves[1], halves[1], 0];
    thread::scope(|scope| {
        let limited = scope.spawn(|| {
            // SAFETY: both pointers are to arrays of the size that version 3 has.
            let answer = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
            assert_eq!(answer, 0, "capset");
            action()
        });
        limited.join().unwrap()
    })
}
