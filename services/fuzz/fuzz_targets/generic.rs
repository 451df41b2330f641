//! See `hookstream_fuzz_targets::GENERIC`.

#![no_main]

use hookstream_fuzz_targets::GENERIC;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    (GENERIC.check)(data);
});
