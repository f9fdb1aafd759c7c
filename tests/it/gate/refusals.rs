//! What those are told who are refused.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use tower::ServiceExt;
use tower_lifeline::{Gate, Shed};

use super::{Answered, ask, open, s, waiting};

/// The head and the body of the refusal that a request with these headers gets for this reason.
async fn refused(
    reason: Shed,
    gate: Gate,
    fields: &[(&'static str, &'static str)],
) -> (StatusCode, HeaderMap, String) {
    let gate = match reason {
        Shed::QueueFull => gate.queue(0),
        Shed::QueueTimeout => gate.max_wait(s(5)),
        Shed::KeyOverCap => gate.per_key(1, |_| Some("all")),
        _ => gate,
    };
    let service = open(&gate);
    let held = ask(&service).await;
    if reason == Shed::Closed {
        gate.close();
    }
    let mut request =
        fields.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
    if reason == Shed::DeadlineTooShort {
        request = request.extension(tower_lifeline::Deadline::after(s(0)));
    }
    let Ok(answer) = service.clone().oneshot(request.body(Empty::new()).unwrap()).await;
    drop(held);
    let (head, body) = answer.into_parts();
    // Nothing follows the head of trailers-only.
    assert_eq!(body.is_end_stream(), head.headers.contains_key("grpc-status"));
    let bytes = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

const REASONS: [(Shed, &str, u16, u8); 5] = [
    (Shed::QueueFull, "queue-full", 503, 8),
    (Shed::QueueTimeout, "queue-timeout", 503, 14),
    (Shed::DeadlineTooShort, "deadline-too-short", 503, 14),
    (Shed::Closed, "closed", 503, 14),
    (Shed::KeyOverCap, "key-over-cap", 429, 8),
];

#[tokio::test(start_paused = true)]
async fn each_reason_has_its_problem() {
    for (reason, name, status, _) in REASONS {
        let (got, headers, body) = refused(reason, Gate::new(1), &[]).await;
        assert_eq!(
            (got.as_u16(), &headers["content-type"]),
            (status, &"application/problem+json".parse().unwrap())
        );
        assert_eq!(headers["content-length"], body.len().to_string());
        assert!(headers.contains_key("retry-after"), "{reason:?}");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["type"], format!("urn:tower-lifeline:{name}"));
        assert_eq!(problem["status"], status);
    }
}

#[tokio::test(start_paused = true)]
async fn in_grpc_it_is_resource_exhausted_or_unavailable() {
    for (reason, _, _, code) in REASONS {
        let (status, headers, body) =
            refused(reason, Gate::new(1), &[("content-type", "application/grpc")]).await;
        assert_eq!((status.as_u16(), body.as_str()), (200, ""), "{reason:?}");
        assert_eq!(headers["grpc-status"], code.to_string(), "{reason:?}");
        let pushback: u32 = headers["grpc-retry-pushback-ms"].to_str().unwrap().parse().unwrap();
        assert!((800..=1_200).contains(&pushback), "{pushback}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_json_rpc_it_is_an_error_object() {
    for (reason, _, status, _) in REASONS {
        let (got, headers, body) =
            refused(reason, Gate::new(1), &[("mcp-protocol-version", "2025-06-18")]).await;
        assert_eq!((got.as_u16(), &headers["content-type"]), (status, &"application/json".parse().unwrap()));
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["jsonrpc"], "2.0");
        assert!(answer["error"]["code"].as_i64().unwrap() < 0, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_reason_may_have_another_status() {
    for (reason, ..) in REASONS {
        let gate = Gate::new(1).status(reason, StatusCode::IM_A_TEAPOT);
        let (status, _, body) = refused(reason, gate, &[]).await;
        assert_eq!(status, 418, "{reason:?}");
        assert!(body.contains("\"status\":418"), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_may_be_all_your_own() {
    let gate = Gate::new(1).render(|refusal, _| {
        Response::builder().status(529).body(Bytes::from(refusal.problem_type().to_owned())).unwrap()
    });
    let (status, headers, body) = refused(Shed::QueueFull, gate, &[]).await;
    assert_eq!((status.as_u16(), headers.len(), body.as_str()), (529, 0, "urn:tower-lifeline:queue-full"));
}

fn seconds(answer: &Answered) -> u64 {
    answer.headers()["retry-after"].to_str().unwrap().parse().unwrap()
}

/// The times that a hundred refused clients are told.
async fn told(gate: &Gate, hold: u64, queued: usize) -> BTreeSet<u64> {
    let service = open(gate);
    let first = ask(&service).await;
    tokio::time::advance(s(hold)).await;
    drop(first);
    let mut held = Vec::new();
    for _ in 0..gate.stats().limit {
        held.push(ask(&service).await);
    }
    let waits: Vec<_> = (0..queued).map(|_| waiting(&service)).collect();
    let mut told = BTreeSet::new();
    for _ in 0..100 {
        let refused = ask(&service).await;
        assert_eq!(refused.status(), 503);
        told.insert(seconds(&refused));
    }
    drop((held, waits));
    told
}

fn spans(told: &BTreeSet<u64>, least: u64, most: u64) -> bool {
    let all = told.iter().all(|after| (least..=most).contains(after));
    // A tenth of the hundred falls on either end of the range by chance, so some do.
    all && told.len() > 1 && told.last().unwrap() - told.first().unwrap() >= (most - least) * 7 / 10
}

#[tokio::test(start_paused = true)]
async fn the_time_to_come_back_is_how_long_the_queue_takes_give_or_take_a_fifth() {
    // Four turns of 10 s on one permit; on two; none in the queue.
    let check = async |gate: Gate, hold, queued, least, most| {
        let told = told(&gate, hold, queued).await;
        assert!(spans(&told, least, most), "{told:?} is not {least} to {most}");
    };
    check(Gate::new(1).queue(3), 10, 3, 32, 48).await;
    check(Gate::new(2).queue(3), 10, 3, 16, 24).await;
    check(Gate::new(1).queue(0), 10, 0, 8, 12).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_to_come_back_is_between_a_second_and_a_minute_or_so() {
    let long = told(&Gate::new(1).queue(9), 3_600, 9).await;
    assert!(spans(&long, 48, 72), "{long:?}");
    for gate in [Gate::new(1).queue(0), Gate::new(1).queue(0).untimed()] {
        let short = told(&gate, 0, 0).await;
        assert_eq!(short, [1, 2].into());
    }
}
