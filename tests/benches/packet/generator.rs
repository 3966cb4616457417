//! Connection requests of many sources, as fast as one processor makes them: a program that BPF_PROG_TEST_RUN runs on frames that
//! are then really sent (BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18, `Documentation/bpf/bpf_prog_run.rst`).

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use aya::{
    Ebpf,
    programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp},
};
use banner_tests::frame::{Frame, Ipv4};

use super::{
    assembly::{Assembly, DROP, Helper, NAME, Register},
    cable::{Cable, PORT, SERVER},
    processor::{GENERATOR, alone_on},
};

/// Where things stand in the frame: Ethernet, IPv4 without options, TCP.
const IP_CHECKSUM: u8 = 14 + 10;
const IP_SOURCE: u8 = 14 + 12;
const TCP_CHECKSUM: u8 = 34 + 16;
const LENGTH: u16 = 54;

/// As many as the kernel takes at a time.
const BATCH: u32 = 64;

/// `first` and the addresses behind it, so many, each as likely as the other.
#[derive(Clone, Copy)]
pub(super) struct Sources {
    pub(super) first: Ipv4Addr,
    pub(super) count: u32,
}

impl Sources {
    pub(super) fn all(self) -> impl ExactSizeIterator<Item = Ipv4Addr> + Clone {
        (0..self.count as usize).map(move |number| {
            // A count is of 32 bits.
            Ipv4Addr::from_bits(self.first.to_bits().wrapping_add(u32::try_from(number).unwrap_or(u32::MAX)))
        })
    }
}

/// The program, and a frame that it fills.
pub(super) struct Generator {
    program: Ebpf,
    frame: Frame,
}

impl Generator {
    pub(super) fn new(cable: &Cable, sources: Sources) -> anyhow::Result<Self> {
        let frame = Ipv4::new([0; 4], SERVER.octets()).tcp(PORT);
        let program = assemble(&frame, sources, cable.far_end)?.load_program()?;
        Ok(Self { program, frame })
    }

    /// Makes so many packets; how long that took.
    pub(super) fn run(&mut self, cable: &Cable, packets: u32) -> anyhow::Result<Duration> {
        alone_on(GENERATOR, || {
            // The program redirects to interfaces of the namespace of its caller.
            let _inside = cable.internet.enter()?;
            let program: &mut Xdp = self.program.program_mut(NAME).context("its program")?.try_into()?;
            let options = TestRunOptions {
                data_in: Some(&self.frame.0),
                repeat: packets,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::default()
            };
            let begin = Instant::now();
            program.test_run(options).context("sending frames by BPF_PROG_TEST_RUN")?;
            Ok(begin.elapsed())
        })
    }
}

/// Writes a source into the frame, and both checksums.
fn assemble(frame: &Frame, sources: Sources, far_end: u32) -> anyhow::Result<Assembly> {
    let [random, context, packet, end, sum, high, source] = [0, 6, 2, 3, 4, 5, 7].map(Register);
    let program = Assembly::default()
        .copy(context, Register(1))
        .call(Helper::Random)
        .copy(source, random)
        .modulo(source, sources.count)
        .add(source, sources.first.to_bits())
        .in_network_order(source)
        .load(packet, context, 0)
        .load(end, context, 4)
        .copy(sum, packet)
        .advance(sum, LENGTH)
        .end_if_greater(sum, end, DROP)
        .store(packet, IP_SOURCE.into(), source)
        // The two halves of the source; a sum of halves may stand in any byte order (RFC 1071).
        .copy(sum, source)
        .and(sum, 0xffff)
        .copy(high, source)
        .shift_right(high, 16)
        .add_register(sum, high);
    let program = [IP_CHECKSUM, TCP_CHECKSUM].into_iter().try_fold(program, |program, at| -> anyhow::Result<_> {
        let [first, second] = *frame.0.get(at.into()..).and_then(|rest| rest.first_chunk()).context("the checksum")?;
        // What the frame sums up to without a source.
        let without = !u16::from_ne_bytes([first, second]);
        let fold =
            |program: Assembly| program.copy(end, high).shift_right(end, 16).and(high, 0xffff).add_register(high, end);
        let program = program.copy(high, sum).add(high, without.into());
        Ok(fold(fold(program)).xor(high, 0xffff).store_half(packet, at.into(), high))
    })?;
    Ok(program.set(Register(1), far_end).set(Register(2), 0).call(Helper::Redirect).exit())
}
