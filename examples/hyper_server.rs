//! A server of hyper's own, HTTP/1.1 and HTTP/2, behind the stack. `cargo run --example hyper_server` reads a stream of it and
//! checks what came; `serve` is the example.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryFutureExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tower::{ServiceBuilder, service_fn};
use tower_lifeline::stack::LifelineRequestBody;
use tower_lifeline::{BoxError, Heartbeat, Lifeline};

async fn serve(listener: TcpListener, lifeline: Lifeline) -> Result<(), BoxError> {
    let service = ServiceBuilder::new().layer(lifeline).service(service_fn(events));
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let service = TowerToHyperService::new(service.clone());
        let builder = Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection(TokioIo::new(socket), service).into_owned();
        // Not in an `async` block: there rustc does not get along with services whose errors are `BoxError`s.
        tokio::spawn(connection.map_err(|error| eprintln!("a connection has failed: {error}")));
    }
}

async fn events(
    _: Request<LifelineRequestBody<Incoming>>,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let events = stream::iter(["data: hello\n\n", "data: bye\n\n"]).then(async |event| {
        sleep(Duration::from_millis(500)).await;
        Ok(Frame::data(Bytes::from(event)))
    });
    let mut answer = Response::new(StreamBody::new(Box::pin(events)));
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
    Ok(answer)
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let lifeline = Lifeline::sse().heartbeat(Heartbeat::every(Duration::from_millis(200))).build()?;
    tokio::spawn(serve(listener, lifeline));

    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.get(format!("http://{at}/").parse()?).await?;
    let seen = answer.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&seen));
    let as_promised = seen == ":\n:\ndata: hello\n\n:\n:\ndata: bye\n\n";
    Ok(if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
