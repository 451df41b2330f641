//! Reads one value from its JSON text, or says which rule it breaks.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::json;
use crate::description::in_utc;

/// What a value must be, such as "must be true or false".
pub(super) type Rule = Cow<'static, str>;

/// Bounds on the fields of internal events. Lengths are in characters, as JSON Schema counts them.
pub mod limit {
    /// Longest id: `queue_id`, `adw_id`.
    pub const ID: usize = 128;
    /// Longest name: `workflow_type`, `workflow_template`, `phase_name`.
    pub const NAME: usize = 256;
    /// Longest free text: `log_message`, `error_message`, `reason`.
    pub const TEXT: usize = 65_536;
    /// Largest `phase_data` and `metadata`, in bytes of JSON.
    pub const JSON_BYTES: usize = 1024 * 1024;
    /// Most values in `phase_data` and `metadata`, counted as commas, colons and opening brackets. In memory a small
    /// value takes a hundred times the bytes that it is written with.
    pub const JSON_VALUES: usize = 10_000;
    /// Largest whole number: what every JSON reader holds exactly.
    pub const INTEGER: i64 = (1 << 53) - 1;
    /// Largest `duration_seconds` and `cost_usd`.
    pub const AMOUNT: f64 = 1e9;
    /// Most phases that may be announced or running at once.
    pub const CONCURRENT: i64 = 10_000;
    /// Largest phase number, and so many phases at most in a plan.
    pub const PHASES: i32 = 20;
}

/// An id. Workers use ids in file names, command lines, log lines and URLs, hence no slash, no space and no leading
/// dot or hyphen.
pub(super) fn id(raw: &str) -> Result<String, Rule> {
    let clean = |id: &String| {
        let mut bytes = id.bytes();
        let head = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        head && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b)) && id.len() <= limit::ID
    };
    serde_json::from_str(raw).ok().filter(clean).ok_or(Cow::Borrowed(
        "must be 1 to 128 characters of A-Z, a-z, 0-9, '_', '.', ':' and '-', the first a letter, digit or '_'",
    ))
}

/// A name: not blank, no control characters.
pub(super) fn name(raw: &str) -> Result<String, Rule> {
    let name: Option<String> = serde_json::from_str(raw).ok();
    name.filter(|name| is_name(name))
        .ok_or(Cow::Borrowed("must be a text of 1 to 256 characters, not blank, without control characters"))
}

/// Whether a text may be a name, such as a `workflow_type`: as the schemas' pattern says.
pub fn is_name(text: &str) -> bool {
    // The blanks of ECMA-262's `\s`, by which JSON Schema reads its patterns, are Unicode's and the byte order mark.
    let is_blank = |char: char| char.is_whitespace() || char == '\u{feff}';
    !text.chars().all(is_blank) && !text.chars().any(char::is_control) && text.chars().count() <= limit::NAME
}

/// A free text, which may be empty. U+0000 becomes U+FFFD.
pub(super) fn text(raw: &str) -> Result<String, Rule> {
    let text: Option<String> = serde_json::from_str(raw).ok();
    text.filter(|text| text.chars().count() <= limit::TEXT)
        .map(|text| text.replace('\0', "\u{fffd}"))
        .ok_or(Cow::Borrowed("must be a text of at most 65536 characters"))
}

pub(super) fn boolean(raw: &str) -> Result<bool, Rule> {
    serde_json::from_str(raw).map_err(|_| Cow::Borrowed("must be true or false"))
}

/// A whole number, which may be written `12`, `12.0` or `1.2e1`: to JSON Schema they are one and the same.
pub(super) fn integer<N: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Fn(&str) -> Result<N, Rule> {
    move |raw| {
        whole(raw)
            .filter(|integer| range.contains(integer))
            .and_then(|integer| N::try_from(integer).ok())
            .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()).into())
    }
}

fn whole(raw: &str) -> Option<i64> {
    if let Ok(integer) = raw.parse() {
        return Some(integer);
    }
    #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact in a double")]
    let exact = |number: &f64| number.fract() == 0.0 && number.abs() <= limit::INTEGER as f64;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    raw.parse().ok().filter(exact).map(|number| number as i64)
}

/// Issue numbers and counts.
pub(super) fn count(raw: &str) -> Result<i64, Rule> {
    integer(0..=limit::INTEGER)(raw)
}

pub(super) fn phase_number(raw: &str) -> Result<i32, Rule> {
    integer(1..=limit::PHASES.into())(raw)
}

/// Seconds and dollars.
pub(super) fn amount(raw: &str) -> Result<f64, Rule> {
    let number: Option<f64> = serde_json::from_str(raw).ok();
    number
        .filter(|number| (0.0..=limit::AMOUNT).contains(number))
        .ok_or(Cow::Borrowed("must be a number from 0 to 1000000000"))
}

/// An RFC 3339 time. The systems that report to us may leave the offset out, which then is UTC, or have a space
/// between date and time.
pub(super) fn time(raw: &str) -> Result<OffsetDateTime, Rule> {
    const RULE: Rule = Cow::Borrowed("must be a time such as 2026-01-31T12:00:00Z");
    let mut text: String = serde_json::from_str(raw).map_err(|_| RULE)?;
    if !text.is_ascii() || !(19..=40).contains(&text.len()) {
        return Err(RULE);
    }
    match text.as_bytes()[10] {
        b'T' | b't' => {}
        b' ' => text.replace_range(10..11, "T"),
        // The parser would take anything here.
        _ => return Err(RULE),
    }
    // Of more than nanoseconds the parser would silently drop the rest.
    let digits = text[19..].bytes().skip(1).take_while(u8::is_ascii_digit).count();
    if digits > 9 {
        return Err(RULE);
    }
    let has_offset = text[19..].contains(['Z', 'z', '+', '-']);
    if !has_offset {
        text.push('Z');
    }
    OffsetDateTime::parse(&text, &Rfc3339).ok().and_then(in_utc).ok_or(RULE)
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(all: &[T], as_str: fn(T) -> &'static str) -> impl Fn(&str) -> Result<T, Rule> {
    move |raw| {
        let word: Option<String> = serde_json::from_str(raw).ok();
        let found = word.and_then(|word| all.iter().find(|one| as_str(**one) == word));
        found.copied().ok_or_else(|| {
            let words: Vec<_> = all.iter().map(|one| as_str(*one)).collect();
            format!("must be one of {}", words.join(", ")).into()
        })
    }
}

/// An object that is kept as JSON, free of U+0000.
pub(super) fn object(raw: &str) -> Result<Map<String, Value>, Rule> {
    const RULE: Rule = Cow::Borrowed(
        "must be an object of at most 1048576 bytes and 10000 values, with valid texts and numbers",
    );
    if raw.len() > limit::JSON_BYTES || json::count_values(raw) > limit::JSON_VALUES {
        return Err(RULE);
    }
    json::clean_object(raw).ok_or(RULE)
}

/// Phase numbers below `phase_number`; sorted, without doubles.
pub(super) fn dependencies(raw: &str, phase_number: i32) -> Result<Vec<i32>, Rule> {
    let earlier = integer(1..=i64::from(phase_number) - 1);
    let most = usize::try_from(limit::PHASES).unwrap_or_default();
    let numbers: Option<Vec<i32>> = json::elements(raw, most)
        .and_then(|elements| elements.into_iter().map(|element| earlier(element).ok()).collect());
    let mut numbers =
        numbers.ok_or("must be a list of at most 20 phase numbers, each from 1 and below phase_number")?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}
