//! Signed times, in Unix seconds.

use crate::VerifyError;

/// How far a signed time may be from ours, both ways, inclusive. In seconds. All providers here recommend it.
pub const TOLERANCE_SECONDS: i64 = 300;

/// A timestamp of twelve digits is good until the year 33658.
const DIGITS_MAX: usize = 12;

/// Plain digits without a leading zero: one time, one spelling.
pub(crate) fn parse(digits: &[u8]) -> Option<i64> {
    let plain = digits.iter().all(u8::is_ascii_digit) && digits.len() <= DIGITS_MAX;
    if !plain || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// To be asked after the signature has matched: a stale delivery is told from a forged one.
pub(crate) fn check(signed_at: i64, now_unix: i64) -> Result<(), VerifyError> {
    let fresh = now_unix.abs_diff(signed_at) <= TOLERANCE_SECONDS.unsigned_abs();
    if fresh { Ok(()) } else { Err(VerifyError::Stale) }
}
