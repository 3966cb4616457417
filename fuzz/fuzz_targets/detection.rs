//! `cargo +nightly fuzz run --features libfuzzer detection`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| banner_fuzz::detection(data));
