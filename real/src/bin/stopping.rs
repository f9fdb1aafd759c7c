//! A server that is asked to stop while its streams are open: with the drain, or (`plain`) with axum's graceful shutdown
//! alone. Says where it listens, and in the end what became of everybody.

use std::convert::Infallible;
use std::env;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tower_lifeline::{BoxError, Drain, DrainLayer};

fn events(stream: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(stream.map(Ok::<_, Infallible>));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn app() -> Router {
    let said = |text: &'static str| stream::once(async move { Bytes::from_static(text.as_bytes()) });
    let idle = async move || events(said("data: hello\n\n").chain(stream::pending()));
    // Waits inside of an event for most of the time.
    let halves = async || {
        events(stream::iter(["data: half", "\n\n"].into_iter().cycle()).then(async |half| {
            tokio::time::sleep(Duration::from_millis(if half == "\n\n" { 250 } else { 50 })).await;
            Bytes::from_static(half.as_bytes())
        }))
    };
    let flood = async || events(stream::repeat(Bytes::from([b":", &[b'.'; 16 * 1024][..], b"\n"].concat())));
    Router::new().route("/idle", get(idle)).route("/halves", get(halves)).route("/flood", get(flood))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).expect("TCP_NODELAY"));

    let seconds = Duration::from_secs;
    let drain = Drain::new().window(seconds(1)).deadline(seconds(2)).grace(seconds(1));
    if env::args().nth(1).as_deref() == Some("plain") {
        axum::serve(listener, app()).with_graceful_shutdown(drain.on_signal()).await?;
        return Ok(());
    }
    let app = app().layer(DrainLayer::new(&drain));
    drain.bound(axum::serve(listener, app).with_graceful_shutdown(drain.on_signal())).await?;
    println!("{}", drain.report());
    Ok(())
}
