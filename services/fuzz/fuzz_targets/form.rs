//! See `hookstream_fuzz_targets::FORM`.

#![no_main]

use hookstream_fuzz_targets::FORM;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    (FORM.check)(data);
});
