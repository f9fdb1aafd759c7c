//! A client with one request, that leaves in the middle of it.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{Method, Request, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It closes the connection.
    Fin,
    /// It kills the connection.
    Rst,
    /// It resets its stream and keeps the connection, which takes HTTP/2.
    StreamReset,
}

/// What it sends behind the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// It is a GET.
    Nothing,
    /// A POST of so many bytes, and says so before.
    Known(usize),
    /// A POST of so many bytes in chunks.
    Chunked(usize),
    /// A POST that waits to be told to go on (`Expect: 100-continue`), and is not. HTTP/1 only.
    Expecting(usize),
}

impl Upload {
    fn method(self) -> Method {
        if self == Self::Nothing { Method::GET } else { Method::POST }
    }

    fn bytes(self) -> Bytes {
        match self {
            Self::Nothing | Self::Expecting(_) => Bytes::new(),
            Self::Known(count) | Self::Chunked(count) => vec![b'u'; count].into(),
        }
    }
}

#[derive(Debug)]
pub struct Guest {
    leaving: Leaving,
    exchange: Exchange,
}

#[derive(Debug)]
enum Exchange {
    Http1(TcpStream),
    Http2 {
        connection: JoinHandle<Result<(), h2::Error>>,
        answer: ResponseFuture,
        upload: SendStream<Bytes>,
        /// Without it the connection would say goodbye.
        sender: SendRequest<Bytes>,
    },
}

impl Guest {
    /// Connects and sends its request, all of it.
    pub async fn send(
        at: SocketAddr,
        version: Version,
        path: &str,
        upload: Upload,
        leaving: Leaving,
    ) -> Self {
        let mut tcp = TcpStream::connect(at).await.expect("connected");
        tcp.set_nodelay(true).expect("TCP_NODELAY");
        if leaving == Leaving::Rst {
            tcp.set_zero_linger().expect("SO_LINGER");
        }
        let exchange = if version == Version::HTTP_2 {
            send_http2(tcp, at, path, upload).await
        } else {
            tcp.write_all(&http1(at, path, upload)).await.expect("sent");
            Exchange::Http1(tcp)
        };
        Self { leaving, exchange }
    }

    /// Reads the head and the beginning of the body, and gives the status.
    pub async fn read_a_little(&mut self) -> u16 {
        match &mut self.exchange {
            Exchange::Http1(tcp) => {
                let mut buffer = [0; 1024];
                let count = tcp.read(&mut buffer).await.expect("an answer");
                let head = String::from_utf8_lossy(&buffer[..count]);
                head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
            }
            Exchange::Http2 { answer, .. } => {
                let answer = answer.await.expect("an answer");
                let status = answer.status().as_u16();
                answer.into_body().data().await.expect("data").expect("data");
                status
            }
        }
    }

    pub async fn leave(self) {
        match self.exchange {
            Exchange::Http1(tcp) => drop(tcp),
            Exchange::Http2 { connection, mut upload, sender, .. }
                if self.leaving == Leaving::StreamReset =>
            {
                upload.send_reset(Reason::CANCEL);
                tokio::spawn(async move {
                    let _until_the_server_closes_it = connection.await;
                    drop(sender);
                });
            }
            Exchange::Http2 { connection, .. } => {
                connection.abort();
                // The socket is closed when the task has gone.
                let _ = connection.await;
            }
        }
    }
}

fn http1(at: SocketAddr, path: &str, upload: Upload) -> Vec<u8> {
    let mut request = format!("{} {path} HTTP/1.1\r\nhost: {at}\r\n", upload.method()).into_bytes();
    let bytes = upload.bytes();
    match upload {
        Upload::Nothing => request.extend(b"\r\n"),
        Upload::Known(count) => {
            request.extend(format!("content-length: {count}\r\n\r\n").as_bytes());
            request.extend(bytes);
        }
        Upload::Expecting(count) => {
            request.extend(format!("content-length: {count}\r\nexpect: 100-continue\r\n\r\n").as_bytes());
        }
        Upload::Chunked(_) => {
            request.extend(b"transfer-encoding: chunked\r\n\r\n");
            for chunk in bytes.chunks(1000) {
                request.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                request.extend(chunk);
                request.extend(b"\r\n");
            }
            request.extend(b"0\r\n\r\n");
        }
    }
    request
}

async fn send_http2(tcp: TcpStream, at: SocketAddr, path: &str, upload: Upload) -> Exchange {
    let (sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let mut sender = sender.ready().await.expect("a stream is free");
    let mut request = Request::builder().method(upload.method()).uri(format!("http://{at}{path}"));
    if let Upload::Known(count) = upload {
        request = request.header("content-length", count);
    }
    let request = request.body(()).expect("a request");
    let (answer, mut body) = sender.send_request(request, upload == Upload::Nothing).expect("sent");
    let bytes = upload.bytes();
    let mut chunks = bytes.chunks(1000).peekable();
    while let Some(chunk) = chunks.next() {
        body.send_data(Bytes::copy_from_slice(chunk), chunks.peek().is_none()).expect("sent");
    }
    Exchange::Http2 { connection, answer, upload: body, sender }
}
