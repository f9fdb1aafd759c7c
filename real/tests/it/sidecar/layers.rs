//! The layers do in it what they do elsewhere.

use std::time::Duration;

use real::client::in_time;
use real::server::Server;
use real::ticks::{self, Ticks};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;
use tonic::Code;
use tonic::transport::server::TcpIncoming;

use super::{ByHand, rest, sent, sidecar, until};

#[tokio::test]
async fn grpc_passes_with_its_statuses_and_is_told_why_it_ends() {
    let upstream = Server::serving(|listener| async {
        let server = tonic::transport::Server::builder().add_service(Ticks);
        server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
    })
    .await;
    let flags = ["--preset", "grpc", "--drain-window", "0s", "--gate-limit", "100"];
    let mut sidecar = sidecar(format!("h2c://{}", upstream.at), &flags).await;
    let code = |end: Result<(), tonic::Status>| end.map_err(|status| status.code());

    let (numbers, end) = in_time(ticks::read(sidecar.at, ticks::COUNT, 1_000, None)).await;
    assert_eq!((numbers, code(end)), ((1..=1_000).collect(), Ok(())));
    let (_, end) = in_time(ticks::read(sidecar.at, "/ticks.Ticks/Other", 1, None)).await;
    assert_eq!(code(end), Err(Code::Unimplemented));
    let limit = Some(Duration::from_millis(500));
    let (_, end) = in_time(ticks::read(sidecar.at, ticks::NEVER, 1, limit)).await;
    assert_eq!(code(end), Err(Code::DeadlineExceeded));

    let hanging = tokio::spawn(ticks::read(sidecar.at, ticks::HANG, 3, None));
    sleep(Duration::from_millis(500)).await;
    sidecar.terminate().await;
    let (numbers, end) = in_time(hanging).await.unwrap();
    assert_eq!((numbers, code(end)), (vec![1, 2, 3], Err(Code::Unavailable)));
    assert!(in_time(sidecar.ended()).await.success());

    let sidecar = super::sidecar(format!("h2c://{}", real::process::free_address()), &flags).await;
    let (_, end) = in_time(ticks::read(sidecar.at, ticks::COUNT, 1, None)).await;
    assert_eq!(code(end), Err(Code::Unavailable));
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x/1\r\n\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x/1\r\n\r\n";
const NOTHING: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn an_upgraded_connection_takes_a_place_until_it_is_closed() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &["--gate-limit", "1", "--gate-queue", "0"]).await;
    let mut upgraded = sent(sidecar.at, UPGRADE).await;
    let (mut tcp, _) = upstream.request().await;
    tcp.write_all(SWITCHED).await.unwrap();
    assert!(until(&mut upgraded, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    in_time(sidecar.reports("lifeline_gate_in_flight{gate=\"upstream\"} 1")).await;

    let mut other = sent(sidecar.at, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(until(&mut other, "\r\n\r\n").await.starts_with("HTTP/1.1 503 "));

    drop(upgraded);
    assert_eq!(rest(&mut tcp).await, "");
    drop(tcp);
    in_time(sidecar.reports("lifeline_gate_in_flight{gate=\"upstream\"} 0")).await;
    let mut other = sent(sidecar.at, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut tcp, _) = upstream.request().await;
    tcp.write_all(NOTHING).await.unwrap();
    assert!(until(&mut other, "\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_stops_reading_does_not_keep_the_upstream() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &["--stall", "1s"]).await;
    let _client = sent(sidecar.at, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut tcp, _) = upstream.request().await;
    tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await.unwrap();
    let flood = [b"data: ", &[b'.'; 16 * 1024][..], b"\n\n"].concat();
    in_time(async { while tcp.write_all(&flood).await.is_ok() {} }).await;
    in_time(sidecar.reports("lifeline_streams_open{route=\"\"} 0")).await;
    in_time(sidecar.reports(r#"cause="stalled",by="timer",when="streaming"} 1"#)).await;
}

#[tokio::test]
async fn an_upload_that_stops_is_taken_back() {
    let upstream = ByHand::new().await;
    let sidecar = sidecar(upstream.at, &["--request-body", "300ms"]).await;
    let mut client = sent(sidecar.at, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf").await;
    let (mut tcp, _) = upstream.request().await;
    assert_eq!(until(&mut tcp, "half").await, "half");
    assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 408 "));
    assert_eq!(rest(&mut tcp).await, "");
}
