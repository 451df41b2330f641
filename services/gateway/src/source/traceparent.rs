use hyper::HeaderMap;

use super::only;

/// The W3C trace context of a request, if it is well-formed: `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zeros.
/// Versions after 00 may be longer; we know 00 and pass nothing else on. (W3C Trace Context, §3.2)
pub(super) fn read(headers: &HeaderMap) -> Option<String> {
    let value = only(headers, "traceparent")?.to_str().ok()?;
    let mut parts = value.split('-');
    let mut part = |length: usize| {
        let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        parts.next().filter(|part| part.len() == length && part.bytes().all(lower_hex))
    };
    let (version, trace, parent, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let zeros = |id: &str| id.bytes().all(|byte| byte == b'0');
    let fits = version == "00" && !zeros(trace) && !zeros(parent) && parts.next().is_none();
    fits.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read_value(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_str(value).unwrap());
        read(&headers)
    }

    #[test]
    fn a_well_formed_trace_context_is_passed_on_and_nothing_else() {
        assert_eq!(read_value(GOOD).as_deref(), Some(GOOD));
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let (longer, upper) = (format!("{GOOD}-x"), GOOD.to_uppercase());
        let future = GOOD.replacen("00", "01", 1);
        for wrong in ["", "00", &GOOD[..54], &longer, &upper, &future, &zero_trace, &zero_parent] {
            assert_eq!(read_value(wrong), None, "{wrong}");
        }
        let mut twice = HeaderMap::new();
        twice.append("traceparent", HeaderValue::from_static(GOOD));
        twice.append("traceparent", HeaderValue::from_static(GOOD));
        assert_eq!(read(&twice), None);
    }
}
