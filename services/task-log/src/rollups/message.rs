//! What error messages have in common. Pure.

/// Longest normalised message, in bytes: it is part of a key.
const BYTES_MAX: usize = 200;

/// The first line of a message that says something, with what differs from one time to the next replaced: quoted words
/// by `'…'`, paths and addresses by `<path>`, ids of eight hex digits and more by `<id>`, numbers by `<n>`.
pub(super) fn normalised(message: &str) -> String {
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    for word in unquoted(line).split_whitespace() {
        words.push(word_of(word));
    }
    let mut text = words.join(" ");
    text.truncate(text.floor_char_boundary(BYTES_MAX));
    text
}

/// The line with `'…'` for everything between two quotation marks of a kind. An apostrophe within a word quotes nothing.
fn unquoted(line: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(line.len()), line);
    while let Some(start) = rest.find(['\'', '"', '`']) {
        let mark = &rest[start..=start];
        let within_word = rest[..start].ends_with(char::is_alphanumeric);
        if let Some(length) = rest[start + 1..].find(mark).filter(|_| !within_word) {
            text.push_str(&rest[..start]);
            text.push_str("'…'");
            rest = &rest[start + length + 2..];
        } else {
            text.push_str(&rest[..=start]);
            rest = &rest[start + 1..];
        }
    }
    text.push_str(rest);
    text
}

fn word_of(word: &str) -> String {
    let core = word.trim_matches(|c: char| c.is_ascii_punctuation() && !"/<>_~'…".contains(c));
    if core.is_empty() {
        return word.to_owned();
    }
    let replaced = if core.contains("://") || core.contains('/') && core.len() > 1 {
        "<path>".to_owned()
    } else if is_id(core) {
        "<id>".to_owned()
    } else {
        numbers_out(core)
    };
    word.replacen(core, &replaced, 1)
}

/// Hex digits and hyphens, with at least eight of the former and a decimal digit among them.
fn is_id(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_hexdigit).count();
    digits >= 8
        && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic() || byte == b'-')
}

/// `<n>` for each run of digits.
fn numbers_out(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut in_number = false;
    for c in word.chars() {
        match (c.is_ascii_digit(), in_number) {
            (true, true) => {}
            (true, false) => text.push_str("<n>"),
            (false, _) => text.push(c),
        }
        in_number = c.is_ascii_digit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_each_time_is_replaced() {
        let cases = [
            ("3 of 12 tests failed", "<n> of <n> tests failed"),
            ("  \n\ttimed out after 30.5s\nat line 7", "timed out after <n>.<n>s"),
            ("cannot open /var/lib/x-17.log: denied", "cannot open <path>: denied"),
            ("GET https://example.org/a?b=1 gave 502", "GET <path> gave <n>"),
            ("commit 9f8e7d6c5b4a is gone", "commit <id> is gone"),
            ("run 0b9f7c9e-6a4d-4c83-b7f2-3d3c1a1f7f10.", "run <id>."),
            ("no column \"user id\" in 'orders'", "no column '…' in '…'"),
            ("it isn't there", "it isn't there"),
            ("deadbeef decade", "deadbeef decade"),
            ("an open \"quote", "an open \"quote"),
            ("", ""),
            ("\n \n", ""),
        ];
        for (message, expected) in cases {
            assert_eq!(normalised(message), expected, "{message:?}");
        }
    }

    #[test]
    fn any_text_is_normalised_within_the_bound() {
        for text in ["😀'".repeat(2000), "1 ".repeat(3000), "\u{2028}\"/".repeat(900), "'".repeat(4000)] {
            assert!(normalised(&text).len() <= BYTES_MAX);
        }
    }
}
