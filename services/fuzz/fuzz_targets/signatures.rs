//! See `hookstream_fuzz_targets::SIGNATURES`.

#![no_main]

use hookstream_fuzz_targets::SIGNATURES;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    (SIGNATURES.check)(data);
});
