//! Each cause that needs no drain, on sockets.

use super::*;
use axum::error_handling::HandleError;
use tower_lifeline::DeadlineLayer;

/// What the client does: reads to the end, or leaves when it has seen this, or after a while.
#[derive(Clone, Copy)]
enum Acts {
    Reads,
    Leaves(&'static str),
    LeavesBeforeTheHead,
    /// A POST whose body stops, or one whose body never ends.
    StopsSending,
    GoesOnSending,
}

/// Which number of the report is at least the limit.
type Lasts = fn(&StreamReport) -> Duration;

const AGE: Lasts = |report| report.age;
const SILENCE: Lasts = |report| report.silence;
const QUEUED: Lasts = |report| report.queued;
const LATE: Lasts = |report| report.late_headers.unwrap_or_default();
/// None of them is asked for.
const NONE: Lasts = |_| LIMIT;

use Acts::*;

type Row = (&'static str, Acts, &'static str, Lasts);

const ROWS: &[Row] = &[
    ("/whole", Reads, "-- 200 finished, 2 events", NONE),
    ("/announced", Reads, "-- 200 finished, 2 events", NONE),
    ("/never", LeavesBeforeTheHead, "CH - abandoned, 0 events", AGE),
    ("/mute", Leaves(""), "CB 200 abandoned, 0 events", SILENCE),
    ("/silent", Leaves("data: a"), "CS 200 abandoned, 1 events", NONE),
    ("/failing/at-once", Reads, "SB 200 failed, 0 events", NONE),
    ("/failing", Reads, "SS 200 failed, 1 events", NONE),
    ("/error", Reads, "SH - failed, 0 events", NONE),
    ("/gateway", Reads, "UH 502 upstream failed, 0 events", NONE),
    ("/relayed/at-once", Reads, "UB 200 upstream failed, 0 events", NONE),
    ("/relayed", Reads, "US 200 upstream failed, 1 events", NONE),
    ("/panic", Reads, "SH - panicked, 0 events", NONE),
    ("/panic/later", Reads, "SS 200 panicked, 1 events", SILENCE),
    ("/limited/never", Reads, "TH 504 timed out (headers), 0 events", AGE),
    ("/limited/mute", Reads, "TB 200 timed out (first byte), 1 events", AGE),
    ("/limited/silent", Reads, "TS 200 timed out (inter-chunk), 2 events", AGE),
    ("/total/never", Reads, "TH 504 timed out (total), 0 events", AGE),
    ("/total/mute", Reads, "TB 200 timed out (total), 1 events", AGE),
    ("/total/silent", Reads, "TS 200 timed out (total), 2 events", AGE),
    ("/deadline/never", Reads, "TH 504 timed out (deadline), 0 events", AGE),
    ("/deadline/mute", Reads, "TB 200 timed out (deadline), 1 events", AGE),
    ("/deadline/silent", Reads, "TS 200 timed out (deadline), 2 events", AGE),
    ("/upload/gap", StopsSending, "TH 408 timed out (request gap), 0 events", AGE),
    ("/upload/total", GoesOnSending, "TH 408 timed out (request total), 0 events", AGE),
    ("/gate/closed", Reads, "GQ 503 shed (closed), 0 events", NONE),
    ("/gate/full", Reads, "GQ 503 shed (queue_full), 0 events", NONE),
    ("/gate/key", Reads, "GQ 429 shed (key_over_cap), 0 events", NONE),
    ("/gate/wait", Reads, "GQ 503 shed (queue_timeout), 0 events", QUEUED),
    ("/gate/deadline", Reads, "GQ 503 shed (deadline_too_short), 0 events", NONE),
    ("/gate/left", LeavesBeforeTheHead, "CQ - abandoned, 0 events", QUEUED),
    ("/gate/limited", Reads, "TQ 504 timed out (headers), 0 events", QUEUED),
    // Behind an early head. What is reported is how it ended, not that it began well.
    ("/early/whole", Reads, "-- 200 late 200 finished, 2 events", LATE),
    ("/early/refused", Reads, "-- 200 late 500 finished, 1 events", LATE),
    ("/early/never", Leaves(""), "CB 200 abandoned, 0 events", AGE),
    ("/early/broken", Reads, "SS 200 late 200 failed, 1 events", LATE),
    ("/early/failing", Reads, "SS 200 late 200 failed, 1 events", LATE),
    ("/early/error", Reads, "SS 200 failed, 1 events", LATE),
    ("/early/panic", Reads, "SB 200 panicked, 0 events", AGE),
    ("/early/gateway", Reads, "US 200 late 502 upstream failed, 1 events", LATE),
    ("/early/limited", Reads, "TB 200 late 504 timed out (headers), 1 events", LATE),
    ("/early/wait", Reads, "GQ 200 late 503 shed (queue_timeout), 1 events", QUEUED),
    ("/early/left", Leaves(""), "CQ 200 abandoned, 0 events", QUEUED),
];

async fn whole() -> Response {
    events(stream::iter([Ok("data: a\n\n"), Ok("data: b\n\n")]))
}

/// hyper stops when as many bytes have gone out as were announced, and never asks for the end.
async fn announced() -> Response {
    let mut response = whole().await;
    response.headers_mut().insert(CONTENT_LENGTH, 18.into());
    response
}

async fn failing() -> Response {
    events(stream::iter([Ok("data: a\n\n"), broken()]))
}

async fn failing_at_once() -> Response {
    events(stream::iter([broken()]))
}

async fn gateway() -> Response {
    (StatusCode::BAD_GATEWAY, Extension(Upstream::Failed), "no answer").into_response()
}

async fn panics() -> Response {
    panic!("on purpose")
}

async fn panics_later() -> Response {
    let later = stream::once(async {
        sleep(LIMIT).await;
        panic!("on purpose")
    });
    events(stream::once(async { Ok("data: a\n\n") }).chain(later))
}

fn limited(at: &str, limits: Timeouts) -> Router {
    let path = |name: &str| format!("{at}/{name}");
    Router::new()
        .route(&path("never"), get(never))
        .route(&path("mute"), get(mute))
        .route(&path("silent"), get(silent))
        .layer(TimeoutLayer::new(limits))
}

fn uploads(at: &str, limits: RequestBodyTimeoutLayer) -> Router {
    let upload = async |request: Request| {
        let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
    };
    Router::new().route(at, axum::routing::post(upload)).layer(limits)
}

/// Behind a gate whose permits are all taken. What has them comes back too.
async fn gated(at: &str, gate: Gate) -> (Router, impl Debug + use<>) {
    let layer = GateLayer::new(&gate);
    let holds = layer.layer(service_fn(|_: Request<_>| async { Ok::<_, Infallible>(silent().await) }));
    let holds = holds.oneshot(Request::new(Body::empty())).await;
    (Router::new().route(at, get(silent)).layer(layer), holds)
}

async fn gates() -> (Router, impl Debug + use<>) {
    let closed = Gate::new(1);
    let (shut, shut_holds) = gated("/gate/closed", closed.clone()).await;
    closed.close();
    let (full, full_holds) = gated("/gate/full", Gate::new(1).queue(0)).await;
    let (key, key_holds) = gated("/gate/key", Gate::new(9).per_key(1, |_| Some("all"))).await;
    let (wait, wait_holds) = gated("/gate/wait", Gate::new(1).max_wait(LIMIT)).await;
    let (deadline, deadline_holds) = gated("/gate/deadline", Gate::new(1)).await;
    let (left, left_holds) = gated("/gate/left", Gate::new(1)).await;
    let (outside, outside_holds) = gated("/gate/limited", Gate::new(1)).await;
    let app = shut
        .merge(full)
        .merge(key)
        .merge(wait)
        .merge(deadline.layer(DeadlineLayer::new().default(LIMIT)))
        .merge(left)
        .merge(outside.layer(TimeoutLayer::new(Timeouts::new().headers(LIMIT))));
    (app, [shut_holds, full_holds, key_holds, wait_holds, deadline_holds, left_holds, outside_holds])
}

/// Answers like the others, but after the head has gone out.
async fn early() -> (Router, impl Debug + use<>) {
    let thinks = || sleep(LIMIT);
    let json = [(CONTENT_TYPE, "application/json")];
    let (wait, wait_holds) = gated("/early/wait", Gate::new(1).max_wait(LIMIT)).await;
    let (left, left_holds) = gated("/early/left", Gate::new(1)).await;
    let limited = Router::new()
        .route("/early/limited", get(never))
        .layer(TimeoutLayer::new(Timeouts::new().headers(LIMIT)));
    let app = Router::new()
        .route("/early/never", get(never))
        .route("/early/whole", get(async move || (thinks().await, whole().await).1))
        .route("/early/refused", get(async move || (thinks().await, StatusCode::INTERNAL_SERVER_ERROR).1))
        .route(
            "/early/broken",
            get(async move || {
                thinks().await;
                (json, Body::from_stream(stream::iter([Ok("{"), broken()])))
            }),
        )
        .route("/early/failing", get(async move || (thinks().await, failing().await).1))
        .route("/early/panic", get(async move || (thinks().await, panics().await).1))
        .route("/early/gateway", get(async move || (thinks().await, gateway().await).1))
        .merge(wait)
        .merge(left)
        .merge(limited)
        .layer(early_layer());
    (app, [wait_holds, left_holds])
}

fn early_layer() -> EarlyLayer {
    EarlyLayer::after(LIMIT / 4).when(|_| true)
}

/// Services that fail, which handlers of axum cannot.
fn errors(observer: &Observer) -> Router {
    let fails = |after: Duration| {
        service_fn(move |_: Request| {
            Box::pin(async move {
                sleep(after).await;
                Err::<Response, _>(std::io::Error::other("no"))
            })
        })
    };
    let status = |_: std::io::Error| async { StatusCode::BAD_GATEWAY };
    let observe = ObserveLayer::new(observer);
    let early = observe.layer(early_layer().layer(fails(LIMIT)));
    Router::new()
        .route_service("/error", HandleError::new(observe.layer(fails(Duration::ZERO)), status))
        .route_service("/early/error", HandleError::new(early, status))
}

async fn app(observer: &Observer) -> (Router, impl Debug + use<>) {
    let limits = Timeouts::new().headers(LIMIT).first_byte(LIMIT).inter_chunk(LIMIT);
    let (gates, gates_hold) = gates().await;
    let (early, early_hold) = early().await;
    let app = Router::new()
        .route("/whole", get(whole))
        .route("/announced", get(announced))
        .route("/never", get(never))
        .route("/mute", get(mute))
        .route("/silent", get(silent))
        .route("/failing/at-once", get(failing_at_once))
        .route("/failing", get(failing))
        .route("/gateway", get(gateway))
        .route("/relayed/at-once", get(async || (Extension(Upstream::Relayed), failing_at_once().await)))
        .route("/relayed", get(async || (Extension(Upstream::Relayed), failing().await)))
        .route("/panic", get(panics))
        .route("/panic/later", get(panics_later))
        .merge(limited("/limited", limits))
        .merge(limited("/total", Timeouts::new().total(LIMIT)))
        .merge(limited("/deadline", Timeouts::new()).layer(DeadlineLayer::new().default(LIMIT * 2)))
        .merge(uploads("/upload/gap", RequestBodyTimeoutLayer::new().gap(LIMIT)))
        .merge(uploads("/upload/total", RequestBodyTimeoutLayer::new().total(LIMIT)))
        .merge(gates)
        .merge(early)
        .layer(ObserveLayer::new(observer))
        .merge(errors(observer));
    (app, (gates_hold, early_hold))
}

async fn half() -> Result<Bytes, Infallible> {
    sleep(LIMIT / 10).await;
    Ok(Bytes::from_static(b"half"))
}

/// How many bytes of a response the client has read, if it has read all that there are.
async fn exchange(at: SocketAddr, version: Version, method: Method, path: &str, acts: Acts) -> Option<usize> {
    // A connection for each, for to leave over HTTP/1 is to close it.
    let mut connection = Client::connect(at, version).await;
    let body = match acts {
        StopsSending => Body::from_stream(stream::once(half()).chain(stream::pending())),
        GoesOnSending => Body::from_stream(stream::repeat(()).then(|()| half())),
        _ => Body::empty(),
    };
    let request = Request::builder().method(method).uri(path).body(body).expect("a request");
    match acts {
        LeavesBeforeTheHead => {
            let answer = timeout(LIMIT + LIMIT / 4, connection.send(request)).await;
            assert!(answer.is_err(), "there is no head");
            None
        }
        Leaves(text) => {
            let mut reading = Reading::new(connection.send(request).await.expect("a head"));
            if text.is_empty() {
                let _ = timeout(LIMIT + LIMIT / 4, reading.to_end()).await;
            } else {
                assert!(reading.until_has(text).await);
            }
            None
        }
        Reads | StopsSending | GoesOnSending => {
            let mut reading = Reading::new(connection.send(request).await.ok()?);
            reading.to_end().await;
            Some(reading.bytes.len())
        }
    }
}

/// All rows over one version, one after the other. What is otherwise than it should be.
async fn wrong(version: Version) -> Vec<String> {
    let (observer, mut reports) = observed();
    let (app, _holds) = app(&observer).await;
    let server = Server::start(app).await;
    let mut wrong = Vec::new();
    for (path, acts, expected, lasts) in ROWS {
        let method = if path.starts_with("/upload") { Method::POST } else { Method::GET };
        let read = in_time(exchange(server.at, version, method, path, *acts)).await;
        let report = in_time(reports.recv()).await.expect("a report");
        agrees_with_itself(&report, read);
        let seen = short(&report);
        if (&*report.opening.route, &*seen) != (path, expected) || lasts(&report) < LIMIT {
            wrong.push(format!("{version:?} {path}: expected {expected}, got {seen}, {report:?}"));
        }
    }
    // HEAD is finished with its head, whatever the handler had to say.
    in_time(exchange(server.at, version, Method::HEAD, "/silent", Reads)).await;
    let report = in_time(reports.recv()).await.expect("a report");
    assert_eq!(short(&report), "-- 200 finished, 0 events", "{version:?}");
    assert!(reports.try_recv().is_err(), "one report a stream");
    wrong
}

#[tokio::test]
async fn each_cause_is_produced_and_reported_right() {
    let (old, new) = tokio::join!(wrong(Version::HTTP_11), wrong(Version::HTTP_2));
    let wrong = [old, new].concat();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 2 * ROWS.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_client_that_stops_reading_is_reported() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (observer, mut reports) = observed();
        let flood = async || {
            let chunk = Bytes::from_static(&[b'.'; 16 * 1024]);
            Body::from_stream(stream::repeat(chunk).map(Ok::<_, Infallible>))
        };
        let limit = Duration::from_millis(300);
        let app = Router::new()
            .route("/flood", get(flood))
            .layer(StallLayer::new(limit))
            .layer(ObserveLayer::new(&observer));
        let server = Server::start(app).await;
        let mut guest = Guest::send(server.at, version, "/flood", Upload::Nothing, Leaving::Rst).await;
        assert_eq!(in_time(guest.read_a_little()).await, 200);
        // Longer than the limit, and whatever the kernel takes in the meantime.
        sleep(Duration::from_secs(2)).await;
        guest.leave().await;
        let report = in_time(reports.recv()).await.expect("a report");
        agrees_with_itself(&report, None);
        assert_eq!(short(&report), "TS 200 stalled, 0 events", "{version:?}");
        assert!(report.stalled >= limit, "{version:?} {report:?}");
    }
}
