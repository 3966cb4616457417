//! What the tests share.
//!
//! - [`object`] loads the compiled program, with maps of its own, and asks it about packets;
//! - [`frame`] builds packets byte by byte, also those that no sane sender sends;
//! - [`namespace`] makes two hosts with a cable between them, which vanish with the test;
//! - [`wire`] sends frames as they are and sees what comes back;
//! - [`privilege`] says what a test needs from the machine, and what to do where it is missing.

pub mod frame;
pub mod namespace;
pub mod object;
pub mod privilege;
pub mod wire;
