//! Where reports go: metrics and events, and the warnings beside them.

use std::convert::Infallible;
use std::fmt::{Debug, Write as _};
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_lifeline::observe::metrics::{BUCKETS, MetricsSink};
use tower_lifeline::observe::{ObserveLayer, Observer, TracingSink};
use tower_lifeline::testing::{script, timeline};
use tower_lifeline::{Gate, GateLayer, Heartbeat, HeartbeatBody, HeartbeatLayer, TimeoutLayer, Timeouts};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::support::streams::{EVENTS, secs};

/// What a subscriber hears, a line for each event, with the span it is in.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if ["message", "reason", "code", "kept_back"].contains(&field.name()) {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0.lock().unwrap().push(format!("new {}", attributes.metadata().name()));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let span = context.event_span(event).map_or("-", |span| span.name());
        let mut line = format!("{} {span}", event.metadata().level());
        event.record(&mut Fields(&mut line));
        self.0.lock().unwrap().push(line);
    }

    fn on_close(&self, _: Id, _: Context<'_, S>) {
        self.0.lock().unwrap().push("closed".to_owned());
    }
}

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn one_span_a_stream_and_one_event_at_its_end() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let layer = ObserveLayer::new(&Observer::new().sink(TracingSink::new()));
    let lives = async |stream: &'static str| {
        let service = layer.layer(service_fn(async move |_: Request<()>| {
            tracing::info!("in the handler");
            Ok::<_, Infallible>(Response::builder().header(EVENTS.0, EVENTS.1).body(script(stream)).unwrap())
        }));
        let body = service.oneshot(Request::new(())).await.unwrap().into_body();
        let _ = timeout(secs(60), body.collect()).await;
        lines.take()
    };
    for (stream, level, code) in
        [("0s=a 1s=end", "DEBUG", "--"), ("0s=a", "INFO", "CS"), ("0s=a 1s=error(broken)", "ERROR", "SS")]
    {
        let expected = [
            "new stream".to_owned(),
            "INFO stream message=in the handler".to_owned(),
            format!("{level} stream message=stream ended code={code:?}"),
            "closed".to_owned(),
        ];
        assert_eq!(lives(stream).await, expected, "{stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cuts_streams_is_a_warning() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let layer = ObserveLayer::new(&Observer::new().sink(TracingSink::new()));
    let service = layer.layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(
            Response::builder().header(EVENTS.0, EVENTS.1).body(script("0s=a")).unwrap(),
        ))
    }));
    for stream in 0..30 {
        sleep(secs(stream)).await;
        let body = service.clone().oneshot(Request::new(())).await.unwrap().into_body();
        let _ = timeout(secs(30), body.collect()).await;
    }
    let warnings: Vec<_> = lines.take().into_iter().filter(|line| line.starts_with("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("idle timer: let heartbeats come at least every 15.0 s"), "{warnings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_missed_heartbeat_is_a_warning_that_says_why() {
    let lines = Lines::default();
    let _listening = lines.listen();
    // Held in the middle of an event.
    let held = HeartbeatBody::new(script("0s='data: a' 40s='\\n\\n' 41s=end"), Heartbeat::default());
    timeline(held).await;
    assert_eq!(lines.take().len(), 1);

    let layer = HeartbeatLayer::every(secs(15));
    let streams = (0..20).map(|_| {
        let stream = script("0s='data: a' 20s='\\n\\n' 21s=end");
        let response = Response::builder().header(EVENTS.0, EVENTS.1).body(stream).unwrap();
        let mut service =
            layer.layer(service_fn(move |_: Request<()>| ready(Ok::<_, Infallible>(response.clone_like()))));
        async move { timeline(service.call(Request::new(())).await.unwrap().into_body()).await }
    });
    futures_util::future::join_all(streams).await;
    let reason = "the producer stopped in the middle of an event";
    let warning = format!("WARN - message=missed a heartbeat: {reason} reason={reason:?} kept_back=0");
    assert_eq!(lines.take(), vec![warning; 5], "of twenty at once five are let through");
}

/// Scripts cannot be cloned, and a service is called by reference.
trait CloneLike {
    fn clone_like(&self) -> Self;
}

impl CloneLike for Response<tower_lifeline::testing::Script> {
    fn clone_like(&self) -> Self {
        Response::builder()
            .header(EVENTS.0, EVENTS.1)
            .body(script("0s='data: a' 20s='\\n\\n' 21s=end"))
            .unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_what_became_of_streams() {
    let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS).unwrap().build_recorder();
    let scrape = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let gate = Gate::new(1).queue(0);
    let metrics = MetricsSink::new().gate("only", &gate);
    let observer = Observer::new().route(|request| request.uri.path().into()).sink(metrics.clone());
    let service = ServiceBuilder::new()
        .layer(ObserveLayer::new(&observer))
        .layer(HeartbeatLayer::every(secs(15)))
        .layer(GateLayer::new(&gate))
        .layer(TimeoutLayer::new(Timeouts::new().inter_chunk(secs(100))))
        .service(service_fn(|request: Request<_>| {
            let stream = if request.uri().path() == "/short" { "1s=a 2s=end" } else { "2s=a" };
            let response = Response::builder().header(EVENTS.0, EVENTS.1).body(script(stream)).unwrap();
            ready(Ok::<_, Infallible>(response))
        }));
    let call = |path: &str| {
        let request = Request::get(path).header("last-event-id", "7").body(Full::default()).unwrap();
        service.clone().oneshot(request)
    };
    let short = call("/short").await.unwrap();
    let in_flight = "lifeline_gate_in_flight{gate=\"only\"} 1";
    assert!(!scrape.render().contains(in_flight), "nobody has looked since the stream was let in");
    metrics.update();
    assert!(scrape.render().contains(in_flight));
    let refused = call("/long").await.unwrap();
    let now = scrape.render();
    for line in ["lifeline_streams_open{route=\"/short\"} 1", "lifeline_gate_in_flight{gate=\"only\"} 1"] {
        assert!(now.contains(line), "{line} in\n{now}");
    }
    drop(refused);
    drop(short.into_body().collect().await);
    let long = call("/long").await.unwrap();
    drop(long.into_body().collect().await);
    let left = call("/long").await.unwrap();
    let _ = timeout(secs(60), left.into_body().collect()).await;

    let text = scrape.render();
    for line in [
        r#"lifeline_streams_open{route="/long"} 0"#,
        r#"lifeline_streams_ended_total{route="/short",cause="finished",by="-",when="streaming"} 1"#,
        r#"lifeline_streams_ended_total{route="/long",cause="shed",by="gate",when="queue"} 1"#,
        r#"lifeline_streams_ended_total{route="/long",cause="timed_out",by="timer",when="streaming"} 1"#,
        r#"lifeline_streams_ended_total{route="/long",cause="abandoned",by="client",when="streaming"} 1"#,
        r#"lifeline_refusals_total{route="/long",reason="queue_full"} 1"#,
        r#"lifeline_timeouts_total{route="/long",phase="inter-chunk"} 1"#,
        r#"lifeline_streams_resumed_total{route="/long"} 3"#,
        // Six in the stream that timed out, three in the one that was left.
        r#"lifeline_beats_total{class="all",what="sent"} 9"#,
        r#"lifeline_stream_age_seconds_bucket{class="all",by="client",le="60.5"} 1"#,
        r#"lifeline_first_byte_seconds_bucket{route="/short",le="1"} 1"#,
        r#"lifeline_largest_gap_seconds_count{route="/long"} 3"#,
        r#"lifeline_stream_silence_seconds_sum{class="all",by="client"} 13"#,
        r#"lifeline_gate_limit{gate="only"} 1"#,
        r#"lifeline_gate_queued{gate="only"} 0"#,
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(text.contains("# HELP lifeline_streams_open Streams that are open."), "{text}");
}

#[tokio::test(start_paused = true)]
async fn however_many_routes_and_classes_there_are_few_series() {
    let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS).unwrap().build_recorder();
    let scrape = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let observer = Observer::new()
        .route(|request| request.uri.path().into())
        .path_class(|request| request.uri.path().into())
        .sink(MetricsSink::new());
    let service = ObserveLayer::new(&observer).layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::default())))
    }));
    for number in 0..2_000 {
        let request = Request::get(format!("/{number}")).body(()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
    }
    let series = scrape.render().lines().filter(|line| line.starts_with("lifeline_streams_ended")).count();
    assert_eq!(series, 257, "256 names, and `others`");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_why_no_beat_was_written() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&told);
    let heartbeat =
        Heartbeat::default().on_event(move |event| writer.lock().unwrap().push(format!("{event:?}")));
    let mut body = HeartbeatBody::new(script("0s=a 1s=b 200s=c 201s=end"), heartbeat);
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
    }
    // hyper has taken `b` and asks for nothing while it cannot write.
    sleep(secs(90)).await;
    let beat = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(beat, ":\n");
    // The gap began with the wait before `b`, so there are two: 91 s in all, 45 and a half at the least.
    assert_eq!(*told.lock().unwrap(), ["Unread { silent: 45.5s }"]);
    drop(body);
    assert!(told.lock().unwrap()[1].contains("late: 0, unread: 1"), "{told:?}");
    sleep(Duration::ZERO).await;
}
