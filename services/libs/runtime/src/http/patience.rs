//! Two timeouts out of hyper's one.
//!
//! hyper counts the time between two requests into its timeout for headers. Slow headers deserve seconds, a resting
//! connection deserves more: a proxy that reuses one just as we close it loses the webhook it sends. So hyper's timer
//! is ours, and knows from the socket whether a byte of the next request has come.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};

/// How long one connection is waited for.
#[derive(Clone)]
pub(super) struct Patience(Arc<Inner>);

struct Inner {
    header_timeout: Duration,
    idle_timeout: Duration,
    waiting: Mutex<Waiting>,
}

/// What the connection is waited for since hyper last began to read headers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Nothing has come since.
    Idle { since: Instant },
    /// The first byte has come, or the connection is new.
    Headers { since: Instant },
}

impl Patience {
    pub(super) fn new(header_timeout: Duration, idle_timeout: Duration) -> Self {
        let waiting = Mutex::new(Waiting::Headers { since: Instant::now() });
        Self(Arc::new(Inner { header_timeout, idle_timeout, waiting }))
    }

    /// For `http1::Builder::timer`.
    pub(super) fn timer(&self) -> HeadTimer {
        HeadTimer { patience: self.clone(), first: Arc::new(Mutex::new(true)) }
    }

    /// The connection, watched for bytes that come.
    pub(super) fn watch<I>(&self, io: I) -> Watched<I> {
        Watched { io, patience: self.clone() }
    }

    fn deadline(&self) -> Instant {
        match *self.waiting() {
            Waiting::Idle { since } => since + self.0.idle_timeout,
            Waiting::Headers { since } => since + self.0.header_timeout,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Given to hyper, which asks it for one thing only: to be woken when headers have taken too long.
#[derive(Clone)]
pub(super) struct HeadTimer {
    patience: Patience,
    first: Arc<Mutex<bool>>,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *first, false) {
            *self.patience.waiting() = Waiting::Idle { since: Instant::now() };
        }
        let sleep = Box::pin(tokio::time::sleep_until(self.patience.deadline().into()));
        Box::pin(HeadSleep { patience: self.patience.clone(), sleep })
    }
}

struct HeadSleep {
    patience: Patience,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let deadline = self.patience.deadline().into();
            if self.sleep.deadline() != deadline {
                self.sleep.as_mut().reset(deadline);
            }
            ready!(self.sleep.as_mut().poll(cx));
            if self.patience.deadline() <= Instant::now() {
                return Poll::Ready(());
            }
        }
    }
}

impl Sleep for HeadSleep {}

/// A connection that tells its [`Patience`] of the first byte.
pub(super) struct Watched<I> {
    io: I,
    patience: Patience,
}

impl<I: Read + Unpin> Read for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        if matches!(result, Poll::Ready(Ok(()))) {
            let mut waiting = self.patience.waiting();
            if matches!(*waiting, Waiting::Idle { .. }) {
                *waiting = Waiting::Headers { since: Instant::now() };
            }
        }
        result
    }
}

impl<I: Write + Unpin> Write for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
