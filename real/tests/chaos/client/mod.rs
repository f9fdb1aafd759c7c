//! Clients that do as their scripts say.

mod http1;
mod http2;

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};

pub use self::http1::http1;
pub use self::http2::http2;
use crate::script::{Leaves, Reading, When};

/// Far longer than any of them takes.
const HANG: Duration = Duration::from_secs(40);

const ACCEPTS: [&str; 2] = ["*/*", "text/event-stream, */*"];

async fn connect(at: SocketAddr, slow: bool) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    if slow {
        let _ = socket.set_recv_buffer_size(4 * 1024);
    }
    let tcp = socket.connect(at).await.ok()?;
    let _ = tcp.set_nodelay(true);
    Some(tcp)
}

/// Waits until the reader may read again.
#[derive(Debug)]
struct Pace {
    reading: Reading,
    stalled: bool,
}

impl Pace {
    fn new(reading: Reading) -> Self {
        Self { reading, stalled: false }
    }

    /// How much to read next.
    async fn next(&mut self, read: usize) -> usize {
        match self.reading {
            Reading::Slow(bytes, silence) => {
                sleep(silence).await;
                bytes
            }
            Reading::Stalls(behind, time) if read >= behind && !self.stalled => {
                sleep(time).await;
                self.stalled = true;
                16 * 1024
            }
            Reading::Stalls(behind, _) if !self.stalled => (behind - read).max(1),
            Reading::Eager | Reading::Stalls(..) => 16 * 1024,
        }
    }
}

/// When it leaves, as far as the time decides that.
fn moment(leaves: Option<Leaves>, begun: Instant) -> impl Future<Output = ()> {
    let at = match leaves.map(|leaves| leaves.when) {
        Some(When::After(time)) => Some(begun + time),
        _ => None,
    };
    async move {
        match at {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }
}
