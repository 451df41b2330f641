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
    fn take(&mut self, parameter: &str) -> bool {
        let Some((name, value)) = parameter.split_once('=') else {
            return false;
        };
        let field = match name.trim() {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root,
            _ => return false,
        };
        *field = Some(value.trim().trim_matches('\'').to_owned());
        true
    }
}

/// `text` without `sslmode` and `sslrootcert`, and those.
pub(crate) fn take_tls_parameters(text: &str) -> (String, TlsParameters) {
    let mut tls = TlsParameters::default();
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if !is_url {
        let kept: Vec<&str> = text.split_whitespace().filter(|parameter| !tls.take(parameter)).collect();
        return if tls == TlsParameters::default() { (text.to_owned(), tls) } else { (kept.join(" "), tls) };
    }
    let Some((before, query)) = text.split_once('?') else {
        return (text.to_owned(), tls);
    };
    let kept: Vec<&str> = query.split('&').filter(|parameter| !tls.take(parameter)).collect();
    tls.mode = tls.mode.map(|value| percent_decoded(&value));
    tls.root = tls.root.map(|value| percent_decoded(&value));
    let rest = if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) };
    (rest, tls)
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
