//! The binary `banner`.
fn main() {}
