//! The stack and its layers, nested by hand in the one order, draw the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestCaseError, TestRunner};
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifeline::testing::{script, timeline_for};
use tower_lifeline::timeout::Progress;
use tower_lifeline::{
    BoxError, DeadlineHeader, DeadlineLayer, Drain, DrainLayer, EarlyLayer, Gate, GateLayer, Heartbeat,
    HeartbeatLayer, Lifeline, ObserveLayer, Observer, OnDrain, RequestBodyTimeoutLayer, Rhythm, StallLayer,
    StreamReport, TimeoutLayer, Timeouts,
};

type AnyBody = UnsyncBoxBody<Bytes, BoxError>;
type AnyService = BoxCloneService<Request<AnyBody>, Response<AnyBody>, BoxError>;

/// What is on, in seconds.
#[derive(Clone, Debug)]
struct Settings {
    observed: bool,
    stall: bool,
    /// When the drain begins.
    drains: Option<u64>,
    leaves: bool,
    age: Option<u64>,
    early: Option<u64>,
    beat: Option<u64>,
    periodic: bool,
    most: Option<u32>,
    gap: Option<u64>,
    /// So long somebody else has the only permit.
    gate: Option<u64>,
    headers: Option<u64>,
    first_byte: Option<u64>,
    inter_chunk: Option<u64>,
    total: Option<u64>,
    any_byte: bool,
}

/// What the handler does, and its client.
#[derive(Clone, Debug)]
struct Exchange {
    thinks: u64,
    fails: bool,
    content_type: &'static str,
    status: u16,
    /// Each after so many seconds.
    items: Vec<(u64, &'static str)>,
    last: (u64, &'static str),
    known_length: bool,
    method: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    upload: Vec<u64>,
}

const TYPES: &[&str] = &[
    "text/event-stream",
    "text/event-stream; charset=utf-8",
    "application/json",
    "application/x-ndjson",
    "application/grpc",
    "",
];
const ITEMS: &[&str] = &["a", "b+c", ":", "''", r"'data: x\n'", r"'\n'", r"'id: 1\n\n'", r"'\xEF\xBB\xBF'"];
const HEADERS: &[(&str, &str)] = &[
    ("accept", "text/event-stream"),
    ("accept", "application/json, text/event-stream"),
    ("content-type", "application/json"),
    ("mcp-protocol-version", "2025-11-25"),
    ("request-timeout", "11"),
    ("expect", "100-continue"),
];

fn settings() -> impl Strategy<Value = Settings> {
    let some = |range| option::weighted(0.6, range);
    (
        (any::<bool>(), any::<bool>(), option::of(1_u64..20), any::<bool>(), option::of(2_u64..25)),
        (option::of(0_u64..6), some(1_u64..7), any::<bool>(), option::of(1_u32..4), option::of(2_u64..8)),
        (option::of(0_u64..7), some(1_u64..15), some(1_u64..15), some(1_u64..12), some(3_u64..40)),
        any::<bool>(),
    )
        .prop_map(|((observed, stall, drains, leaves, age), second, third, any_byte)| {
            let (early, beat, periodic, most, gap) = second;
            let (gate, headers, first_byte, inter_chunk, total) = third;
            Settings {
                observed,
                stall,
                drains,
                leaves,
                age,
                early,
                beat,
                periodic,
                most,
                gap,
                gate,
                headers,
                first_byte,
                inter_chunk,
                total,
                any_byte,
            }
        })
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let gap = || prop_oneof![2 => Just(0), 3 => 1_u64..10];
    (
        (gap(), prop::bool::weighted(0.1), select(TYPES), select(&[200, 200, 200, 204, 500, 404][..])),
        (vec((gap(), select(ITEMS)), 0..8), gap(), select(&["end", "error(x)", "trailers(a:b)", ""][..])),
        (any::<bool>(), select(&["GET", "POST", "HEAD"][..]), vec(select(HEADERS), 0..4), vec(gap(), 0..4)),
    )
        .prop_map(|((thinks, fails, content_type, status), (items, last_gap, last), more)| {
            let (known_length, method, headers, upload) = more;
            Exchange {
                thinks,
                fails,
                content_type,
                status,
                items,
                last: (last_gap, last),
                known_length,
                method,
                headers,
                upload,
            }
        })
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A little more, by what it is for: at a tie the stack ends a stream at once, and layers that know nothing of each other
/// write a beat while an error is held back.
fn s_and(seconds: u64, millis: u64) -> Duration {
    Duration::from_millis(seconds * 1_000 + millis)
}

/// Settings of the layers, once for both.
struct Layers {
    observer: Option<Observer>,
    reports: Arc<Mutex<Vec<String>>>,
    stall: Option<StallLayer>,
    drain: Option<(Drain, DrainLayer)>,
    early: Option<EarlyLayer>,
    heartbeat: Option<HeartbeatLayer>,
    deadlines: DeadlineLayer,
    request_body: Option<RequestBodyTimeoutLayer>,
    gate: Option<Gate>,
    timeouts: TimeoutLayer,
}

impl Layers {
    fn new(settings: &Settings) -> Self {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&reports);
        let sink = move |report: &StreamReport| {
            told.lock().unwrap().push(reported(report));
        };
        let heartbeat = settings.beat.map(|interval| {
            let rhythm = if settings.periodic { Rhythm::Periodic } else { Rhythm::Silence };
            let heartbeat = Heartbeat::every(s(interval)).rhythm(rhythm);
            settings.most.map_or(heartbeat.clone(), |most| heartbeat.most_in_a_row(most))
        });
        let mut limits = Timeouts::new();
        limits = settings.headers.map_or(limits, |limit| limits.headers(s_and(limit, 200)));
        limits = settings.first_byte.map_or(limits, |limit| limits.first_byte(s_and(limit, 200)));
        limits = settings.inter_chunk.map_or(limits, |limit| limits.inter_chunk(s_and(limit, 200)));
        limits = settings.total.map_or(limits, |limit| limits.total(s_and(limit, 200)));
        let progress = if settings.any_byte { Progress::AnyByte } else { Progress::Content };
        let early = settings.early.map(|threshold| {
            let layer = EarlyLayer::after(s_and(threshold, 300));
            heartbeat.clone().map_or(layer.clone(), |heartbeat| layer.heartbeat(heartbeat))
        });
        let drain = settings.drains.or(settings.age).map(|_| {
            let drain = Drain::new().window(Duration::ZERO).deadline(s(9)).retry(Duration::ZERO);
            let what = if settings.leaves { OnDrain::Leave } else { OnDrain::Finish };
            let layer = DrainLayer::new(&drain).on_drain(what).jitter(Duration::ZERO);
            (drain, settings.age.map_or(layer.clone(), |age| layer.max_age(s_and(age, 700))))
        });
        Self {
            observer: settings.observed.then(|| Observer::new().sink(sink)),
            reports,
            stall: settings.stall.then(|| StallLayer::new(s(3_600))),
            drain,
            early,
            heartbeat: heartbeat.map(HeartbeatLayer::new),
            deadlines: DeadlineLayer::new().trust(DeadlineHeader::RequestTimeout),
            request_body: settings.gap.map(|gap| RequestBodyTimeoutLayer::new().gap(s_and(gap, 400))),
            // An answer of its own: the default's `Retry-After` is by chance.
            gate: settings.gate.map(|_| Gate::new(1).max_wait(s(5)).render(|_, _| busy())),
            timeouts: TimeoutLayer::new(limits).progress(progress).retry(Duration::ZERO),
        }
    }

    fn stacked(&self, handler: Erased) -> Option<Erased> {
        let mut asked = Lifeline::plain().timeouts(self.timeouts.clone()).deadlines(self.deadlines.clone());
        asked = self.observer.iter().fold(asked, |asked, observer| asked.observe(observer));
        asked = self.stall.iter().fold(asked, |asked, stall| asked.stall(stall.clone()));
        asked = self.drain.iter().fold(asked, |asked, (_, drain)| asked.drain(drain.clone()));
        asked = self.early.iter().fold(asked, |asked, early| asked.early(early.clone()));
        asked = self.gate.iter().fold(asked, |asked, gate| asked.gate(gate.clone()));
        asked = match &self.heartbeat {
            Some(heartbeat) => asked.heartbeat(heartbeat.clone()),
            None => asked.without_heartbeat(),
        };
        asked = match &self.request_body {
            Some(limits) => asked.request_body(limits.clone()),
            None => asked.without_request_body(),
        };
        Some(erased(asked.build().ok()?.layer(handler)))
    }

    fn nested(&self, handler: Erased) -> Erased {
        let mut service = erased(self.timeouts.layer(handler));
        service = self.gate.iter().fold(service, |inner, gate| erased(GateLayer::new(gate).layer(inner)));
        // Without limits, too: an early head has to know when the upload is asked for.
        let limits = self.request_body.clone().unwrap_or_default();
        service = erased(limits.layer(service));
        service = self.heartbeat.iter().fold(service, |inner, layer| erased(layer.layer(inner)));
        service = erased(self.deadlines.layer(service));
        service = self.early.iter().fold(service, |inner, layer| erased(layer.layer(inner)));
        service = self.drain.iter().fold(service, |inner, (_, layer)| erased(layer.layer(inner)));
        service = self.stall.iter().fold(service, |inner, layer| erased(layer.layer(inner)));
        let observed = |inner, observer| erased(ObserveLayer::new(observer).layer(inner));
        self.observer.iter().fold(service, observed)
    }
}

fn busy() -> Response<Bytes> {
    Response::builder().status(503).body("busy".into()).unwrap()
}

/// A service whose bodies are of any type.
#[derive(Clone)]
struct Erased(AnyService);

impl<B> Service<Request<B>> for Erased
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnyBody>;
    type Error = BoxError;
    type Future = <AnyService as Service<Request<AnyBody>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.0.call(request.map(|body| body.map_err(Into::into).boxed_unsync()))
    }
}

fn erased<S, ResBody>(service: S) -> Erased
where
    S: Service<Request<AnyBody>, Response = Response<ResBody>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    Erased(BoxCloneService::new(service.map_response(|response: Response<ResBody>| {
        response.map(|body| body.map_err(Into::into).boxed_unsync())
    })))
}

fn handler(exchange: &Exchange) -> Erased {
    let Exchange { thinks, fails, content_type, status, .. } = *exchange;
    let (mut line, mut now) = (Vec::new(), 0);
    for (gap, what) in exchange.items.iter().copied().chain([exchange.last]) {
        now += gap;
        if !what.is_empty() {
            line.push(format!("{now}s={what}"));
        }
    }
    if exchange.last.1.starts_with("trailers") {
        line.push(format!("{now}s=end"));
    }
    let line = line.join(" ");
    let known = exchange.known_length && exchange.last.1 == "end";
    erased(service_fn(move |request: Request<AnyBody>| {
        let line = line.clone();
        async move {
            // What becomes of the upload is the handler's affair, and may be an error.
            request.into_body().collect().await?;
            sleep(s(thinks)).await;
            if fails {
                return Err(BoxError::from("the service fails"));
            }
            let head = Response::builder().status(status);
            let head = if content_type.is_empty() { head } else { head.header("content-type", content_type) };
            let body = if known { script(&line).knows_length() } else { script(&line) };
            Ok(head.body(body)?)
        }
    }))
}

/// One exchange, with everything that a client and an observer see of it.
async fn drawn(layers: Layers, settings: &Settings, exchange: &Exchange, service: Erased) -> String {
    let began = Instant::now();
    if let (Some(gate), Some(busy)) = (&layers.gate, settings.gate) {
        let other = service_fn(move |_: Request<_>| async move {
            sleep(s(busy)).await;
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        });
        let mut other = GateLayer::new(gate).layer(other);
        tokio::spawn(other.call(Request::new(Full::<Bytes>::default())));
        tokio::task::yield_now().await;
    }
    if let (Some((drain, _)), Some(at)) = (layers.drain.clone(), settings.drains) {
        tokio::spawn(async move {
            sleep(s_and(at, 500)).await;
            drain.begin();
        });
    }
    let (mut upload, mut now) = (Vec::new(), 0);
    for gap in &exchange.upload {
        now += gap;
        upload.push(format!("{now}s='0123456789'"));
    }
    let upload = script(&format!("{} {now}s=end", upload.join(" ")));
    let upload = upload.map_err(BoxError::from).boxed_unsync();
    let mut request = Request::builder().method(exchange.method).uri("/x");
    for (name, value) in &exchange.headers {
        request = request.header(*name, *value);
    }
    let answer = service.oneshot(request.body(upload).unwrap()).await;
    let answered = rounded(began.elapsed());
    let drawing = match answer {
        Err(error) => format!("{answered} error {error}"),
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            let length = (body.size_hint().exact(), body.is_end_stream());
            let line = timeline_for(body, s(90)).await;
            let line: Vec<_> = line.split(' ').map(rounded_item).collect();
            format!("{answered} {} {} {length:?}\n{}", head.status, fields(&head.headers), line.join(" "))
        }
    };
    let reports = layers.reports.lock().unwrap().join("\n");
    format!("{drawing}\n{reports}")
}

/// Errors are held back by each of several shells, or by one.
fn rounded(time: Duration) -> String {
    format!("{:.1}s", (time.as_secs_f64() * 10.0).floor() / 10.0)
}

/// Whether one ends where the other does something else in the same moment. The end wins in one shell. A layer outside of
/// the one that ends the stream beats first; and while an error is held back for 5 ms, it may even end the stream for a
/// reason of its own. What came before is the same.
fn is_a_tie(stacked: &str, nested: &str) -> bool {
    let items = |drawn: &str| -> Vec<(String, String)> {
        let line = drawn.lines().nth(1).unwrap_or_default();
        let item = |item: &str| item.split_once('=').map(|(at, what)| (at.to_owned(), what.to_owned()));
        line.split(' ').filter_map(item).collect()
    };
    let (stacked, nested) = (items(stacked), items(nested));
    let (Some((end, last)), Some((nested_end, _))) = (stacked.last(), nested.last()) else {
        return false;
    };
    let told = |items: &[(String, String)], at_the_end: bool| -> Vec<(String, String)> {
        let told = |(at, what): &&(String, String)| (at == end) == at_the_end && (!at_the_end || what != ":");
        items.iter().filter(told).cloned().collect()
    };
    end == nested_end
        && told(&stacked, false) == told(&nested, false)
        && (told(&stacked, true) == told(&nested, true) || last.starts_with("error("))
}

fn rounded_item(item: &str) -> String {
    let Some((at, what)) = item.split_once('=') else {
        return item.to_owned();
    };
    let seconds = match (at.strip_suffix("ms"), at.strip_suffix('s')) {
        (Some(ms), _) => ms.parse::<f64>().map(|ms| ms / 1_000.0),
        (None, Some(s)) => s.parse(),
        (None, None) => return item.to_owned(),
    };
    match seconds {
        Ok(seconds) => format!("{}={what}", rounded(Duration::from_secs_f64(seconds))),
        Err(_) => item.to_owned(),
    }
}

fn reported(report: &StreamReport) -> String {
    let StreamReport { status, cause, when, bytes, frames, events, beats, interval, dialect, .. } = report;
    let first = |time: Option<Duration>| time.map(rounded);
    let times = [report.age, report.silence, report.largest_gap, report.queued].map(rounded);
    let firsts = [report.headers, report.late_headers, report.first_byte, report.first_content].map(first);
    format!(
        "{cause:?} {when:?} {status:?} {dialect:?} {frames} frames, {bytes} bytes, {events} events, {beats:?}, \
         {interval:?}, {times:?} {firsts:?}"
    )
}

fn fields(headers: &HeaderMap) -> String {
    let mut fields: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    fields.sort();
    fields.join(", ")
}

fn alone(exchange: impl Future<Output = String>) -> String {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(exchange)
}

#[test]
fn the_stack_draws_what_its_layers_draw_when_they_are_nested_by_hand() {
    let config = ProptestConfig {
        failure_persistence: None,
        cases: 3_000,
        max_global_rejects: 30_000,
        ..ProptestConfig::default()
    };
    let (mut ties, mut kinds) = (0, HashMap::<String, usize>::new());
    let cases = Mutex::new((&mut ties, &mut kinds));
    let law = |(settings, mut exchange): (Settings, Exchange)| {
        if settings.any_byte {
            // A BOM that a beat has made impossible is dropped, and in one shell no byte for anybody.
            exchange.items.retain(|(_, what)| !what.contains(r"\xEF"));
        }
        let layers = Layers::new(&settings);
        let Some(stacked) = layers.stacked(handler(&exchange)) else {
            return Err(TestCaseError::reject("it contradicts itself"));
        };
        let stacked = alone(drawn(layers, &settings, &exchange, stacked));
        let layers = Layers::new(&settings);
        let nested = layers.nested(handler(&exchange));
        let nested = alone(drawn(layers, &settings, &exchange, nested));
        let mut cases = cases.lock().unwrap();
        if stacked != nested && is_a_tie(&stacked, &nested) {
            *cases.0 += 1;
            return Ok(());
        }
        prop_assert_eq!(&stacked, &nested);
        let last = nested.lines().nth(1).and_then(|line| line.split('=').next_back()).unwrap_or("none");
        *cases.1.entry(last.chars().take(12).collect()).or_default() += 1;
        Ok(())
    };
    if let Err(error) = TestRunner::new(config).run(&(settings(), exchange()), law) {
        panic!("{error}");
    }
    let same: usize = kinds.values().sum();
    println!("{same} exchanges were the same, which ended so: {kinds:?}; {ties} ended otherwise at a tie");
    assert!(ties * 10 < same, "{ties} of {same}");
}
