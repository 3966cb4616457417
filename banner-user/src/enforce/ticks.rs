//! Samples the kernel's tick counter, which nothing but a BPF program can read.

use std::{thread, time::Duration};

use aya::programs::{ProgramError, TestRun as _, TestRunOptions, Xdp};
use banner_common::ClockSample;

use crate::clock::{self, BootTime, TickClock, Ticks};

/// Why there is no tick clock.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The kernel did not run the program.
    #[error(
        "cannot run the clock program: {0}; the kernel needs BPF_PROG_TEST_RUN for XDP, which every kernel since 5.18 has"
    )]
    Run(#[from] ProgramError),
    /// The program ran and did not answer.
    #[error("the clock program returned {0} instead of the time")]
    NoSample(u32),
    /// The two samples do not fit any tick rate.
    #[error("the kernel's tick rate could not be told in {0} attempts; was the machine being suspended?")]
    Unsteady(u32),
}

/// How far apart two samples are taken: enough to tell 250 from 300 ticks a second.
const INTERVAL: Duration = Duration::from_millis(60);
const ATTEMPTS: u32 = 5;

/// Finds out how ticks and time since boot go together. Takes 60 ms, more only when the machine is suspended meanwhile.
///
/// # Errors
/// Where the kernel does not run the program, or its answers make no sense.
pub fn measure(clock_program: &Xdp) -> Result<TickClock, TickError> {
    for _ in 0..ATTEMPTS {
        let suspended = clock::suspended();
        let earlier = sample(clock_program)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "once at start and after a suspend, before or instead of the loop's work"
        )]
        thread::sleep(INTERVAL);
        if let Some(ticks) = TickClock::new(earlier, sample(clock_program)?, suspended) {
            return Ok(ticks);
        }
    }
    Err(TickError::Unsteady(ATTEMPTS))
}

fn sample(clock_program: &Xdp) -> Result<(Ticks, BootTime), TickError> {
    // XDP's test run takes no packet below an Ethernet header's 14 bytes; the sample fills 16.
    const LENGTH: usize = size_of::<ClockSample>();
    let mut answer = [0; LENGTH];
    let result = clock_program.test_run(TestRunOptions {
        data_in: Some(&[0; LENGTH]),
        data_out: Some(&mut answer),
        ..TestRunOptions::default()
    })?;
    let word = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes);
    match answer.split_at(LENGTH / 2) {
        (ticks, boot) if result.return_value == PASS => match (word(ticks), word(boot)) {
            (Ok(ticks), Ok(boot)) => Ok((Ticks(ticks), BootTime::default() + Duration::from_nanos(boot))),
            _ => Err(TickError::NoSample(result.return_value)),
        },
        _ => Err(TickError::NoSample(result.return_value)),
    }
}

/// XDP_PASS (`include/uapi/linux/bpf.h`).
const PASS: u32 = 2;
