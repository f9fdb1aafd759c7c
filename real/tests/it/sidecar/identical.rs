//! What comes through the sidecar is what comes from the upstream.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::StreamBody;
use hyper::body::Frame;
use real::client::{Client, End, Reading, in_time};
use real::process::output;
use real::upstreams::{self, Upstream};

use super::{sent, sidecar, until};

/// A request, as often as it is wanted.
struct Ask {
    method: Method,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    upload: Upload,
}

#[derive(Clone, Copy)]
enum Upload {
    Nothing,
    Known(usize),
    Chunked(usize),
    WithTrailers,
}

fn ask(method: &str, path: &'static str) -> Ask {
    Ask { method: method.parse().unwrap(), path, headers: Vec::new(), upload: Upload::Nothing }
}

impl Ask {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn upload(self, upload: Upload) -> Self {
        Self { upload, ..self }
    }

    fn request(&self, version: Version) -> Request<Body> {
        let bytes = |count: usize| (0..count).map(|place| (place * 7 % 251) as u8).collect::<Bytes>();
        let body = match self.upload {
            Upload::Nothing => Body::empty(),
            Upload::Known(count) => Body::from(bytes(count)),
            Upload::Chunked(count) => {
                let all = bytes(count);
                let pieces = (0..count).step_by(50_000).map(move |at| all.slice(at..count.min(at + 50_000)));
                Body::from_stream(stream::iter(pieces).map(Ok::<_, std::convert::Infallible>))
            }
            Upload::WithTrailers => {
                let trailers = HeaderMap::from_iter([("x-sent".parse().unwrap(), "yes".parse().unwrap())]);
                let frames = [Frame::data(Bytes::from_static(b"body")), Frame::trailers(trailers)];
                Body::new(StreamBody::new(stream::iter(frames).map(Ok::<_, std::convert::Infallible>)))
            }
        };
        let request = Request::builder().method(self.method.clone()).uri(self.path);
        let request =
            self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let mut request = request.body(body).unwrap();
        // hyper sends no body with a GET that does not say so.
        if version == Version::HTTP_11 && matches!(self.upload, Upload::Chunked(_)) {
            request.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
        }
        request
    }
}

/// All that a client gets to see.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: StatusCode,
    headers: BTreeMap<String, Vec<String>>,
    body: Bytes,
    trailers: HeaderMap,
    end: Option<End>,
}

async fn seen((client, version): (&mut Client, Version), ask: &Ask) -> Seen {
    let response = in_time(client.send(ask.request(version))).await.unwrap();
    let status = response.status();
    let mut headers = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in response.headers() {
        // Each server's own, for its own connection; HTTP/2 need not say that there is nothing.
        let framing = ["connection", "keep-alive", "date", "transfer-encoding"].contains(&name.as_str())
            || (name == "content-length" && value == "0");
        if !framing {
            headers.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
        }
    }
    let mut reading = Reading::new(response);
    in_time(reading.to_end()).await;
    Seen { status, headers, body: reading.bytes.into(), trailers: reading.trailers, end: reading.end }
}

/// Every layer there is, and none of them with anything to do.
const ALL_ON: [&str; 24] = [
    "--heartbeat",
    "60s",
    "--headers",
    "60s",
    "--first-byte",
    "60s",
    "--inter-chunk",
    "60s",
    "--total",
    "100s",
    "--request-body",
    "60s",
    "--stall",
    "60s",
    "--gate-limit",
    "100",
    "--gate-queue",
    "10",
    "--gate-wait",
    "1s",
    "--early",
    "50s",
    "--max-age",
    "90s",
];

/// Asks the upstream, and the sidecar in front of it on one connection of each kind.
async fn compare(direct: SocketAddr, version: Version, upstream: String, asks: &[Ask]) {
    let sidecar = sidecar(upstream, &ALL_ON).await;
    let mut first = Client::connect(sidecar.at, Version::HTTP_11).await;
    let mut second = Client::connect(sidecar.at, Version::HTTP_2).await;
    for ask in asks {
        // Some close the connection behind an answer; the sidecar keeps its own.
        let mut client = Client::connect(direct, version).await;
        let expected = seen((&mut client, version), ask).await;
        assert_eq!(expected.end, Some(End::Finished), "{} {}", ask.method, ask.path);
        for (version, through) in [(Version::HTTP_11, &mut first), (Version::HTTP_2, &mut second)] {
            let mut through = seen((through, version), ask).await;
            // What the way has to know of an event stream, and the one thing that is added here.
            let told = through.headers.remove("incremental").is_some();
            assert_eq!(told, ask.path.starts_with("/events"));
            assert_eq!(through.body.len(), expected.body.len(), "{version:?} {} {}", ask.method, ask.path);
            assert!(
                through == expected,
                "{version:?} {} {}:\n{:#?}\n{:#?}",
                ask.method,
                ask.path,
                through.headers,
                expected.headers
            );
        }
    }
}

const MEGABYTES: usize = 8 * 1024 * 1024;

#[tokio::test]
async fn a_python_server_is_the_same_through_it() {
    let Some(upstream) = upstreams::starlette().await else { return };
    let mut client = Client::connect(upstream.at, Version::HTTP_11).await;
    let etag = seen((&mut client, Version::HTTP_11), &ask("GET", "/files/file.txt")).await;
    let etag = &etag.headers["etag"][0];
    let asks = [
        ask("GET", "/large"),
        ask("HEAD", "/large"),
        ask("GET", "/chunks"),
        ask("HEAD", "/chunks"),
        ask("POST", "/echo").upload(Upload::Known(MEGABYTES)).header("content-type", "application/x-own"),
        ask("POST", "/echo").upload(Upload::Chunked(MEGABYTES)),
        ask("PUT", "/digest").upload(Upload::Chunked(1_000_000)),
        ask("PATCH", "/digest").upload(Upload::Known(1)),
        ask("DELETE", "/digest"),
        ask("POST", "/digest"),
        // With a body, which is rare and allowed.
        ask("GET", "/digest").upload(Upload::Known(10)),
        ask("GET", "/zipped").header("accept-encoding", "gzip"),
        ask("GET", "/files/file.txt"),
        ask("HEAD", "/files/file.txt"),
        ask("GET", "/files/file.txt").header("range", "bytes=10-99"),
        ask("GET", "/files/file.txt").header("range", "bytes=99999-"),
        ask("GET", "/files/file.txt").header("range", "bytes=200000-"),
        ask("GET", "/files/file.txt").header("if-none-match", etag),
        ask("GET", "/files/file.txt").header("if-range", "\"other\"").header("range", "bytes=0-1"),
        ask("GET", "/nothing"),
        ask("GET", "/cookies/a%2Fb//..%20?a=%00&b=c%26;d").header("cookie", "one=1; two=2"),
        ask("GET", "/elsewhere"),
        ask("GET", "/broken"),
        ask("GET", "/is-not-there"),
        ask("DELETE", "/large"),
        ask("GET", "/events?silence=10"),
    ];
    compare(upstream.at, Version::HTTP_11, upstream.at.to_string(), &asks).await;
}

fn of_node() -> [Ask; 8] {
    [
        ask("GET", "/large"),
        ask("HEAD", "/large"),
        ask("POST", "/trailers").upload(Upload::WithTrailers).header("trailer", "x-sent"),
        ask("GET", "/trailers"),
        ask("GET", "/hinted"),
        ask("POST", "/echo").upload(Upload::Chunked(MEGABYTES)),
        ask("GET", "/echo").upload(Upload::Chunked(100)),
        ask("OPTIONS", "/echo"),
    ]
}

#[tokio::test]
async fn a_node_server_is_the_same_through_it_with_its_trailers() {
    let Some(Upstream { at, .. }) = &upstreams::node().await else { return };
    compare(*at, Version::HTTP_11, at.to_string(), &of_node()).await;
}

#[tokio::test]
async fn an_http_2_server_is_the_same_through_it_with_its_trailers() {
    let Some(Upstream { http2, .. }) = &upstreams::node().await else { return };
    compare(*http2, Version::HTTP_2, format!("h2c://{http2}"), &of_node()).await;
}

#[tokio::test]
async fn the_upstream_is_told_who_asks_and_nothing_that_is_not_for_it() {
    let Some(upstream) = &upstreams::node().await else { return };
    for (upstream, http2) in [(upstream.at.to_string(), false), (format!("h2c://{}", upstream.http2), true)] {
        let sidecar = sidecar(upstream, &[]).await;
        let request = "GET /seen HTTP/1.1\r\nHost: example.com\r\nConnection: close, x-own\r\nX-Own: 1\r\n\
            Keep-Alive: timeout=5\r\nX-Forwarded-For: 192.0.2.9\r\nX-Other: 2\r\nTE: trailers\r\n\r\n";
        let text = super::rest(&mut sent(sidecar.at, request).await).await;
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let start = body.find("[[").unwrap();
        let json = &body[start..=body.rfind("]]").unwrap() + 1];
        let mut seen: Vec<(String, String)> = serde_json::from_str(json).unwrap();
        seen.retain(|(name, _)| !matches!(&**name, ":method" | ":path" | ":scheme" | "connection"));
        seen.sort_unstable();
        let host = if http2 { ":authority" } else { "host" };
        let mut expected = [
            (host, "example.com"),
            ("te", "trailers"),
            ("via", "1.1 lifeline"),
            ("x-forwarded-for", "192.0.2.9, 127.0.0.1"),
            ("x-forwarded-host", "example.com"),
            ("x-forwarded-proto", "http"),
            ("x-other", "2"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        expected.sort_unstable();
        assert_eq!(seen, expected, "{text}");
    }
}

#[tokio::test]
async fn a_websocket_of_python_is_the_same_through_it() {
    let (Some(python), Some(upstream)) = (upstreams::python(), upstreams::starlette().await) else { return };
    let sidecar = sidecar(upstream.at, &[]).await;
    let talk = async |at: SocketAddr| {
        let script = include_str!("../../../src/upstreams/websocket.py");
        let said = in_time(output(&python, &["-c", script, &format!("ws://{at}/socket")])).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out
    };
    let (direct, through) = (talk(upstream.at).await, talk(sidecar.at).await);
    assert!(direct.contains("\"closed\": 1000"), "{direct}");
    assert_eq!(direct, through);
    // The negative control: the same client, asked for something that is no WebSocket.
    let script = include_str!("../../../src/upstreams/websocket.py");
    let said = in_time(output(&python, &["-c", script, &format!("ws://{}/large", sidecar.at)])).await;
    assert_eq!(said.code, Some(1));
}

#[tokio::test]
async fn another_protocol_passes_both_ways_at_once() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Some(upstream) = upstreams::node().await else { return };
    let sidecar = sidecar(upstream.at, &[]).await;
    let mut tcp =
        sent(sidecar.at, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x-own/7\r\n\r\nearly")
            .await;
    let head = until(&mut tcp, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.to_lowercase().contains("upgrade: x-own/7\r\n"), "{head}");
    let data: Vec<u8> = (0..MEGABYTES).map(|place| (place * 31 % 253) as u8).collect();
    let (mut reads, mut writes) = tcp.split();
    let mut back = vec![0; 5 + MEGABYTES];
    let write = async {
        writes.write_all(&data).await.unwrap();
        writes.shutdown().await.unwrap();
    };
    let read = async {
        reads.read_exact(&mut back).await.unwrap();
        // What closes one half closes the other.
        assert_eq!(reads.read(&mut [0]).await.unwrap(), 0);
    };
    in_time(async { tokio::join!(write, read) }).await;
    assert!(back.starts_with(b"early") && back[5..] == data);
}
