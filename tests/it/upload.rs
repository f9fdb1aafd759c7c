//! Slow uploads over hyper's own HTTP/1: what the client of each kind of handler sees.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use tower::{Layer, service_fn};
use tower_lifeline::timeout::RequestTimeoutBody;
use tower_lifeline::{HeadersFrom, RequestBodyTimeoutLayer, TimeoutLayer, Timeouts};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a handler does with the request before it answers.
#[derive(Clone, Copy, Debug)]
enum Handler {
    Reads,
    LetsATaskRead,
    LetsATaskReadAndAnswers,
    Drops,
    Ignores,
    Upgrades,
}

type Answer = Result<Response<Full<Bytes>>, Infallible>;

async fn handle(handler: Handler, mut request: Request<RequestTimeoutBody<Incoming>>) -> Answer {
    match handler {
        Handler::Reads => drop(request.into_body().collect().await),
        Handler::LetsATaskRead => {
            tokio::spawn(request.into_body().collect());
            sleep(s(60)).await;
        }
        Handler::LetsATaskReadAndAnswers => drop(tokio::spawn(request.into_body().collect())),
        Handler::Drops => {
            drop(request);
            sleep(s(60)).await;
        }
        Handler::Ignores => {
            sleep(s(60)).await;
            drop(request);
        }
        Handler::Upgrades => {
            tokio::spawn(async move {
                let mut upgraded = TokioIo::new(hyper::upgrade::on(&mut request).await.expect("an upgrade"));
                sleep(s(60)).await;
                let _ = upgraded.write_all(b"after the upgrade").await;
            });
            let head = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "x");
            return Ok(head.body(Full::default()).expect("a response"));
        }
    }
    Ok(Response::new(Full::from("answered")))
}

/// All that the server writes, without the date.
async fn exchange(handler: Handler, request: &str) -> String {
    let (server, mut client) = tokio::io::duplex(4096);
    let service = service_fn(move |request| handle(handler, request));
    let limits = TimeoutLayer::new(Timeouts::new().headers(s(20))).headers_from(HeadersFrom::RequestBody);
    let service = RequestBodyTimeoutLayer::new().gap(s(10)).layer(limits.layer(service));
    let service = TowerToHyperService::new(service);
    let server = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
    tokio::spawn(server.with_upgrades());
    client.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    // Some connections stay open, for the next request or the rest of this one.
    let _ = tokio::time::timeout(s(600), client.read_to_string(&mut text)).await;
    text.lines().filter(|line| !line.starts_with("date")).collect::<Vec<_>>().join("\n")
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_handler_is_told_of_a_stalled_upload_in_its_way() {
    const STALLED: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc";
    const EXPECTING: &str =
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n";
    const UPGRADE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let check = async |handler, request, begins: &str, holds: &str| {
        let text = exchange(handler, request).await;
        assert!(text.starts_with(begins) && text.contains(holds), "{handler:?}: {text}");
    };
    for request in [STALLED, EXPECTING] {
        let invited = if request == EXPECTING { "HTTP/1.1 100 Continue\n\n" } else { "" };
        let late = format!("{invited}HTTP/1.1 408 ");
        check(Handler::Reads, request, &late, "\nconnection: close\n").await;
        check(Handler::LetsATaskRead, request, &late, "\nconnection: close\n").await;
        // Nobody waits for bytes, so nobody is late. A handler that has done with the body has a limit for its head.
        check(Handler::Drops, request, "HTTP/1.1 504 ", "headers-timeout").await;
        check(Handler::Ignores, request, "HTTP/1.1 200 ", "answered").await;
    }
    check(Handler::LetsATaskReadAndAnswers, STALLED, "HTTP/1.1 200 ", "answered").await;
    check(Handler::Upgrades, UPGRADE, "HTTP/1.1 101 ", "after the upgrade").await;
}
