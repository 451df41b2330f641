use std::hash::{BuildHasher as _, RandomState};

/// A random text in the shape of a UUID, for ids that must not repeat. Not for secrets.
pub fn unique_id() -> String {
    let (one, two) = (RandomState::new().hash_one(1), RandomState::new().hash_one(2));
    let hex = format!("{one:016x}{two:016x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
