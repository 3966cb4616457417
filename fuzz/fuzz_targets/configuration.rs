//! `cargo +nightly fuzz run --features libfuzzer configuration`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| banner_fuzz::configuration(data));
