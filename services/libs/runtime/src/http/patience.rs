//! Two timeouts out of hyper's one.
//!
//! hyper counts the time between two requests into its timeout for headers. Slow headers deserve seconds, a resting
//! connection deserves more: a proxy that reuses one just as we close it loses the webhook it sends. So hyper's timer
//! is ours, and knows from the socket whether a byte of the next request has come.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// How long one connection is waited for.
#[derive(Clone)]
pub(super) struct Patience(Arc<Inner>);

struct Inner {
    header_timeout: Duration,
    idle_timeout: Duration,
    waiting: Mutex<Waiting>,
    /// Whether a part of the next request's headers has come.
    begun: AtomicBool,
}

/// What the connection is waited for since hyper last began to read headers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Nothing has come since.
    Idle { since: Instant },
    /// The first byte has come, or the connection is new.
    Headers { since: Instant },
    /// Nothing: its request is being answered.
    Request,
}

impl Patience {
    pub(super) fn new(header_timeout: Duration, idle_timeout: Duration) -> Self {
        let waiting = Mutex::new(Waiting::Headers { since: Instant::now() });
        Self(Arc::new(Inner { header_timeout, idle_timeout, waiting, begun: AtomicBool::new(false) }))
    }

    /// For `http1::Builder::timer`.
    pub(super) fn timer(&self) -> HeadTimer {
        HeadTimer { patience: self.clone(), first: Arc::new(Mutex::new(true)) }
    }

    /// Notes that bytes have come, and whether they leave off within a request's headers.
    pub(super) fn bytes_came(&self, within_headers: bool) {
        self.0.begun.store(within_headers, Ordering::Relaxed);
        let mut waiting = self.waiting();
        if matches!(*waiting, Waiting::Idle { .. }) {
            *waiting = Waiting::Headers { since: Instant::now() };
        }
    }

    /// Notes that a request is whole, as far as its headers go.
    pub(super) fn request_came(&self) {
        *self.waiting() = Waiting::Request;
    }

    /// Since when the connection has not given us a request to answer; `None` while it has.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        match *self.waiting() {
            Waiting::Idle { since } | Waiting::Headers { since } => Some(since),
            Waiting::Request => None,
        }
    }

    /// Whether headers are waited for, rather than a next request.
    pub(super) fn is_within_headers(&self) -> bool {
        matches!(*self.waiting(), Waiting::Headers { .. })
    }

    /// `None` if there is nothing to wait for.
    fn deadline(&self) -> Option<Instant> {
        match *self.waiting() {
            Waiting::Idle { since } => Some(since + self.0.idle_timeout),
            Waiting::Headers { since } => Some(since + self.0.header_timeout),
            Waiting::Request => None,
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
            let (begun, since) = (self.patience.0.begun.load(Ordering::Relaxed), Instant::now());
            // They may have come together with the request before.
            *self.patience.waiting() =
                if begun { Waiting::Headers { since } } else { Waiting::Idle { since } };
        }
        let deadline = self.patience.deadline().unwrap_or_else(Instant::now);
        let sleep = Box::pin(tokio::time::sleep_until(deadline.into()));
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
            // hyper asks no longer once it has the headers.
            let Some(deadline) = self.patience.deadline() else { return Poll::Pending };
            if self.sleep.deadline() != deadline.into() {
                self.sleep.as_mut().reset(deadline.into());
            }
            ready!(self.sleep.as_mut().poll(cx));
            if self.patience.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                return Poll::Ready(());
            }
        }
    }
}

impl Sleep for HeadSleep {}
