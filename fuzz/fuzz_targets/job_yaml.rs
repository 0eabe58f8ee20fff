#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tender_fuzz::config::fuzz::job_yaml(data));
