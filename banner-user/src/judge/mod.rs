//! From events to effects. Pure: no clock, no file, no socket, no async, no log macro.

pub mod effect;
pub mod policy;
