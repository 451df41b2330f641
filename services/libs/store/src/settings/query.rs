//! tokio-postgres knows three of libpq's sslmodes and no sslrootcert, so these are taken out before it parses.

/// What a URL or key-value text says of TLS.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsParameters {
    /// `sslmode`.
    pub(crate) mode: Option<String>,
    /// `sslrootcert`.
    pub(crate) root: Option<String>,
}

impl TlsParameters {
    /// Takes the parameter if it is one of ours.
    fn take(&mut self, parameter: &str, read: impl Fn(&str) -> String) -> bool {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let field = match name {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root,
            _ => return false,
        };
        *field = Some(read(value));
        true
    }
}

/// `text` without `sslmode` and `sslrootcert`, and those.
pub(crate) fn take_tls_parameters(text: &str) -> (String, TlsParameters) {
    let mut tls = TlsParameters::default();
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if !is_url {
        let kept: Vec<&str> = words(text).into_iter().filter(|word| !tls.take(word, unquoted)).collect();
        return (kept.join(" "), tls);
    }
    let Some((before, query)) = text.split_once('?') else {
        return (text.to_owned(), tls);
    };
    let kept: Vec<&str> =
        query.split('&').filter(|parameter| !tls.take(parameter, percent_decoded)).collect();
    (if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) }, tls)
}

/// Splits at white space outside of quotes; a backslash takes the next character as it is.
fn words(text: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let splits = move |character: char| {
        let (was_escaped, is_backslash) = (escaped, character == '\\');
        escaped = is_backslash && !was_escaped;
        quoted ^= character == '\'' && !was_escaped;
        character.is_whitespace() && !quoted && !was_escaped
    };
    text.split(splits).filter(|word| !word.is_empty()).collect()
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(value);
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

/// What is no valid encoding is kept as it is.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = text.get(at + 1..at + 3).filter(|_| byte == b'%');
        let encoded = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        decoded.push(encoded.unwrap_or(byte));
        at += if encoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
