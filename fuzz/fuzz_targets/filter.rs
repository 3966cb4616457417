//! `cargo +nightly fuzz run --features libfuzzer filter`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| banner_fuzz::filter(data));
