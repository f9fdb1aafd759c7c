//! An axum server on a port of its own.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Serves until dropped.
#[derive(Debug)]
pub struct Server {
    pub at: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(app: Router) -> Self {
        Self::serving(|listener| async {
            // With Nagle's algorithm a small frame would wait for the acknowledgement of the one before.
            let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).expect("TCP_NODELAY"));
            axum::serve(listener, app).await.expect("served");
        })
        .await
    }

    /// Whatever serves on this socket.
    pub async fn serving<F>(serve: impl FnOnce(TcpListener) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("an address");
        Self { at, task: tokio::spawn(serve(listener)) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Bytes of an event stream, and how long the producer is silent before them.
pub type Frames = Vec<(Duration, Bytes)>;

pub fn event_stream(frames: Frames) -> Response {
    let frames = stream::iter(frames).then(|(silence, bytes)| async move {
        tokio::time::sleep(silence).await;
        Ok::<_, std::convert::Infallible>(bytes)
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response()
}
