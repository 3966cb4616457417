//! `cargo +nightly fuzz run --features libfuzzer fail2ban`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| banner_fuzz::fail2ban(data));
