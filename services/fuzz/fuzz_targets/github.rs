//! See `hookstream_fuzz_targets::GITHUB`.

#![no_main]

use hookstream_fuzz_targets::GITHUB;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    (GITHUB.check)(data);
});
