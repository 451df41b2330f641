//! See `hookstream_fuzz_targets::INTERNAL`.

#![no_main]

use hookstream_fuzz_targets::INTERNAL;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    (INTERNAL.check)(data);
});
