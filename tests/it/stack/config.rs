//! Settings by name: what is read, and the sentence for what is not.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::testing::{script, timeline};
use tower_lifeline::{
    BoxError, Config, ConfigError, Drain, EarlyLayer, Gate, Heartbeat, Lifeline, StallLayer, Timeouts,
};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn built(pairs: Pairs<'_>) -> Result<Lifeline, ConfigError> {
    Lifeline::sse().configured(&Config::from_pairs(pairs.iter().copied())?)?.build()
}

#[test]
fn what_is_refused_and_why() {
    let names = "preset, heartbeat, headers, first_byte, inter_chunk, total, request_body, stall, gate_limit, \
                 gate_queue, gate_wait, early, max_age, drain_window, drain_deadline, path_hops";
    let known =
        tower_lifeline::Hop::PRESETS.iter().map(tower_lifeline::Hop::name).collect::<Vec<_>>().join(", ");
    let no_such = format!("hartbeat: no such setting; there are {names}");
    let empty = format!(": no such setting; there are {names}");
    let unknown =
        format!("path_hops: expected hops from {known} (\"apache\" is none), got \"nginx, apache\"");
    let nothing = format!("path_hops: expected hops from {known} (\"\" is none), got \"\"");
    let time = "expected a duration like 15s or 250ms";
    let off = format!("{time}, or off");
    let cases: &[(Pairs<'_>, &str)] = &[
        (&[("hartbeat", "15s")], &no_such),
        (&[("", "15s")], &empty),
        (&[("preset", "http")], "preset: expected one of sse, llm, mcp, grpc, plain, got \"http\""),
        (&[("heartbeat", "15")], &format!("heartbeat: {off}, got \"15\"")),
        (&[("heartbeat", "")], &format!("heartbeat: {off}, got \"\"")),
        (&[("heartbeat", "-15s")], &format!("heartbeat: {off}, got \"-15s\"")),
        (&[("heartbeat", "0s")], "heartbeat: a heartbeat interval is at least 1ms, got 0ns"),
        (&[("headers", "soon")], &format!("headers: {off}, got \"soon\"")),
        (&[("headers", "100us")], "headers: the headers limit is at least 1ms, got 100µs"),
        (&[("first_byte", "1.5")], &format!("first_byte: {off}, got \"1.5\"")),
        (&[("first_byte", "0ms")], "first_byte: the first byte limit is at least 1ms, got 0ns"),
        (&[("inter_chunk", "90 parsecs")], &format!("inter_chunk: {off}, got \"90 parsecs\"")),
        (&[("inter_chunk", "0s")], "inter_chunk: the inter-chunk limit is at least 1ms, got 0ns"),
        (&[("total", "99999999999999999999s")], &format!("total: {off}, got \"99999999999999999999s\"")),
        (&[("total", "0s")], "total: the total limit is at least 1ms, got 0ns"),
        (&[("request_body", "none")], &format!("request_body: {off}, got \"none\"")),
        (&[("request_body", "0s")], "request_body: the request gap limit is at least 1ms, got 0ns"),
        (&[("stall", "0s")], "stall: the stall limit is at least 1ms, got 0ns"),
        (&[("gate_limit", "many")], "gate_limit: expected a whole number, or off, got \"many\""),
        (&[("gate_limit", "-1")], "gate_limit: expected a whole number, or off, got \"-1\""),
        (
            &[("gate_limit", "0")],
            "gate_limit: a gate has at least 1 permit, got 0: Gate::close() lets nobody in",
        ),
        (&[("gate_queue", "64")], "gate_queue: a queue needs a gate, and gate_limit is not set"),
        (&[("gate_wait", "5s")], "gate_wait: a queue needs a gate, and gate_limit is not set"),
        (
            &[("gate_limit", "off"), ("gate_queue", "64")],
            "gate_queue: a queue needs a gate, and gate_limit is off",
        ),
        (&[("gate_limit", "8"), ("gate_queue", "off")], "gate_queue: expected a whole number, got \"off\""),
        (&[("gate_limit", "8"), ("gate_wait", "off")], &format!("gate_wait: {time}, got \"off\"")),
        (&[("early", "10")], &format!("early: {off}, got \"10\"")),
        (&[("max_age", "0s")], "a stream may become at least 1s old, got 0ns"),
        (&[("drain_window", "off")], &format!("drain_window: {time}, got \"off\"")),
        (
            &[("drain_window", "31s")],
            "drain_window: streams leave within the drain's deadline, got a window of 31s and a deadline of 30s",
        ),
        (&[("path_hops", "nginx, apache")], &unknown),
        (&[("path_hops", "")], &nothing),
        // Each by itself would do.
        (
            &[("path_hops", "nginx"), ("heartbeat", "45s")],
            "a beat goes out twice in the shortest idle limit of the path, at most every 30s (nginx: 60s), got 45s",
        ),
        (
            &[("path_hops", "nginx"), ("early", "60s"), ("headers", "off")],
            "an early head comes before the shortest limit on the first byte of the path (nginx: 60s), got 60s",
        ),
        (
            &[("total", "20s"), ("headers", "30s")],
            "the headers limit is at most the total limit of 20s, which comes first, got 30s",
        ),
        (
            &[("total", "2m"), ("gate_limit", "8"), ("gate_wait", "3m")],
            "the gate's longest wait is at most the total limit of 120s, which comes first, got 180s",
        ),
        (
            &[("early", "30s")],
            "an early head comes before the headers limit of 30s, which refuses the request, got 30s",
        ),
        (
            &[("early", "5s"), ("heartbeat", "off")],
            "a stream with an early head beats until its answer comes, got a head after 5s and no heartbeat",
        ),
        (&[("preset", "grpc"), ("early", "5s")], "gRPC has no early heads, got one after 5s"),
    ];
    for (pairs, sentence) in cases {
        match built(pairs) {
            Ok(_) => panic!("{pairs:?} should be refused: {sentence}"),
            Err(error) => assert_eq!(error.to_string(), *sentence, "{pairs:?}"),
        }
    }
    assert!(cases.len() >= 30);
}

#[test]
fn what_contradicts_a_handle_that_was_given() {
    let refused = |asked: tower_lifeline::LifelineBuilder, pairs: Pairs<'_>| {
        let config = Config::from_pairs(pairs.iter().copied()).unwrap();
        asked.configured(&config).unwrap_err().to_string()
    };
    let gate = Gate::new(4);
    assert_eq!(
        refused(Lifeline::sse().gate(gate.clone()), &[("gate_wait", "9s")]),
        "gate_wait: 9s, and the gate that was given waits for 5s"
    );
    assert_eq!(
        refused(Lifeline::sse().drain(&Drain::new()), &[("drain_deadline", "9s")]),
        "drain_deadline: 9s, and the drain that was given has 30s; make it with Config::drain"
    );
    // Its numbers change, and it stays the one that somebody has a handle of.
    let config = Config::from_pairs([("gate_limit", "9"), ("gate_queue", "7"), ("gate_wait", "5s")]).unwrap();
    let lifeline = Lifeline::sse().gate(gate.clone()).configured(&config).unwrap().build().unwrap();
    assert_eq!(gate.stats().limit, 9);
    assert_eq!(lifeline.gate().unwrap().stats().limit, 9);
}

#[test]
fn a_gate_that_is_in_use_changes_only_with_a_stack_that_is_built() {
    let gate = Gate::new(4);
    let asked = |pairs: Pairs<'_>| {
        let config = Config::from_pairs(pairs.iter().copied()).unwrap();
        Lifeline::sse().gate(gate.clone()).configured(&config)
    };
    assert!(asked(&[("gate_limit", "9"), ("gate_wait", "9s")]).is_err());
    assert!(asked(&[("gate_limit", "9"), ("max_age", "0s")]).unwrap().build().is_err());
    assert!(asked(&[("gate_limit", "9"), ("early", "30s")]).unwrap().build().is_err());
    let fits = asked(&[("gate_limit", "9")]).unwrap();
    assert_eq!(gate.stats().limit, 4, "nothing has been built");
    let other = Gate::new(5);
    let replaced = fits.clone().gate(other.clone()).build().unwrap();
    assert_eq!((gate.stats().limit, replaced.gate().unwrap().stats().limit), (4, 5));
    fits.build().unwrap();
    assert_eq!((gate.stats().limit, other.stats().limit), (9, 5));
}

#[test]
fn a_file_says_the_same_in_any_notation_of_serde() {
    let text =
        r#"{ "preset": "llm", "heartbeat": "10s", "gate_limit": 512, "path_hops": ["nginx", "AWS ALB"] }"#;
    let config: Config = serde_json::from_str(text).unwrap();
    let pairs =
        [("preset", "llm"), ("heartbeat", "10s"), ("gate_limit", "512"), ("path_hops", "nginx, AWS ALB")];
    assert_eq!(config, Config::from_pairs(pairs).unwrap());
    let refused = |text| serde_json::from_str::<Config>(text).unwrap_err().to_string();
    assert!(refused(r#"{ "hartbeat": "10s" }"#).starts_with("hartbeat: no such setting"));
    assert!(refused(r#"{ "heartbeat": 10 }"#).starts_with("heartbeat: expected a duration like 15s"));
    assert!(refused(r#"{ "heartbeat": null }"#).starts_with("heartbeat: expected a duration like 15s"));
}

/// When the head came, and the stream of a handler that thinks for three seconds.
async fn drawn(lifeline: &Lifeline) -> String {
    let began = tokio::time::Instant::now();
    let handler = service_fn(|_: Request<_>| async {
        sleep(Duration::from_secs(3)).await;
        let head = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, BoxError>(head.body(script("0s=a 7s=b 40s=end")).unwrap())
    });
    let request =
        Request::get("/").header("accept", "text/event-stream").body(Full::<bytes::Bytes>::default());
    let answer = lifeline.layer(handler).oneshot(request.unwrap()).await.unwrap();
    let (at, status) = (began.elapsed().as_secs(), answer.status().as_u16());
    format!("{at}s {status} {}", timeline(answer.into_body()).await)
}

#[tokio::test(start_paused = true)]
async fn each_setting_does_what_its_name_says() {
    let drawn = async |pairs: Pairs<'_>| drawn(&built(pairs).unwrap()).await;
    assert_eq!(drawn(&[]).await, "3s 200 0s=a 7s=b 22s=: 37s=: 40s=end");
    assert_eq!(drawn(&[("heartbeat", "off")]).await, "3s 200 0s=a 7s=b 40s=end");
    assert_eq!(drawn(&[("heartbeat", "20s")]).await, "3s 200 0s=a 7s=b 27s=: 40s=end");
    assert_eq!(
        drawn(&[("path_hops", "Bun")]).await,
        "3s 200 0s=a 5s=: 7s=b 12s=: 17s=: 22s=: 27s=: 32s=: 37s=: 40s=end"
    );
    assert!(drawn(&[("headers", "2s")]).await.starts_with("2s 504"));
    // What the preset has beyond it is no contradiction.
    assert!(drawn(&[("total", "2s")]).await.starts_with("2s 504"));
    assert!(drawn(&[("inter_chunk", "10s")]).await.contains("17s='retry:"));
    assert!(drawn(&[("inter_chunk", "5s")]).await.contains(" 5s='retry:"));
    assert!(drawn(&[("max_age", "20s")]).await.ends_with("=end"));
    assert_eq!(drawn(&[("early", "1s"), ("heartbeat", "30s")]).await, "1s 200 0s=: 2s=a 9s=b 39s=: 42s=end");
    assert_eq!(drawn(&[("preset", "plain")]).await.split(' ').nth(2), Some("0s=a"));
    let lifeline = built(&[("gate_limit", "4"), ("gate_queue", "3"), ("drain_window", "2s")]).unwrap();
    assert_eq!(lifeline.gate().unwrap().stats().limit, 4);
    assert!(lifeline.drain().is_some() && built(&[]).unwrap().drain().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_was_said_in_code_stays_where_a_name_says_nothing() {
    let asked = || {
        Lifeline::sse()
            .heartbeat(Heartbeat::every(Duration::from_secs(4)).jitter(Duration::from_secs(2)).at_once())
            .timeouts(Timeouts::new().headers(Duration::from_secs(10)).inter_chunk(Duration::from_secs(60)))
            .early(EarlyLayer::after(Duration::from_secs(1)))
            .stall(StallLayer::new(Duration::from_secs(9)).min_rate(1_000, Duration::from_secs(60)))
    };
    let with = |pairs: Pairs<'_>| {
        asked().configured(&Config::from_pairs(pairs.iter().copied()).unwrap()).unwrap().build().unwrap()
    };
    let unchanged = with(&[]);
    let settings = |lifeline: &Lifeline| {
        let text = format!("{lifeline:?}");
        let parts =
            text.split("Seeds(").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned());
        parts.collect::<Vec<_>>()
    };
    assert_eq!(settings(&unchanged), settings(&asked().build().unwrap()));
    let off = with(&[("early", "off"), ("heartbeat", "off"), ("stall", "off"), ("headers", "off")]);
    assert_eq!(drawn(&off).await, "3s 200 0s=a 7s=b 40s=end");
    let rate = |pairs| {
        asked().configured(&Config::from_pairs::<&str, &str>(pairs).unwrap()).unwrap_err().to_string()
    };
    assert_eq!(
        rate([("stall", "61s")]),
        "stall: a minimum rate is counted over at least the stall limit of 61s, got 60s"
    );
}
