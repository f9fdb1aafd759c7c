//! How it is asked to stop, what it says of itself, and how it refuses to begin.

use std::process::Stdio;
use std::time::Duration;

use http::Version;
use real::client::{Client, End, Reading, in_time};
use real::upstreams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::sleep;

use super::{ByHand, PROGRAM, rest, sent, sidecar, until};

const DRAIN: [&str; 4] = ["--drain-window", "1s", "--drain-deadline", "2s"];

#[tokio::test]
async fn it_stops_when_it_is_asked_to_and_streams_leave_in_time() {
    let Some(upstream) = upstreams::starlette().await else { return };
    let mut sidecar = sidecar(upstream.at, &DRAIN).await;
    let mut streams = Vec::new();
    for version in [Version::HTTP_11, Version::HTTP_2].repeat(10) {
        let mut client = Client::connect(sidecar.at, version).await;
        let mut reading = Reading::new(in_time(client.get("/events?silence=3600000")).await);
        assert!(in_time(reading.until_has("first")).await);
        streams.push((client, reading));
    }
    // Those that nobody can ask: half a head, an idle connection, and a WebSocket.
    let _half = sent(sidecar.at, "GET / HTTP/1.1\r\nHost").await;
    let _idle = sent(sidecar.at, "").await;
    let websocket = "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let mut websocket = sent(sidecar.at, websocket).await;
    assert!(until(&mut websocket, "\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    assert_eq!(sidecar.asked("/healthz").await, (200, "ok\n".to_owned()));

    sidecar.terminate().await;
    in_time(async {
        while sidecar.asked("/healthz").await != (503, "draining\n".to_owned()) {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // Its WebSockets go on for as long as it does.
    websocket.write_all(&[0x82, 0x83, 0, 0, 0, 0, b'a', b'b', b'c']).await.unwrap();
    let mut echoed = [0; 5];
    in_time(websocket.read_exact(&mut echoed)).await.unwrap();
    assert_eq!(&echoed, b"\x82\x03abc");
    for (_, reading) in &mut streams {
        in_time(reading.to_end()).await;
        let text = String::from_utf8_lossy(&reading.bytes);
        assert_eq!(reading.end, Some(End::Finished), "{text}");
        let retry = text.rsplit_once("retry: ").and_then(|(_, retry)| retry.strip_suffix("\n\n"));
        assert!(retry.is_some_and(|retry| retry.parse::<u64>().is_ok()), "{text:?}");
    }
    assert!(in_time(sidecar.ended()).await.success());
    assert_eq!(rest(&mut websocket).await, "");
}

#[tokio::test]
async fn without_open_streams_it_stops_at_once() {
    let upstream = ByHand::new().await;
    let mut sidecar = sidecar(upstream.at, &["--drain-deadline", "1000s"]).await;
    let _kept_alive = Client::connect(sidecar.at, Version::HTTP_2).await;
    sidecar.terminate().await;
    assert!(in_time(sidecar.ended()).await.success());
}

#[tokio::test]
async fn it_counts_what_has_become_of_streams() {
    let Some(upstream) = upstreams::starlette().await else { return };
    let sidecar = sidecar(upstream.at, &[]).await;
    let mut client = Client::connect(sidecar.at, Version::HTTP_11).await;
    let mut reading = Reading::new(in_time(client.get("/events?silence=10")).await);
    in_time(reading.to_end()).await;
    let mut reading = Reading::new(in_time(client.get("/events?silence=3600000")).await);
    assert!(in_time(reading.until_has("first")).await);
    drop((reading, client));
    for (cause, by) in [("finished", "-"), ("abandoned", "client")] {
        let what = format!(r#"cause="{cause}",by="{by}",when="streaming"}} 1"#);
        in_time(sidecar.reports(&what)).await;
    }
    assert_eq!(sidecar.asked("/elsewhere").await.0, 404);
}

#[tokio::test]
async fn what_is_wrong_is_said_and_it_does_not_begin() {
    let run = async |flags: &[&str], variable: (&str, &str)| {
        let mut command = Command::new(PROGRAM);
        command.args(flags).env(variable.0, variable.1).stdin(Stdio::null()).kill_on_drop(true);
        let output = in_time(command.output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let none = ("LIFELINE_CONNECT", "5s");
    let upstream = ["--upstream", "http://127.0.0.1:9"];
    for (flags, variable, error) in [
        (&["--frist-byte", "1s"][..], none, "there is no --frist-byte"),
        (&[], none, "--upstream is missing"),
        (&["--first-byte", "soon"], none, "soon"),
        (&[], ("LIFELINE_FRIST_BYTE", "1s"), "LIFELINE_FRIST_BYTE"),
        (&[], ("LIFELINE_GATE_LIMIT", "many"), "many"),
    ] {
        let flags = if error.contains("missing") { flags.to_vec() } else { [&upstream, flags].concat() };
        let (code, out, errors) = run(&flags, variable).await;
        assert_eq!((code, &*out), (Some(2), ""), "{flags:?} {errors}");
        assert!(errors.contains(error), "{flags:?} {errors}");
    }
    let (code, out, _) = run(&["--help"], none).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("--first-byte") && out.contains("LIFELINE_"), "{out}");
    // Somebody else is there.
    let taken = ByHand::new().await;
    let taken = taken.at.to_string();
    let (code, _, errors) = run(&[&upstream[..], &["--listen", &taken]].concat(), none).await;
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains(&taken), "{errors}");
}
