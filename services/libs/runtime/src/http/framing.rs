//! A second opinion on where requests begin and end.
//!
//! A server and a proxy in front of it that read the framing of a request differently can be made to see different
//! requests on one connection. hyper resolves what HTTP lets it resolve (a length beside chunks, lines that end in a
//! bare line feed) and then shows no trace of it. So this reads along, far more strictly, and a request is served only
//! if both agree that it begins where the one before ended and that nobody could read it otherwise.

use std::collections::VecDeque;

/// Reads along on one connection.
#[derive(Debug, Default)]
pub(super) struct Framing {
    /// Longest line that is kept until its end comes; hyper refuses headers of this size.
    line_bytes_max: usize,
    place: Place,
    /// A line whose end has not come.
    line: Vec<u8>,
    head: Head,
    /// What to think of the requests that have come and are not yet served.
    verdicts: VecDeque<Result<(), &'static str>>,
}

/// What comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The line of a request, or empty lines before it.
    #[default]
    RequestLine,
    /// A header or the empty line after them.
    Header,
    /// So many bytes of a body.
    Body(u64),
    /// The line with the size of a chunk.
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The empty rest of the line after a chunk.
    ChunkEnd,
    /// A trailer or the empty line after them.
    Trailer,
    /// Nothing that can be followed.
    Lost,
}

/// What the headers of one request have said so far.
#[derive(Debug, Default)]
struct Head {
    http_11: bool,
    hosts: u32,
    length: Option<u64>,
    chunked: bool,
    problem: Option<&'static str>,
}

impl Framing {
    pub(super) fn new(line_bytes_max: usize) -> Self {
        Self { line_bytes_max, ..Self::default() }
    }

    /// Whether a request has begun whose headers are not whole.
    pub(super) fn is_within_headers(&self) -> bool {
        match self.place {
            Place::RequestLine => !self.line.is_empty(),
            Place::Header | Place::Lost => true,
            _ => false,
        }
    }

    /// What has come.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.place {
                Place::Lost => return,
                Place::Body(left) | Place::Chunk(left) => {
                    let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    bytes = &bytes[taken..];
                    match self.place {
                        Place::Body(0) => self.place = Place::RequestLine,
                        Place::Chunk(0) => self.place = Place::ChunkEnd,
                        _ => {}
                    }
                }
                _ => match bytes.iter().position(|byte| *byte == b'\n') {
                    Some(end) if self.line.is_empty() => {
                        self.line(&bytes[..end]);
                        bytes = &bytes[end + 1..];
                    }
                    Some(end) => {
                        let mut line = std::mem::take(&mut self.line);
                        line.extend_from_slice(&bytes[..end]);
                        self.line(&line);
                        bytes = &bytes[end + 1..];
                    }
                    None if self.line.len() + bytes.len() > self.line_bytes_max => self.lose(),
                    None => {
                        self.line.extend_from_slice(bytes);
                        return;
                    }
                },
            }
        }
    }

    /// The opinion on the next request that is served.
    pub(super) fn verdict(&mut self) -> Result<(), &'static str> {
        let verdict = self.verdicts.pop_front();
        // hyper saw a request where this saw none.
        verdict.unwrap_or(Err("it is not clear where the request begins"))
    }

    fn lose(&mut self) {
        self.place = Place::Lost;
        self.line = Vec::new();
    }

    /// A line, without its line feed.
    fn line(&mut self, line: &[u8]) {
        let stripped = line.strip_suffix(b"\r");
        let text = stripped.unwrap_or(line);
        if stripped.is_none() || text.contains(&b'\r') {
            match self.place {
                Place::RequestLine | Place::Header => self.head.object("lines must end with CR LF"),
                _ => return self.lose(),
            }
        }
        match self.place {
            Place::RequestLine if text.is_empty() => {}
            Place::RequestLine => {
                self.head.http_11 = text.ends_with(b" HTTP/1.1");
                self.place = Place::Header;
            }
            Place::Header if text.is_empty() => self.end_of_head(),
            Place::Header => self.head.header(text),
            Place::ChunkSize => match chunk_size(text) {
                Some(0) => self.place = Place::Trailer,
                Some(size) => self.place = Place::Chunk(size),
                None => self.lose(),
            },
            Place::ChunkEnd if text.is_empty() => self.place = Place::ChunkSize,
            Place::Trailer if text.is_empty() => self.place = Place::RequestLine,
            Place::Trailer => {}
            Place::ChunkEnd | Place::Body(_) | Place::Chunk(_) | Place::Lost => self.lose(),
        }
    }

    fn end_of_head(&mut self) {
        let head = std::mem::take(&mut self.head);
        let verdict = head.judge();
        self.verdicts.push_back(verdict);
        match head {
            // The connection ends with the answer to this one.
            _ if verdict.is_err() => self.lose(),
            Head { chunked: true, .. } => self.place = Place::ChunkSize,
            Head { length: Some(length @ 1..), .. } => self.place = Place::Body(length),
            _ => self.place = Place::RequestLine,
        }
    }
}

impl Head {
    fn object(&mut self, problem: &'static str) {
        self.problem.get_or_insert(problem);
    }

    fn header(&mut self, line: &[u8]) {
        // hyper refuses a line without a colon.
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                self.object("there may be one Content-Length only");
            }
            self.length = length(value);
            if self.length.is_none() {
                self.object("Content-Length must be a number");
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                self.object("Transfer-Encoding must be chunked");
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        }
    }

    fn judge(&self) -> Result<(), &'static str> {
        match self {
            Self { problem: Some(problem), .. } => Err(problem),
            Self { chunked: true, length: Some(_), .. } => {
                Err("Content-Length and Transfer-Encoding exclude each other")
            }
            Self { chunked: true, http_11: false, .. } => Err("Transfer-Encoding needs HTTP/1.1"),
            Self { http_11: true, hosts: 0, .. } => Err("Host is missing"),
            Self { hosts: 2.., .. } => Err("there may be one Host only"),
            _ => Ok(()),
        }
    }
}

/// A length of digits only.
fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// The size of a chunk: hexadecimal digits, then perhaps space and extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    u64::from_str_radix(str::from_utf8(&line[..end]).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(bytes: &[u8], piece: usize) -> Vec<Result<(), &'static str>> {
        let mut framing = Framing::new(1000);
        bytes.chunks(piece).for_each(|piece| framing.read(piece));
        framing.verdicts.into()
    }

    #[test]
    fn requests_are_found_however_they_come() {
        let requests = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\
            POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 21\r\n\r\nGET / HTTP/1.1\r\n\r\nxyz\
            POST / HTTP/1.1\r\nhost: a\r\nTransfer-encoding: Chunked\r\n\r\n\
            5;a=b\r\nGET /\r\n1A  \r\nabcdefghijklm\r\n\r\npqrstuvwx\r\n0\r\nTrailer: x\r\n\r\n\
            POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n";
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(verdicts(requests, piece), [Ok(()); 4], "{piece}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_told() {
        for (headers, problem) in [
            ("Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", "exclude each other"),
            ("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n", "exclude each other"),
            ("Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n", "one Content-Length"),
            ("Host: a\r\nContent-Length: +1\r\n", "a number"),
            ("Host: a\r\nContent-Length: 1, 1\r\n", "a number"),
            ("Host: a\r\nContent-Length:\r\n", "a number"),
            ("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", "must be chunked"),
            ("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "must be chunked"),
            ("Host: a\nX: b\r\n", "CR LF"),
            ("Host: a\r\nX: b\rc\r\n", "CR LF"),
            ("Host: a\r\nhost: a\r\n", "one Host"),
            ("X: a\r\n", "Host is missing"),
        ] {
            let request = format!("POST / HTTP/1.1\r\n{headers}\r\n");
            for piece in [1, 1000] {
                let found = verdicts(request.as_bytes(), piece);
                assert!(
                    found.len() == 1 && found[0].is_err_and(|found| found.contains(problem)),
                    "{found:?}"
                );
            }
        }
        let old = verdicts(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 1000);
        assert_eq!(old, [Err("Transfer-Encoding needs HTTP/1.1")]);
    }

    #[test]
    fn after_what_cannot_be_followed_no_request_is_known() {
        for body in ["x\r\n", "5\n12345\r\n0\r\n\r\n", "1\r\nabc\r\n", "\r\n", "fffffffffffffffff\r\n"] {
            let start = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            let requests = format!("{start}{body}GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(verdicts(requests.as_bytes(), 1000), [Ok(())], "{body:?}");
        }
        let mut framing = Framing::new(1000);
        framing.read(&[b'x'; 1000]);
        assert_eq!((framing.place, framing.line.len()), (Place::RequestLine, 1000));
        framing.read(b"x");
        assert_eq!((framing.place, framing.line.len()), (Place::Lost, 0));
        assert!(framing.verdict().is_err());
    }
}
