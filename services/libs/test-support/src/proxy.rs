use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A TCP proxy on loopback that a test can cut, to play a network that fails.
#[derive(Debug)]
pub struct CutProxy {
    addr: SocketAddr,
    state: watch::Sender<State>,
    open: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct State {
    /// New connections are closed at once, with a reset.
    refusing: bool,
    /// Bytes stop where they are; nothing is closed.
    silent: bool,
    /// Each piece of data waits so long, in each direction.
    delay: Duration,
    /// Connections older than the latest cut end, with a reset.
    cuts: u32,
}

impl CutProxy {
    /// Listens on a free port and passes connections on to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port for the proxy");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let state = watch::Sender::new(State::default());
        let open = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn(accept(listener, target, state.subscribe(), Arc::clone(&open)));
        Self { addr, state, open, accepting }
    }

    /// Where to connect instead of to the target.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections pass through now.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Resets all connections, and new ones until [`CutProxy::restore`].
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.refusing = true;
            state.cuts += 1;
        });
    }

    /// Resets all connections; new ones pass.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Resets new connections until [`CutProxy::restore`]; those that stand go on.
    pub fn refuse(&self) {
        self.state.send_modify(|state| state.refusing = true);
    }

    /// Lets no byte pass until [`CutProxy::restore`], and closes nothing: a cable pulled, a firewall that drops.
    pub fn silence(&self) {
        self.state.send_modify(|state| state.silent = true);
    }

    /// Holds each piece of data back for so long, in each direction.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Passes everything at once again.
    pub fn restore(&self) {
        self.state.send_modify(|state| *state = State { cuts: state.cuts, ..State::default() });
    }
}

impl Drop for CutProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    state: watch::Receiver<State>,
    open: Arc<AtomicUsize>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if state.borrow().refusing {
            let _ = client.set_zero_linger();
            continue;
        }
        let (state, open) = (state.clone(), Arc::clone(&open));
        tokio::spawn(async move {
            open.fetch_add(1, Ordering::AcqRel);
            // An error is the end of this connection, which both sides see.
            let _ = pass(client, target, state).await;
            open.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

/// Passes bytes both ways until one side ends, or a cut.
async fn pass(mut client: TcpStream, target: SocketAddr, state: watch::Receiver<State>) -> io::Result<()> {
    let cuts = state.borrow().cuts;
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let passed = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::try_join!(
                pump(from_client, to_server, state.clone()),
                pump(from_server, to_client, state.clone())
            )
        };
        let mut cut = state.clone();
        tokio::select! {
            passed = both => passed.map(drop),
            _ = cut.wait_for(|state| state.cuts != cuts) => Err(io::ErrorKind::ConnectionReset.into()),
        }
    };
    if passed.is_err() {
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    passed
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        let delay = state.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if state.wait_for(|state| !state.silent).await.is_err() {
            return Ok(()); // the proxy is gone
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
