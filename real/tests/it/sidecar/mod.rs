//! The example `sidecar`, as cargo has built it, in front of servers in Python and Node.

mod edges;
mod identical;
mod layers;
mod rescued;
mod stops;

use std::net::SocketAddr;

use real::client::in_time;
use real::sidecar::Sidecar;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sidecar");

async fn sidecar(upstream: impl ToString, flags: &[&str]) -> Sidecar {
    in_time(Sidecar::start(PROGRAM, &upstream.to_string(), flags)).await
}

/// One that the test is itself, byte by byte.
struct ByHand {
    listener: TcpListener,
    at: SocketAddr,
}

impl ByHand {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        Self { listener, at }
    }

    /// The next connection, and the head of the request on it.
    async fn request(&self) -> (TcpStream, String) {
        let (mut tcp, _) = in_time(self.listener.accept()).await.unwrap();
        let head = until(&mut tcp, "\r\n\r\n").await;
        (tcp, head)
    }
}

/// Reads until this has come, and not a byte more.
async fn until(tcp: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let byte = in_time(tcp.read_u8()).await;
        text.push(byte.unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&text))));
    }
    String::from_utf8(text).unwrap()
}

/// A connection to it with this sent.
async fn sent(at: SocketAddr, text: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(at).await.unwrap();
    tcp.write_all(text.as_bytes()).await.unwrap();
    tcp
}

/// All that comes until the other side closes.
async fn rest(tcp: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // Closed or reset.
    let _ = in_time(tcp.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
