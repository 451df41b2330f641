//! A message on its way to a stream, which may have to be sent more than once.

use std::borrow::Cow;

use async_nats::header::{self, HeaderName, HeaderValue, IntoHeaderName as _};
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use hookstream_event::Header;

use crate::PublishError;

/// A message on its way.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) subject: Subject,
    /// Checked, and each name once.
    headers: Vec<Header>,
    pub(crate) payload: Bytes,
}

impl Outgoing {
    /// A message with these headers, or the header that is malformed.
    pub(crate) fn new(subject: String, headers: Vec<Header>, payload: Bytes) -> Result<Self, PublishError> {
        headers.iter().try_for_each(check)?;
        Ok(Self { subject: subject.into(), headers, payload })
    }

    /// The id that it is single by.
    pub(crate) fn id(&self) -> Option<&str> {
        let wanted: &str = header::NATS_MESSAGE_ID.as_ref();
        let id = self.headers.iter().find(|(name, _)| name == wanted);
        id.map(|(_, value)| &**value)
    }

    /// Size of headers and payload, about.
    pub(crate) fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4);
        headers.sum::<usize>() + self.payload.len()
    }

    /// The headers as the client takes them; it keeps what it is given.
    pub(crate) fn header_map(&self) -> HeaderMap {
        let names = |name: &Cow<'static, str>| match name {
            Cow::Borrowed(name) => HeaderName::from_static(name),
            Cow::Owned(name) => name.as_str().into_header_name(),
        };
        self.headers.iter().map(|(name, value)| (names(name), HeaderValue::from(&**value))).collect()
    }
}

/// The client panics on a line break where it converts by itself, and does not look at static names.
fn check((name, value): &Header) -> Result<(), PublishError> {
    let is_name = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if !is_name || value.bytes().any(|byte| byte == b'\r' || byte == b'\n') {
        return Err(PublishError::Refused(format!("header {name} is malformed")));
    }
    Ok(())
}
