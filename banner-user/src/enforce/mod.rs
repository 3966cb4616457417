//! Carries effects out in the kernel.

pub mod explain;
pub mod host;
#[cfg(test)]
mod namespace;
