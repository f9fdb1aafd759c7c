//! Every answer that a handler can give, before the threshold and after it: a test a row, in memory and over both
//! versions of HTTP.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_event_stream_goes_on_as_it_is() {
    let row = Row::new(|| events("0s=a 5s=b 5s=end"));
    row.is("200 text/event-stream: 0s=a 5s=b 5s=end", "26s=a 31s=b 31s=end").await;
    // And with beats of its own in between.
    let row = Row::new(|| events("0s=a 20s=b 20s=end"));
    row.is("200 text/event-stream: 0s=a 20s=b 20s=end", "26s=a 41s=: 46s=b 46s=end").await;
}

#[tokio::test(start_paused = true)]
async fn any_status_of_success_is_as_good_as_another() {
    let row = Row::new(|| status(201, events("0s=a 0s=end")));
    row.is("201 text/event-stream: 0s=a 0s=end", "26s=a 26s=end").await;
}

#[tokio::test(start_paused = true)]
async fn json_is_one_event() {
    let row = Row::new(|| json(r#"0s='{"a":1}' 0s=end"#));
    row.is(r#"200 application/json: 0s='{"a":1}' 0s=end"#, r#"26s='data: {"a":1}\n\n' 26s=end"#).await;
}

#[tokio::test(start_paused = true)]
async fn json_that_comes_in_pieces_is_still_one_event() {
    let row = Row::new(|| json(r#"0s='{"a"' 20s=':1}' 21s=end"#));
    row.is(
        r#"200 application/json: 0s='{"a"' 20s=':1}' 21s=end"#,
        r#"30s=: 45s=: 47s='data: {"a":1}\n\n' 47s=end"#,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_line_of_an_answer_is_a_line_of_its_event() {
    let row = Row::new(|| json(r"0s='{\r\n1\r2\n3}\n' 0s=end"));
    row.is(
        r"200 application/json: 0s='{\r\n1\r2\n3}\n' 0s=end",
        r"26s='data: {\ndata: 1\ndata: 2\ndata: 3}\n\n' 26s=end",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn plain_text_is_one_event_too() {
    let row = Row::new(|| of_type("text/plain; charset=utf-8", r"0s='a: b\n' 0s=end"));
    row.is(r"200 text/plain; charset=utf-8: 0s='a: b\n' 0s=end", r"26s='data: a: b\n\n' 26s=end").await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_a_clean_end() {
    for code in [200, 202, 204, 205] {
        Row::new(move || bare(code)).is(&format!("{code} -: 0s=end"), "26s=end").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_an_event() {
    let row = Row::new(|| status(404, of_type("application/problem+json", r#"0s='{"title":"no"}' 0s=end"#)));
    row.is(
        r#"404 application/problem+json: 0s='{"title":"no"}' 0s=end"#,
        concat!(
            r#"26s='event: error\ndata: {"status":404,"message":"The answer is an error (404 Not Found).","#,
            r#""content_type":"application/problem+json","body":"{\\"title\\":\\"no\\"}"}\n\n' 26s=end"#
        ),
    )
    .await;
    let row = Row::new(|| bare(500));
    row.is("500 -: 0s=end", &failed("26s", 500, "The answer is an error (500 Internal Server Error).")).await;
}

#[tokio::test(start_paused = true)]
async fn an_errors_event_stream_is_not_read() {
    let row = Row::new(|| status(500, events("0s=a")));
    row.check(
        SLOW,
        &format!(
            "{EARLY}0s=: 15s=: {}",
            failed("26s", 500, "The answer is an error (500 Internal Server Error).")
        ),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_error_is_cut_and_says_so() {
    let row = Row::new(|| {
        let long = format!("0s='{}' 5s='{}' 9s=end", "a".repeat(10_000), "b".repeat(10_000));
        status(500, of_type("text/plain", &long))
    });
    let body = "a".repeat(10_000) + &"b".repeat(16 * 1024 - 10_000);
    let members = format!(r#""content_type":"text/plain","body":"{body}","truncated":true"#);
    let told = failed("31s", 500, "The answer is an error (500 Internal Server Error).");
    let told = format!("{EARLY}0s=: 15s=: 30s=: {}", told.replace("\"}", &format!("\",{members}}}")));
    assert!(row.seen(SLOW).await == told);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_breaks_off_is_still_told() {
    let row = Row::new(|| status(500, of_type("text/plain", "0s='half' 1s=error(broken)")));
    let seen = row.seen(SLOW).await;
    assert!(seen.contains(r#""body":"half","truncated":true"#) && seen.ends_with("27s=end"), "{seen}");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_an_error_that_says_where_to() {
    let row = Row::new(|| {
        let mut response = bare(303);
        response.headers_mut().insert("location", "/login".parse().unwrap());
        response
    });
    row.is("303 -: 0s=end", &failed("26s", 303, "The answer is a redirect to /login (303 See Other).")).await;
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_is_an_error() {
    for media_type in ["text/event-stream", "application/json"] {
        let row = Row::new(move || {
            let mut response = of_type(media_type, r"0s='\x1F\x8B' 0s=end");
            response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
            response
        });
        row.is(
            &format!(r"200 {media_type}: 0s='\x1F\x8B' 0s=end"),
            &failed("26s", 500, "The answer has an encoding (gzip) and cannot become events."),
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_text_is_an_error() {
    let row = Row::new(|| of_type("image/png", r"0s='\x89PNG' 0s=end"));
    row.is(
        r"200 image/png: 0s='\x89PNG' 0s=end",
        &failed("26s", 500, "The answer (image/png) cannot become events."),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn json_that_breaks_off_is_an_error_and_no_half_event() {
    let row = Row::new(|| json(r#"0s='{"a"' 1s=error(broken)"#));
    row.is(
        r#"200 application/json: 0s='{"a"' 1.005s=error(broken)"#,
        &failed("27s", 500, "The answer broke off."),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn json_that_is_too_long_to_be_kept_is_written_as_it_comes() {
    let small = |layer: EarlyLayer| layer.buffer(3);
    let row = Row::new(|| json(r#"0s='{"a"' 1s=':' 20s='1}\n' 21s=end"#)).with(small);
    // No beat goes into a line.
    let line = format!(r#"{EARLY}0s=: 15s=: 26s='data: {{"a"' 27s=':' 46s='1}}' 47s='\n\n' 47s=end"#);
    row.check(SLOW, &line).await;
    // Then a broken body breaks the stream, and the client drops the half event.
    let row = Row::new(|| json(r#"0s='{"a"' 1s=error(broken)"#)).with(small);
    row.check(SLOW, &format!(r#"{EARLY}0s=: 15s=: 26s='data: {{"a"' 27s=error(broken)"#)).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_is_an_error_without_its_words() {
    let row = |request| {
        let handler = |works| after(works, || Err("the password is 1234".into()));
        Row { layer: layer(), request, handler: Arc::new(handler) }
    };
    let before = row(get).seen(FAST).await;
    assert_eq!(before, "no response: the password is 1234", "the service's own error, as it is");
    let failed = &failed("26s", 500, "The service failed.");
    row(get).check(SLOW, &format!("{EARLY}0s=: 15s=: {failed}")).await;
    let error = r#"{"code":-32603,"message":"The service failed.","data":{"status":500}}"#;
    let line = format!(r#"26s='event: message\ndata: {{"jsonrpc":"2.0","error":{error}}}\n\n' 26s=end"#);
    row(mcp).check(SLOW, &format!("{EARLY}0s=: 15s=: {line}")).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_that_breaks_off_breaks_the_stream() {
    let row = Row::new(|| events("0s=a 1s=error(broken)"));
    row.is("200 text/event-stream: 0s=a 1.005s=error(broken)", "26s=a 27s=error(broken)").await;
    // Its boundary is its own business: half an event stays half an event.
    let row = Row::new(|| events(r"0s='data: a' 1s=error(broken)"));
    row.is(r"200 text/event-stream: 0s='data: a' 1.005s=error(broken)", r"26s='data: a' 27s=error(broken)")
        .await;
}

#[tokio::test(start_paused = true)]
async fn trailers_come_behind_all_else() {
    let row = Row::new(|| events("0s=a 1s=trailers(a:b) 1s=end"));
    row.is("200 text/event-stream: 0s=a 1s=trailers(a:b) 1s=end", "26s=a 27s=trailers(a:b) 27s=end").await;
    let row = Row::new(|| json("0s='{}' 1s=trailers(a:b) 1s=end"));
    row.is(
        "200 application/json: 0s='{}' 1s=trailers(a:b) 1s=end",
        r"27s='data: {}\n\n' 27s=trailers(a:b) 27s=end",
    )
    .await;
    let row = Row::new(|| status(500, of_type("text/plain", "0s='x' 0s=trailers(a:b) 0s=end")));
    let seen = row.seen(SLOW).await;
    assert!(seen.ends_with("26s=trailers(a:b) 26s=end"), "{seen}");
    let row = Row::new(|| status(500, of_type("image/png", "0s='x' 0s=trailers(a:b) 0s=end")));
    let seen = row.seen(SLOW).await;
    assert!(!seen.contains("trailers(") && seen.ends_with("26s=end"), "not read: {seen}");
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_is_dropped_because_something_came_before_it() {
    let row = Row::new(|| events(r"0s='\xEF\xBB' 1s='\xBFdata: a\n\n' 1s=end"));
    row.is(r"200 text/event-stream: 0s='\xEF\xBB' 1s='\xBFdata: a\n\n' 1s=end", "27s=a 27s=end").await;
    let row = Row::new(|| json(r"0s='\xEF\xBB' 1s='\xBF{}' 1s=end"));
    row.check(SLOW, &format!(r"{EARLY}0s=: 15s=: 27s='data: {{}}\n\n' 27s=end")).await;
}

#[tokio::test(start_paused = true)]
async fn an_mcp_client_gets_messages() {
    let row = Row::new(|| json(r#"0s='{"jsonrpc":"2.0","id":7,"result":{}}' 0s=end"#)).to(mcp);
    row.is(
        r#"200 application/json: 0s='{"jsonrpc":"2.0","id":7,"result":{}}' 0s=end"#,
        r#"26s='event: message\ndata: {"jsonrpc":"2.0","id":7,"result":{}}\n\n' 26s=end"#,
    )
    .await;
    // 202 is the answer to a notification.
    Row::new(|| bare(202)).to(mcp).is("202 -: 0s=end", "26s=end").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_ready_with_the_threshold_is_in_time() {
    let row = Row::new(|| bare(404));
    row.check(THRESHOLD, "404 -: 0s=end").await;
    row.check(
        THRESHOLD + Duration::from_millis(1),
        &format!("{EARLY}0s=: {}", failed("1ms", 404, "The answer is an error (404 Not Found).")),
    )
    .await;
}
