//! Programs of a few instructions, put together here, so that they need no compiler: the floor, and the generator of packets.
//!
//! The encoding is `struct bpf_insn` of `include/uapi/linux/bpf.h`; the instructions are RFC 9669's. A loader wants an ELF file
//! around them.

use anyhow::Context as _;
use aya::{Ebpf, programs::Xdp};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};

/// `XDP_DROP`.
pub(super) const DROP: u32 = 1;
/// `XDP_PASS`.
pub(super) const PASS: u32 = 2;

/// The name of every program made here.
pub(super) const NAME: &str = "program";

/// One of the eleven, r0 to r10.
#[derive(Clone, Copy)]
pub(super) struct Register(pub(super) u8);

/// A helper by its number (`___BPF_FUNC_MAPPER`).
#[derive(Clone, Copy)]
pub(super) enum Helper {
    /// `bpf_get_prandom_u32`.
    Random = 7,
    /// `bpf_redirect`.
    Redirect = 23,
}

/// Instructions in their order.
#[derive(Default)]
pub(super) struct Assembly(Vec<u8>);

impl Assembly {
    /// `to = value`.
    pub(super) fn set(self, to: Register, value: u32) -> Self {
        self.instruction(0xb4, to, Register(0), 0, value)
    }

    /// `to = from`.
    pub(super) fn copy(self, to: Register, from: Register) -> Self {
        self.instruction(0xbf, to, from, 0, 0)
    }

    /// `to += value`, in 32 bits.
    pub(super) fn add(self, to: Register, value: u32) -> Self {
        self.instruction(0x04, to, Register(0), 0, value)
    }

    /// `to += value`, of a pointer.
    pub(super) fn advance(self, to: Register, value: u16) -> Self {
        self.instruction(0x07, to, Register(0), 0, value.into())
    }

    /// `to += from`.
    pub(super) fn add_register(self, to: Register, from: Register) -> Self {
        self.instruction(0x0f, to, from, 0, 0)
    }

    /// `to &= value`, in 32 bits.
    pub(super) fn and(self, to: Register, value: u32) -> Self {
        self.instruction(0x54, to, Register(0), 0, value)
    }

    /// `to ^= value`, in 32 bits.
    pub(super) fn xor(self, to: Register, value: u32) -> Self {
        self.instruction(0xa4, to, Register(0), 0, value)
    }

    /// `to >>= bits`.
    pub(super) fn shift_right(self, to: Register, bits: u8) -> Self {
        self.instruction(0x77, to, Register(0), 0, bits.into())
    }

    /// `to %= value`, in 32 bits.
    pub(super) fn modulo(self, to: Register, value: u32) -> Self {
        self.instruction(0x94, to, Register(0), 0, value)
    }

    /// The lower 32 bits in network order.
    pub(super) fn in_network_order(self, register: Register) -> Self {
        self.instruction(0xdc, register, Register(0), 0, 32)
    }

    /// `to = *(u32 *)(from + offset)`.
    pub(super) fn load(self, to: Register, from: Register, offset: i16) -> Self {
        self.instruction(0x61, to, from, offset, 0)
    }

    /// `*(u32 *)(to + offset) = from`.
    pub(super) fn store(self, to: Register, offset: i16, from: Register) -> Self {
        self.instruction(0x63, to, from, offset, 0)
    }

    /// `*(u16 *)(to + offset) = from`.
    pub(super) fn store_half(self, to: Register, offset: i16, from: Register) -> Self {
        self.instruction(0x6b, to, from, offset, 0)
    }

    /// Ends with this verdict where `left > right`.
    pub(super) fn end_if_greater(self, left: Register, right: Register, verdict: u32) -> Self {
        // Over the two instructions where it is not.
        self.instruction(0xbd, left, right, 2, 0).end(verdict)
    }

    /// Calls a helper: r1 to r5 are its arguments and lost, r0 is its answer.
    pub(super) fn call(self, helper: Helper) -> Self {
        self.instruction(0x85, Register(0), Register(0), 0, helper as u32)
    }

    /// Ends with this verdict.
    pub(super) fn end(self, verdict: u32) -> Self {
        self.set(Register(0), verdict).exit()
    }

    /// Ends with the verdict in r0.
    pub(super) fn exit(self) -> Self {
        self.instruction(0x95, Register(0), Register(0), 0, 0)
    }

    fn instruction(mut self, code: u8, to: Register, from: Register, offset: i16, value: u32) -> Self {
        let registers = if cfg!(target_endian = "little") { from.0 << 4 | to.0 } else { to.0 << 4 | from.0 };
        self.0.extend([code, registers]);
        self.0.extend(offset.to_ne_bytes());
        self.0.extend(value.to_ne_bytes());
        self
    }

    /// Loads it into the kernel as an XDP program.
    pub(super) fn load_program(&self) -> anyhow::Result<Ebpf> {
        let endianness = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
        let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, endianness);
        let license = elf.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
        elf.append_section_data(license, b"Dual MIT/GPL\0", 1);
        let section = elf.add_section(Vec::new(), b"xdp".to_vec(), SectionKind::Text);
        elf.append_section_data(section, &self.0, 8);
        elf.add_symbol(Symbol {
            name: NAME.into(),
            value: 0,
            size: u64::try_from(self.0.len())?,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
        let mut ebpf = Ebpf::load(&elf.write()?)?;
        let program: &mut Xdp = ebpf.program_mut(NAME).context("the object has its program")?.try_into()?;
        program.load()?;
        Ok(ebpf)
    }
}

/// Does nothing but give this verdict.
pub(super) fn constant(verdict: u32) -> anyhow::Result<Ebpf> {
    Assembly::default().end(verdict).load_program()
}
