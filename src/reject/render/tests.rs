use std::time::Duration;

use http::{HeaderMap, Request, Version};
use serde_json::{Value as Json, json};

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

fn caller(fields: &[(&str, &str)], version: Version) -> Caller {
    let request =
        fields.iter().fold(Request::builder(), |request, &(name, value)| request.header(name, value));
    Caller::of_request(&request.version(version).body(()).unwrap())
}

/// The headers as lines, and the body.
fn rendered(refusal: Refusal, fields: &[(&str, &str)]) -> (u16, String, Bytes) {
    let response = refusal.into_response(&caller(fields, Version::HTTP_11));
    let status = response.status().as_u16();
    if let Some(length) = response.headers().get("content-length") {
        assert_eq!(length, &response.body().len().to_string());
    }
    (status, lines(response.headers()), response.into_body())
}

fn lines(headers: &HeaderMap) -> String {
    let line =
        |(name, value): (&http::HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    let mut lines: Vec<_> = headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH).map(line).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_timeout_in_json() {
    let check = |fields: &[(&str, &str)], status: u16, content_type: &str, body: Json| {
        let (got, headers, bytes) = rendered(Refusal::headers_timeout(LIMIT), fields);
        assert_eq!(got, status, "{fields:?}");
        assert_eq!(headers, format!("cache-control: no-store\ncontent-type: {content_type}"), "{fields:?}");
        assert_eq!(serde_json::from_slice::<Json>(&bytes).unwrap(), body, "{fields:?}");
    };
    let detail = "No response was ready within 30s.";
    let problem = json!({
        "type": "urn:tower-lifeline:headers-timeout",
        "title": "The response did not begin in time",
        "status": 504,
        "detail": detail,
    });
    check(&[], 504, "application/problem+json", problem.clone());
    check(&[("accept", "text/html, */*;q=0.8")], 504, "application/problem+json", problem);
    check(
        &[("connect-protocol-version", "1"), ("content-type", "application/proto")],
        504,
        "application/json",
        json!({ "code": "deadline_exceeded", "message": detail }),
    );
    check(
        &[("mcp-protocol-version", "2025-11-25"), ("content-type", "application/json")],
        504,
        "application/json",
        json!({ "jsonrpc": "2.0", "error": { "code": -32001, "message": detail } }),
    );
}

#[test]
fn a_timeout_as_a_sentence() {
    let (status, headers, body) = rendered(Refusal::headers_timeout(LIMIT), &[("accept", "text/plain")]);
    assert_eq!(status, 504);
    assert_eq!(headers, "cache-control: no-store\ncontent-type: text/plain; charset=utf-8");
    assert_eq!(body, "No response was ready within 30s.\n");
}

#[test]
fn a_timeout_as_trailers_only() {
    for content_type in ["application/grpc", "application/grpc+json", "application/grpc-web-text"] {
        let refusal = Refusal::headers_timeout(LIMIT).with_retry_after(Duration::from_millis(250));
        let response = refusal.into_response(&caller(&[("content-type", content_type)], Version::HTTP_2));
        assert_eq!(response.status(), 200);
        assert_eq!(
            lines(response.headers()),
            format!(
                "content-type: {content_type}\n\
                 grpc-message: No response was ready within 30s.\n\
                 grpc-retry-pushback-ms: 250\n\
                 grpc-status: 4"
            )
        );
        assert!(!response.headers().contains_key(CONTENT_LENGTH));
        assert!(response.body().is_empty());
    }
}

#[test]
fn a_timeout_as_the_end_of_a_stream_in_connect() {
    let fields = [("content-type", "application/connect+proto")];
    let (status, headers, body) = rendered(Refusal::total_timeout(LIMIT), &fields);
    assert_eq!(status, 200);
    assert_eq!(headers, "cache-control: no-store\ncontent-type: application/connect+proto");
    let (prefix, message) = body.split_at(5);
    assert_eq!(prefix[0], 2);
    assert_eq!(prefix[1..], u32::try_from(message.len()).unwrap().to_be_bytes());
    let detail = "The whole request has 30s, and no response was ready by then.";
    let json = json!({ "error": { "code": "deadline_exceeded", "message": detail } });
    assert_eq!(serde_json::from_slice::<Json>(message).unwrap(), json);
}

#[test]
fn a_slow_upload_gives_up_its_connection_in_http_1_only() {
    let check = |fields: &[(&str, &str)], version, status: u16, close| {
        let response = Refusal::request_body_timeout(LIMIT).into_response(&caller(fields, version));
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().get(CONNECTION).is_some_and(|value| value == "close"), close);
    };
    check(&[], Version::HTTP_11, 408, true);
    check(&[], Version::HTTP_2, 408, false);
    check(&[("mcp-protocol-version", "2025-11-25")], Version::HTTP_11, 408, true);
    check(&[("connect-protocol-version", "1")], Version::HTTP_11, 504, true);
    check(&[("content-type", "application/grpc")], Version::HTTP_2, 200, false);
}

#[test]
fn retry_after_is_in_whole_seconds_and_never_none() {
    let check = |after, text: &str| {
        let refusal = Refusal::headers_timeout(LIMIT).with_retry_after(after);
        let response = refusal.into_response(&caller(&[], Version::HTTP_11));
        assert_eq!(response.headers()[RETRY_AFTER], text);
    };
    check(Duration::ZERO, "1");
    check(Duration::from_millis(1), "1");
    check(Duration::from_secs(2), "2");
    check(Duration::from_millis(2_001), "3");
    check(Duration::MAX, "18446744073709551615");
}
