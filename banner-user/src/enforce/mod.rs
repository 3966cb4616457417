//! Carries effects out in the kernel.

pub mod host;
