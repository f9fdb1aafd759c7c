use http::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Extensions, HeaderMap, StatusCode};

use super::*;
use crate::early::{FailureKind, Late};
use crate::{Phase, Shed, TimeoutError};

fn late(status: u16) -> Late {
    let status = StatusCode::from_u16(status).unwrap();
    Late { status, headers: HeaderMap::new(), extensions: Extensions::new() }
}

/// An answer with an error status.
fn error(status: u16, media_type: &'static str, body: &'static str) -> Failure {
    let mut late = late(status);
    late.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    Failure::of_answer(FailureKind::Status, late, None).with_body(Bytes::from_static(body.as_bytes()), false)
}

fn bare(status: u16) -> Failure {
    Failure::of_answer(FailureKind::Status, late(status), None)
}

fn with_id(id: RequestId) -> Failure {
    Failure::of_answer(FailureKind::Status, late(500), Some(id))
}

fn check(format: ErrorFormat, failure: &Failure, event: &str) {
    let event_of = format.render(failure);
    assert_eq!(str::from_utf8(event_of.as_bytes()).unwrap(), event);
}

#[test]
fn for_an_event_source() {
    let check = |failure: Failure, event: &str| check(ErrorFormat::EventSource, &failure, event);
    check(
        bare(500),
        "event: error\ndata: {\"status\":500,\"message\":\"The answer is an error (500 Internal Server Error).\"}\n\n",
    );
    check(
        error(404, "text/plain", "no\r\nsuch \"thing\""),
        "event: error\ndata: {\"status\":404,\"message\":\"The answer is an error (404 Not Found).\",\
         \"content_type\":\"text/plain\",\"body\":\"no\\u000d\\u000asuch \\\"thing\\\"\"}\n\n",
    );
    let body = Bytes::from_static(b"\xC3");
    check(
        bare(500).with_body(body, true),
        "event: error\ndata: {\"status\":500,\"message\":\"The answer is an error (500 Internal Server Error).\",\
         \"body\":\"\u{fffd}\",\"truncated\":true}\n\n",
    );
    let retry = |after| {
        let mut late = late(503);
        late.headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
        Failure::of_answer(FailureKind::Status, late, None)
    };
    let event = "event: error\ndata: {\"status\":503,\"message\":\"The answer is an error (503 Service Unavailable).\"}\n\n";
    check(retry("7"), &format!("retry: 7000\n{event}"));
    check(retry("Wed, 21 Oct 2015 07:28:00 GMT"), event);
    check(retry("-1"), event);
}

#[test]
fn what_each_kind_says() {
    let check = |failure: &Failure, status: u16, message: &str| {
        assert_eq!((failure.status().as_u16(), &*failure.message()), (status, message));
    };
    let of_head = |kind, status, fields: &[(_, &'static str)]| {
        let mut late = late(status);
        for (name, value) in fields {
            late.headers.insert(name, HeaderValue::from_static(value));
        }
        Failure::of_answer(kind, late, None)
    };
    let redirect = |fields: &[_]| of_head(FailureKind::Redirect, 303, fields);
    check(&redirect(&[(LOCATION, "/login")]), 303, "The answer is a redirect to /login (303 See Other).");
    check(&redirect(&[]), 303, "The answer is a redirect (303 See Other).");
    let gzip = [(http::header::CONTENT_ENCODING, "gzip")];
    check(
        &of_head(FailureKind::Encoded, 200, &gzip),
        500,
        "The answer has an encoding (gzip) and cannot become events.",
    );
    check(
        &of_head(FailureKind::MediaType, 200, &[(CONTENT_TYPE, "image/png")]),
        500,
        "The answer (image/png) cannot become events.",
    );
    check(
        &of_head(FailureKind::MediaType, 200, &[]),
        500,
        "The answer (without a content type) cannot become events.",
    );
    check(&of_head(FailureKind::Broken, 200, &[]), 500, "The answer broke off.");
    let secret = Failure::of_service("password is 1234".into(), None);
    check(&secret, 500, "The service failed.");
    assert_eq!(secret.error().unwrap().to_string(), "password is 1234");
}

#[test]
fn refusals_of_the_layers_within_say_what_they_are() {
    let with = |status, put: &dyn Fn(&mut Extensions)| {
        let mut late = late(status);
        put(&mut late.extensions);
        Failure::of_answer(FailureKind::Status, late, None)
    };
    let s = std::time::Duration::from_secs;
    let timeout = TimeoutError::new(Phase::Headers, s(30), s(30));
    let failure = with(504, &|extensions| _ = extensions.insert(timeout));
    assert_eq!(failure.code(), Some(Code::DeadlineExceeded));
    assert_eq!(failure.message(), "The request timed out: no response head for 30s (headers limit: 30s).");
    let failure = with(503, &|extensions| _ = extensions.insert(Shed::QueueFull));
    assert_eq!(failure.code(), Some(Code::ResourceExhausted));
    assert_eq!(failure.message(), "All places are taken, and so are those in the queue.");
    assert_eq!(bare(503).code(), Some(Code::Unavailable));
    assert_eq!(bare(500).code(), None);
}

#[test]
fn for_json_rpc() {
    let check = |failure: Failure, event: &str| check(ErrorFormat::JsonRpc, &failure, event);
    let told = |members: &str, code: i32, status: &str| {
        let data = status.split(' ').next().unwrap();
        format!(
            "event: message\ndata: {{\"jsonrpc\":\"2.0\",{members}\"error\":{{\"code\":{code},\
             \"message\":\"The answer is an error ({status}).\",\"data\":{{\"status\":{data}}}}}}}\n\n"
        )
    };
    check(with_id(7.into()), &told("\"id\":7,", -32603, "500 Internal Server Error"));
    check(with_id("a\"b".into()), &told("\"id\":\"a\\\"b\",", -32603, "500 Internal Server Error"));
    check(bare(400), &told("", -32600, "400 Bad Request"));
    check(bare(503), &told("", -32014, "503 Service Unavailable"));
    check(bare(429), &told("", -32008, "429 Too Many Requests"));
    check(bare(504), &told("", -32001, "504 Gateway Timeout"));
    let whole = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no"}}"#;
    check(error(400, "application/json", whole), &format!("event: message\ndata: {whole}\n\n"));
    let without_id = r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"no"}}"#;
    let failure = error(400, "application/json", without_id);
    assert!(str::from_utf8(ErrorFormat::JsonRpc.render(&failure).as_bytes()).unwrap().contains("-32600"));
}

#[test]
fn for_the_clients_of_open_ai_and_anthropic() {
    let type_of = |format: ErrorFormat, status| {
        let event = format.render(&bare(status));
        let data = str::from_utf8(event.as_bytes()).unwrap().split_once("data: ").unwrap().1.trim_end();
        let json: serde_json::Value = serde_json::from_str(data).unwrap();
        json["error"]["type"].as_str().unwrap().to_owned()
    };
    let types =
        |format| [400, 401, 403, 404, 413, 429, 500, 503, 504, 529].map(|status| type_of(format, status));
    let (request, server) = ("invalid_request_error", "server_error");
    assert_eq!(
        types(ErrorFormat::OpenAi),
        [request, request, request, request, request, "rate_limit_error", server, server, server, server,]
    );
    assert_eq!(
        types(ErrorFormat::Anthropic),
        [
            request,
            "authentication_error",
            "permission_error",
            "not_found_error",
            "request_too_large",
            "rate_limit_error",
            "api_error",
            "overloaded_error",
            "timeout_error",
            "overloaded_error",
        ]
    );
    check(
        ErrorFormat::OpenAi,
        &bare(500),
        "data: {\"error\":{\"message\":\"The answer is an error (500 Internal Server Error).\",\
         \"type\":\"server_error\",\"param\":null,\"code\":null,\"status\":500}}\n\n",
    );
    check(
        ErrorFormat::Anthropic,
        &error(500, "text/plain", "oh"),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\
         \"message\":\"The answer is an error (500 Internal Server Error).\",\"status\":500,\
         \"content_type\":\"text/plain\",\"body\":\"oh\"}}\n\n",
    );
    let own = "{\n\"type\":\"error\",\"error\":{\"type\":\"x\"}}";
    let lines = "data: {\ndata: \"type\":\"error\",\"error\":{\"type\":\"x\"}}\n\n";
    check(ErrorFormat::OpenAi, &error(500, "application/json", own), lines);
    check(ErrorFormat::Anthropic, &error(500, "application/json", own), &format!("event: error\n{lines}"));
    let half =
        error(500, "application/json", "{\"error\":").with_body(Bytes::from_static(b"{\"error\":"), true);
    assert!(half.json().is_none());
}

#[test]
fn events_of_ones_own() {
    assert_eq!(ErrorEvent::new("a\r\nb").as_bytes(), b"data: a\ndata: b\n\n");
    assert_eq!(ErrorEvent::named("x", "a").as_bytes(), b"event: x\ndata: a\n\n");
    assert_eq!(ErrorEvent::named("x", "").as_bytes(), b"");
    assert_eq!(ErrorEvent::none().as_bytes(), b"");
    let error = ErrorEvent::try_named("a\nb", "").unwrap_err();
    assert_eq!(error.to_string(), "an event name is one line without CR, LF or NUL, got '\\n' in \"a\\nb\"");
    assert!(ErrorEvent::try_named("", "a").is_err());
}
