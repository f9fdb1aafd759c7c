//! Limits come when a model of two clocks says so: properties over any stream and any limits.

use std::time::Duration;

use http::{Request, Response};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::testing::{script, timeline_for};
use tower_lifeline::{BoxError, Ending, TimeoutLayer, Timeouts};

/// All times are a multiple of this, so that the 5 ms for which an error is held back can be told from a silence.
const TICK: u64 = 10;

/// What a stream gives, and whether it is content.
const ITEMS: &[(&str, bool)] = &[
    ("a", true),
    (":", false),
    ("''", false),
    (r"'id:1\n'", false),
    (r"'event:ping\ndata:x\n\n'", false),
    (r"'\n'", false),
];

#[derive(Clone, Debug)]
struct Case {
    /// Each after so many ticks.
    items: Vec<(u64, (&'static str, bool))>,
    /// `end`, `error(x)`, or nothing more.
    last: (u64, &'static str),
    first_byte: Option<u64>,
    inter_chunk: Option<u64>,
    total: Option<u64>,
}

fn case() -> impl Strategy<Value = Case> {
    let gap = || prop_oneof![1 => Just(0), 3 => 1_u64..12];
    (
        vec((gap(), select(ITEMS)), 0..12),
        (gap(), select(&["end", "error(x)", ""][..])),
        option::of(1_u64..30),
        option::of(1_u64..15),
        option::of(1_u64..60),
    )
        .prop_map(|(items, last, first_byte, inter_chunk, total)| Case {
            items,
            last,
            first_byte,
            inter_chunk,
            total,
        })
}

/// The script of a case and its time line, up to the first limit that is reached.
fn model(case: &Case) -> (String, String) {
    let bounded = case.first_byte.or(case.inter_chunk).or(case.total).is_some();
    let (mut script, mut line) = (Vec::new(), Vec::new());
    let (mut now, mut waits_since, mut written, mut begun) = (0, None, None, false);
    // An error waits for what was written, or for the head, in the same tick. Without limits nobody knows the time.
    let held = |at, written: Option<u64>, waits_since| {
        at * TICK + if !bounded || written.or(waits_since).unwrap_or(at) == at { 5 } else { 0 }
    };
    for (gap, (what, content)) in case.items.iter().copied().chain([(case.last.0, (case.last.1, false))]) {
        let then = if what.is_empty() { u64::MAX } else { now + gap };
        if then > now {
            let from = *waits_since.get_or_insert(now);
            let limit = if begun { case.inter_chunk } else { case.first_byte };
            let due = limit.map(|limit| from + limit).into_iter().chain(case.total).min();
            if let Some(due) = due.filter(|due| *due < then) {
                line.push(format!("{}ms=limit", held(due, written, waits_since)));
                script.push(format!("{}ms=end", now.saturating_add(1_000) * TICK));
                break;
            }
        }
        if what.is_empty() {
            line.push("open".to_owned());
            break;
        }
        now = then;
        let at = if what.starts_with("error") { held(now, written, waits_since) } else { now * TICK };
        script.push(format!("{}ms={what}", now * TICK));
        line.push(format!("{at}ms={what}"));
        if what != "''" {
            written = Some(now);
        }
        if content {
            (begun, waits_since) = (true, None);
        }
    }
    (script.join(" "), line.join(" "))
}

/// What comes out, with every time in milliseconds and every limit called that.
async fn drawn(case: &Case, stream: &str) -> String {
    let ticks = |ticks: u64| Duration::from_millis(ticks * TICK);
    let mut limits = Timeouts::new();
    limits = case.first_byte.map_or(limits, |limit| limits.first_byte(ticks(limit)));
    limits = case.inter_chunk.map_or(limits, |limit| limits.inter_chunk(ticks(limit)));
    limits = case.total.map_or(limits, |limit| limits.total(ticks(limit)));
    let service = service_fn(|_: Request<()>| async {
        let head = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, BoxError>(head.body(script(stream))?)
    });
    let layer = TimeoutLayer::new(limits).ending(Ending::Abort);
    let answer = layer.layer(service).oneshot(Request::new(())).await.expect("an answer");
    let line = timeline_for(answer.into_body(), Duration::from_secs(1_000)).await;
    let mut items = Vec::new();
    for item in line.split(' ').filter(|item| item.contains('=')) {
        let (at, what) = item.split_once('=').expect("an item");
        let ms = match at.strip_suffix("ms") {
            Some(ms) => ms.parse().expect("a number"),
            None => at.trim_end_matches('s').parse::<f64>().expect("a number") * 1_000.0,
        };
        match what {
            "open" => items.push(what.to_owned()),
            _ if what.starts_with("error(no") || what.starts_with("error(the") => {
                items.push(format!("{}ms=limit", ms.round()));
                break;
            }
            _ => items.push(format!("{}ms={what}", ms.round())),
        }
    }
    items.join(" ")
}

#[test]
fn every_limit_comes_when_the_model_says() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let config = ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() };
    let law = |case: Case| {
        let (stream, line) = model(&case);
        prop_assert_eq!(runtime.block_on(drawn(&case, &stream)), line, "{}", stream);
        Ok(())
    };
    if let Err(error) = TestRunner::new(config).run(&case(), law) {
        panic!("{error}");
    }
}
