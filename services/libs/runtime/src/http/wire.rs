//! The bytes of a connection, watched on their way.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::Limits;
use super::counts::Counts;
use super::fault::{ErrorShape, Fault};
use super::framing::Framing;
use super::patience::Patience;
use super::request_id::REQUEST_ID_HEADER;

/// Most bytes that one read takes.
const READ_BYTES_MAX: usize = 16 * 1024;
/// Most bytes that are read from a client after it was told that it is not understood.
const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// How long that may take.
const LINGER: Duration = Duration::from_secs(2);

/// What reads along on a connection, shared with whom it serves.
pub(super) type SharedFraming = Arc<Mutex<Framing>>;

/// A connection as hyper sees it. What comes is shown to [`Patience`] and [`Framing`]; an answer that the client does
/// not take in time ends it; and the empty answers that hyper gives by itself become [`Fault`]s.
pub(super) struct Wire {
    stream: TcpStream,
    patience: Patience,
    framing: SharedFraming,
    errors: ErrorShape,
    answer_timeout: Duration,
    counts: Counts,
    /// Runs while an answer waits for the client.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What is left to write in place of hyper's own answer.
    instead: Vec<u8>,
    linger: Option<Linger>,
}

/// Reads on after the last answer: closing a socket with bytes unread resets it, and a client that is still sending
/// would never see the answer.
struct Linger {
    until: Pin<Box<Sleep>>,
    left: usize,
    /// Whether the client was told that nothing more comes.
    told: bool,
}

impl Wire {
    pub(super) fn new(
        stream: TcpStream,
        patience: Patience,
        framing: SharedFraming,
        limits: &Limits,
        counts: Counts,
    ) -> Self {
        Self {
            stream,
            patience,
            framing,
            errors: limits.errors,
            answer_timeout: limits.answer_timeout,
            counts,
            stalled: None,
            instead: Vec::new(),
            linger: None,
        }
    }

    /// Whether hyper writes an answer of its own: no request is being answered, and ours carry an id.
    fn fault_of_hyper(&self, bytes: &[u8]) -> Option<Fault> {
        let fault = Fault::of_hyper(bytes).filter(|_| self.patience.waits_since().is_some())?;
        let ours = bytes.windows(REQUEST_ID_HEADER.len()).any(|part| part == REQUEST_ID_HEADER.as_bytes());
        (bytes.ends_with(b"\r\n\r\n") && !ours).then_some(fault)
    }

    /// An answer that waits for the client ends the connection when it has waited for too long.
    fn bounded<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.answer_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        self.counts.fault("answer_not_taken");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answer")))
    }

    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.instead);
            let written = ready!(self.bounded(cx, written))?;
            self.instead.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(linger) = &mut self.linger else { return Poll::Ready(()) };
        let mut space = [MaybeUninit::uninit(); READ_BYTES_MAX];
        while linger.left > 0 {
            let mut buffer = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    linger.left = linger.left.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return linger.until.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES_MAX];
        let room = to.remaining().min(READ_BYTES_MAX);
        let mut buffer = ReadBuf::uninit(&mut space[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let bytes = buffer.filled();
        let mut framing = self.framing.lock().unwrap_or_else(PoisonError::into_inner);
        framing.read(bytes);
        self.patience.bytes_came(framing.is_within_headers());
        drop(framing);
        to.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(fault) = self.fault_of_hyper(bytes) {
            self.counts.fault(fault.code());
            self.instead = fault.answer(self.errors);
            let until = Box::pin(sleep(LINGER));
            self.linger = Some(Linger { until, left: LINGER_BYTES_MAX, told: false });
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        if !self.linger.as_ref().is_some_and(|linger| linger.told) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if let Some(linger) = &mut self.linger {
            linger.told = true;
        }
        self.poll_linger(cx).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // hyper's own answers have no body: they come in one part.
        if let [part] = parts {
            return self.poll_write(cx, part);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.bounded(cx, written)
    }
}
