//! A hop that ends each connection when it is so old, whatever is said on it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Relays until dropped.
#[derive(Debug)]
pub struct Relay {
    pub at: SocketAddr,
    task: JoinHandle<()>,
}

impl Relay {
    pub async fn start(upstream: SocketAddr, age: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(timeout(age, relayed(client, upstream)));
            }
        });
        Self { at, task }
    }
}

/// Ends when both sides have closed, or one of them is gone.
async fn relayed(mut client: TcpStream, upstream: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(upstream).await {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
