//! Real mail servers, and clients that reach them from the internet.

pub mod client;
