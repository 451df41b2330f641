//! Opaque cursors: where a page of a list ended. Pure.
//!
//! A cursor is a position (the key of the last row) with a checksum over it and over the list and filters that it
//! belongs to. The checksum finds what was changed by mistake or carried over to another list. It is no secret: who
//! makes a cursor of his own gets a page of a list that he may read anyway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hookstream_event::BodyDigest;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 8;

/// Longest cursor that is looked at, in characters. Positions hold up to two names of a KiB, of which JSON may make six.
const CHARS_MAX: usize = 20 * 1024;

/// The cursor of `position` in the list `scope`.
pub(crate) fn encode<K: Serialize>(scope: &str, position: &K) -> String {
    // Positions are numbers and texts.
    let position = serde_json::to_vec(position).unwrap_or_default();
    let mut bytes = checksum(scope, &position).to_vec();
    bytes.extend_from_slice(&position);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position of a cursor of the list `scope`; `None` if it is none.
pub(crate) fn decode<K: DeserializeOwned>(scope: &str, cursor: &str) -> Option<K> {
    if cursor.len() > CHARS_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (found, position) = bytes.split_at_checked(CHECKSUM_BYTES)?;
    if found != checksum(scope, position) {
        return None;
    }
    serde_json::from_slice(position).ok()
}

fn checksum(scope: &str, position: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut bytes = (scope.len() as u64).to_be_bytes().to_vec();
    bytes.extend_from_slice(scope.as_bytes());
    bytes.extend_from_slice(position);
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&BodyDigest::of(&bytes).0[..CHECKSUM_BYTES]);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_position() {
        let position = ("2026-11-23".to_owned(), "grüße".to_owned(), i64::MAX);
        let cursor = encode("/analytics?status=failed", &position);
        assert_eq!(decode("/analytics?status=failed", &cursor), Some(position));
        assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{cursor}");
    }

    #[test]
    fn a_cursor_is_of_one_list_and_its_filters() {
        let cursor = encode("/task-logs?issue=7", &42_i64);
        for other in ["/task-logs", "/task-logs?issue=8", "/audit?issue=7", ""] {
            assert_eq!(decode::<i64>(other, &cursor), None, "{other}");
        }
    }

    #[test]
    fn every_change_of_a_character_is_noticed() {
        let cursor = encode("/audit", &42_i64);
        for at in 0..cursor.len() {
            for with in ["A", "z", "9", "-", "=", ".", "é"] {
                let mut changed = cursor.clone();
                changed.replace_range(at..=at, with);
                assert!(changed == cursor || decode::<i64>("/audit", &changed).is_none(), "{changed}");
            }
            assert_eq!(decode::<i64>("/audit", &cursor[..at]), None);
        }
    }

    #[test]
    fn a_position_of_another_shape_is_refused() {
        assert_eq!(decode::<i64>("/audit", &encode("/audit", &"42")), None);
        assert_eq!(decode::<i64>("/audit", &encode("/audit", &(1, 2))), None);
        assert_eq!(decode::<i64>("/audit", &"A".repeat(CHARS_MAX + 1)), None);
    }
}
