#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tender_fuzz::config::fuzz::probe_dump(data));
