//! What goes wrong, and what nobody should send.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Version};
use real::client::{Client, End, Reading, in_time};
use real::guest::{Guest, Leaving, Upload};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ByHand, rest, sent, sidecar, until};

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// Status, content type and body of what is said to a GET.
async fn told(at: std::net::SocketAddr, version: Version) -> (u16, String, String) {
    let response = in_time(Client::connect(at, version).await.get("/")).await;
    let status = response.status().as_u16();
    let format = response.headers()["content-type"].to_str().unwrap().to_owned();
    let mut reading = Reading::new(response);
    in_time(reading.to_end()).await;
    (status, format, String::from_utf8(reading.bytes).unwrap())
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_bad_gateway() {
    let nobody = real::process::free_address();
    for upstream in [nobody.to_string(), format!("h2c://{nobody}")] {
        let sidecar = sidecar(upstream, &[]).await;
        for version in VERSIONS {
            let (status, format, body) = told(sidecar.at, version).await;
            assert_eq!((status, &*format), (502, "application/problem+json"));
            assert!(body.contains("urn:tower-lifeline:upstream-failed"), "{body}");
            let request = Request::head("/").body(Body::empty()).unwrap();
            let response = in_time(Client::connect(sidecar.at, version).await.send(request)).await.unwrap();
            assert_eq!(response.status(), 502);
            let mut reading = Reading::new(response);
            in_time(reading.to_end()).await;
            assert_eq!((&*reading.bytes, reading.end), (&b""[..], Some(End::Finished)), "{version:?}");
        }
        in_time(sidecar.reports(r#"cause="upstream_failed",by="upstream",when="head"} 4"#)).await;
    }
}

#[tokio::test]
async fn an_upstream_that_takes_no_connection_is_a_gateway_timeout() {
    // One place, which is taken: Linux then ignores whoever comes next.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let at = socket.local_addr().unwrap().as_socket().unwrap();
    let mut taken = Vec::new();
    while let Ok(tcp) = timeout(Duration::from_millis(300), TcpStream::connect(at)).await {
        taken.push(tcp.unwrap());
    }
    let sidecar = sidecar(at, &["--connect", "300ms"]).await;
    let (status, _, body) = told(sidecar.at, Version::HTTP_11).await;
    assert_eq!(status, 504, "{body}");
    assert!(body.contains("urn:tower-lifeline:upstream-timeout"), "{body}");
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_a_gateway_timeout() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &["--headers", "300ms"]).await;
    let (said, (mut tcp, _)) = tokio::join!(told(sidecar.at, Version::HTTP_11), upstream.request());
    assert_eq!(said.0, 504);
    assert!(said.2.contains("urn:tower-lifeline:headers-timeout"), "{}", said.2);
    assert_eq!(rest(&mut tcp).await, "", "it is left alone");
}

#[tokio::test]
async fn no_http_is_a_bad_gateway() {
    for answer in [
        "",
        "SSH-2.0\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
    ] {
        let upstream = ByHand::new().await;
        let sidecar = sidecar(upstream.at, &[]).await;
        // It is asked again when it closes without a word.
        let answering = async {
            loop {
                let (mut tcp, _) = upstream.request().await;
                tcp.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let said = tokio::select! {
            said = told(sidecar.at, Version::HTTP_11) => said,
            () = answering => unreachable!("it answers for ever"),
        };
        assert_eq!(said.0, 502, "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_does_so_here_and_is_the_upstreams_fault() {
    for version in VERSIONS {
        let upstream = ByHand::new().await;
        let sidecar = sidecar(upstream.at, &[]).await;
        let answering = async {
            let (mut tcp, _) = upstream.request().await;
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nten bytes.").await.unwrap();
        };
        let mut client = Client::connect(sidecar.at, version).await;
        let (response, ()) = tokio::join!(client.get("/"), answering);
        let mut reading = Reading::new(response);
        in_time(reading.to_end()).await;
        assert_eq!((&*reading.bytes, reading.end), (&b"ten bytes."[..], Some(End::Cut)), "{version:?}");
        in_time(sidecar.reports(r#"cause="upstream_failed",by="upstream",when="streaming"} 1"#)).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_back() {
    for (version, leaving) in [
        (Version::HTTP_11, Leaving::Fin),
        (Version::HTTP_11, Leaving::Rst),
        (Version::HTTP_2, Leaving::Fin),
        (Version::HTTP_2, Leaving::StreamReset),
    ] {
        let upstream = ByHand::new().await;
        let sidecar = sidecar(upstream.at, &[]).await;
        // Before there is a head, and behind it.
        let guest = Guest::send(sidecar.at, version, "/", Upload::Nothing, leaving).await;
        let (mut tcp, _) = upstream.request().await;
        guest.leave().await;
        assert_eq!(rest(&mut tcp).await, "");

        let mut guest = Guest::send(sidecar.at, version, "/", Upload::Nothing, leaving).await;
        let (mut tcp, _) = upstream.request().await;
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: a\n\n")
            .await
            .unwrap();
        assert_eq!(in_time(guest.read_a_little()).await, 200);
        guest.leave().await;
        assert_eq!(rest(&mut tcp).await, "");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_half_has_left() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &[]).await;
    let mut client = sent(sidecar.at, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut tcp, _) = upstream.request().await;
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut tcp).await, "");
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test]
async fn who_expects_to_be_told_to_go_on_is_told_when_the_upstream_says_so() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &[]).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let mut client = sent(sidecar.at, request).await;
    let (mut tcp, head) = upstream.request().await;
    assert!(head.to_lowercase().contains("\r\nexpect: 100-continue\r\n"), "{head}");
    assert!(timeout(Duration::from_millis(200), client.read_u8()).await.is_err(), "nobody has said so");
    tcp.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"body").await.unwrap();
    assert_eq!(until(&mut tcp, "body").await, "body");
    tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn who_is_refused_is_not_told_to_go_on() {
    let upstream = ByHand::new().await;
    // No limit that would end it some time later.
    let sidecar = sidecar(upstream.at, &["--request-body", "off"]).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let mut client = sent(sidecar.at, request).await;
    let (mut tcp, _) = upstream.request().await;
    tcp.write_all(b"HTTP/1.1 417 No\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
    let answer = until(&mut client, "\r\n\r\nno").await;
    assert!(answer.starts_with("HTTP/1.1 417 No"), "{answer}");
    // Neither of them waits for a body that will not come.
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(rest(&mut tcp).await, "");
}

#[tokio::test]
async fn an_upstream_that_never_says_so_gets_the_body_all_the_same() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &[]).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody";
    let _client = sent(sidecar.at, request).await;
    let (mut tcp, _) = upstream.request().await;
    assert_eq!(until(&mut tcp, "body").await, "body");
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_harms_nobody() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &[]).await;
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(200));
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(1024 * 1024));
    let far = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(70_000));
    for (request, status) in [
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://b@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        ("\u{0}\u{1}\u{2}\r\n\r\n", 400),
        (&many, 431),
        (&long, 431),
        (&far, 414),
    ] {
        let mut tcp = sent(sidecar.at, request).await;
        let answer = until(&mut tcp, "\r\n").await;
        let shown = &request[..request.len().min(80)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer:?}");
    }
    // Nobody's request has got there, and the next one does.
    let _client = sent(sidecar.at, "GET http://b/c?d HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (_tcp, head) = upstream.request().await;
    assert!(head.starts_with("GET /c?d HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: b\r\n"), "{head}");
    assert_eq!(sidecar.asked("/healthz").await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn what_could_hide_a_request_in_another_does_not_pass() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &[]).await;
    // hyper takes the chunks, and of the length nothing may be left.
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = format!(
        "POST /seen HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    let mut client = sent(sidecar.at, &request).await;
    let (mut tcp, head) = upstream.request().await;
    assert!(head.starts_with("POST /seen"), "{head}");
    assert!(!head.contains("content-length: 5"), "{head}");
    // To another HTTP, out of sight of all that is here.
    drop((client.read(&mut []).await, tcp.shutdown().await));
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let upstream = ByHand::new().await;
    let sidecar = super::sidecar(upstream.at, &[]).await;
    let mut client_of_h2c = sent(sidecar.at, upgrade).await;
    let (mut tcp, head) = upstream.request().await;
    assert!(!head.to_lowercase().contains("upgrade") && !head.to_lowercase().contains("http2"), "{head}");
    // And an upstream that does it unasked.
    tcp.write_all(b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n").await.unwrap();
    assert!(until(&mut client_of_h2c, "\r\n\r\n").await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn nothing_is_held_back_while_the_rest_has_not_come() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &[]).await;
    let mut client = sent(sidecar.at, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf").await;
    let (mut tcp, _) = upstream.request().await;
    assert_eq!(until(&mut tcp, "half").await, "half");
    // An answer before the end of the request.
    tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfour").await.unwrap();
    assert!(until(&mut client, "\r\n\r\nfour").await.starts_with("HTTP/1.1 200 OK"));
    client.write_all(b"more").await.unwrap();
    assert_eq!(until(&mut tcp, "more").await, "more");
    tcp.write_all(b"last").await.unwrap();
    assert_eq!(until(&mut client, "last").await, "last");
}

#[tokio::test]
async fn a_connection_that_closes_as_it_is_used_again_costs_no_safe_request() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &[]).await;
    // A server that has not read the request resets the connection instead of closing it.
    for (method, read, status) in
        [("GET", true, 200), ("GET", false, 200), ("POST", true, 502), ("POST", false, 502)]
    {
        let mut client = sent(sidecar.at, "GET /first HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let (mut first, _) = upstream.request().await;
        first.write_all(ANSWER).await.unwrap();
        until(&mut client, "\r\n\r\n").await;
        client.write_all(format!("{method} /second HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        if read {
            assert!(until(&mut first, "\r\n\r\n").await.contains("/second"));
        } else {
            in_time(first.peek(&mut [0])).await.unwrap();
        }
        drop(first);
        if status == 200 {
            let (mut second, head) = upstream.request().await;
            assert!(head.contains("/second"), "{head}");
            second.write_all(ANSWER).await.unwrap();
        }
        let answer = until(&mut client, "\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {read}: {answer}");
    }
}

#[tokio::test]
async fn clients_that_do_not_read_hold_up_nobody_else() {
    let Some(upstream) = real::upstreams::node().await else { return };
    for upstream in [upstream.at.to_string(), format!("h2c://{}", upstream.http2)] {
        let sidecar = sidecar(upstream, &[]).await;
        let mut stalled = Vec::new();
        for _ in 0..20 {
            let mut guest =
                Guest::send(sidecar.at, Version::HTTP_2, "/flood", Upload::Nothing, Leaving::Fin).await;
            assert_eq!(in_time(guest.read_a_little()).await, 200);
            stalled.push(guest);
        }
        // Until all that there is room for has come.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut reading =
            Reading::new(in_time(Client::connect(sidecar.at, Version::HTTP_2).await.get("/large")).await);
        in_time(reading.to_end()).await;
        assert_eq!((reading.bytes.len(), reading.end), (8 * 1024 * 1024, Some(End::Finished)));
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_is_served() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &[]).await;
    let mut client = sent(sidecar.at, "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").await;
    let (mut tcp, head) = upstream.request().await;
    assert!(
        head.starts_with("GET / HTTP/1.1\r\n") && head.contains(&format!("host: {}\r\n", upstream.at)),
        "{head}"
    );
    assert!(head.contains("via: 1.0 lifeline\r\n") && !head.contains("expect"), "{head}");
    tcp.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
        .await
        .unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\nbody"), "{answer}");
}

/// The same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    /// With some of it lost, doubled or put in place of something else.
    fn spoiled(&mut self, text: &[u8]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        for _ in 0..=self.below(4) {
            let (at, count) = (self.below(bytes.len()), self.below(12));
            let piece = bytes[at..(at + count).min(bytes.len())].to_vec();
            let to = self.below(bytes.len());
            match self.below(4) {
                0 => drop(bytes.drain(at..at + piece.len())),
                1 => drop(bytes.splice(to..to, piece)),
                2 => bytes[to] = self.below(256) as u8,
                _ => bytes.truncate(to),
            }
            bytes.extend(text.first().filter(|_| bytes.is_empty()));
        }
        bytes
    }
}

#[tokio::test]
async fn nonsense_from_both_sides_harms_nobody() {
    const REQUESTS: [&[u8]; 4] = [
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: x\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
        b"GET /a?b HTTP/1.1\r\nHost: a:80\r\nConnection: upgrade, x-a\r\nUpgrade: x/1\r\nX-A: 1\r\nCookie: a=b\r\n\r\nmore",
        b"PUT http://a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n0123456789",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x05\0\0\0\x01\x82\x84\x86\x41\x61",
    ];
    const ANSWERS: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x/1\r\n\r\nmore",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close, x-a\r\nX-A: 1\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\ndata: a\n\n",
    ];
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &["--connect", "1s"]).await;
    let answering = async {
        let mut chance = Chance(7);
        loop {
            let (mut tcp, _) = upstream.listener.accept().await.unwrap();
            let answer = ANSWERS[chance.below(4)];
            let answer = if chance.below(4) == 0 { answer.to_vec() } else { chance.spoiled(answer) };
            tokio::spawn(async move {
                // It does not wait for the request: then it could wait for ever.
                let _ = timeout(Duration::from_millis(20), tcp.read(&mut [0; 4096])).await;
                let _ = tcp.write_all(&answer).await;
            });
        }
    };
    let asking = async {
        let mut chance = Chance(11);
        for _ in 0..600 {
            let request = REQUESTS[chance.below(4)];
            let request = if chance.below(4) == 0 { request.to_vec() } else { chance.spoiled(request) };
            let mut tcp = TcpStream::connect(sidecar.at).await.unwrap();
            let _ = tcp.write_all(&request).await;
            if chance.below(2) == 0 {
                let _ = tcp.shutdown().await;
            }
            let _ = timeout(Duration::from_millis(30), tcp.read_to_end(&mut Vec::new())).await;
        }
    };
    in_time(async {
        tokio::select! {
            () = asking => {}
            () = answering => unreachable!("it answers for ever"),
        }
    })
    .await;
    assert_eq!(sidecar.asked("/healthz").await, (200, "ok\n".to_owned()));
    // All have left, and nothing is held for them.
    in_time(sidecar.reports("lifeline_streams_open{route=\"\"} 0")).await;
}
