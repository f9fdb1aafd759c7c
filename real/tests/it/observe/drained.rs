//! What is reported when a server drains, and when streams are old.

use super::*;

/// When the drain begins.
#[derive(Clone, Copy)]
enum Begins {
    /// When the head has come, and this.
    Behind(&'static str),
    /// When the request has come, and no head.
    BeforeTheHead,
    /// Before the request has.
    Before,
}

use Begins::*;

type Row = (&'static str, Duration, Begins, &'static str);

/// As long as nothing here takes.
const LONG: Duration = Duration::from_secs(30);

/// With the deadline of the drain.
const ROWS: &[Row] = &[
    ("/silent", LONG, Behind("data: a"), "DS 200 drained, 2 events"),
    ("/mute", LONG, Behind(""), "DB 200 drained, 1 events"),
    ("/late", LONG, Before, "DH 503 drained, 0 events"),
    ("/finishes", LIMIT, Behind("data: a"), "DS 200 drained, 2 events"),
    ("/never", LIMIT, BeforeTheHead, "DH 503 cut by drain, 0 events"),
    ("/queue", LIMIT, BeforeTheHead, "DQ 503 cut by drain, 0 events"),
    ("/bytes/mute", LIMIT, Behind(""), "DB 200 cut by drain, 0 events"),
    ("/bytes", LIMIT, Behind("bytes"), "DS 200 cut by drain, 0 events"),
    ("/half", LIMIT, Behind("data: b"), "DS 200 cut by drain, 0 events"),
];

async fn app(drain: &Drain, observer: &Observer) -> (Router, impl Debug + use<>) {
    let gate = GateLayer::new(&Gate::new(1));
    let holds = gate.layer(service_fn(|_: Request<_>| async { Ok::<_, Infallible>(silent().await) }));
    let holds = holds.oneshot(Request::new(Body::empty())).await;
    let bytes = |first: Option<Piece>| Body::from_stream(stream::iter(first).chain(stream::pending()));
    let app = Router::new()
        .route("/queue", get(silent))
        .layer(gate)
        .route("/silent", get(silent))
        .route("/late", get(silent))
        .route("/mute", get(mute))
        .route("/finishes", get(async || (Extension(OnDrain::Finish), silent().await)))
        .route("/never", get(never))
        .route("/bytes/mute", get(async move || bytes(None)))
        .route("/bytes", get(async move || bytes(Some(Ok("bytes")))))
        .route("/half", get(async || begins("data: a\n\ndata: b")))
        .layer(DrainLayer::new(drain))
        .layer(ObserveLayer::new(observer));
    (app, holds)
}

async fn request(client: &mut Client, path: &str) -> Reading {
    Reading::new(client.get(path).await)
}

/// What is otherwise than it should be.
async fn wrong(version: Version, (path, deadline, begins, expected): Row) -> Option<String> {
    let (observer, mut reports) = observed();
    let drain = Drain::new().window(Duration::ZERO).deadline(deadline);
    let (app, _holds) = app(&drain, &observer).await;
    let server = Server::start(app).await;
    let mut client = Client::connect(server.at, version).await;
    let mut reading = match begins {
        Behind(text) => {
            let mut reading = request(&mut client, path).await;
            assert!(text.is_empty() || reading.until_has(text).await);
            drain.begin();
            reading
        }
        BeforeTheHead => {
            let comes = async {
                while drain.report().present == 0 {
                    sleep(Duration::from_millis(5)).await;
                }
                drain.begin();
            };
            tokio::join!(request(&mut client, path), comes).0
        }
        Before => {
            drain.begin();
            request(&mut client, path).await
        }
    };
    reading.to_end().await;
    let report = reports.recv().await.expect("a report");
    agrees_with_itself(&report, Some(reading.bytes.len()));
    let early = deadline == LIMIT && report.age < LIMIT;
    let waited = if path == "/queue" { report.age } else { Duration::ZERO };
    let queued = report.queued <= waited && report.queued >= waited.min(LIMIT);
    let seen = short(&report);
    let right = seen == expected && queued && !early;
    (!right).then(|| format!("{version:?} {path}: expected {expected}, got {seen}, {report:?}"))
}

#[tokio::test]
async fn each_way_to_be_drained_is_reported() {
    let mut all_wrong = Vec::new();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for row in ROWS {
            all_wrong.extend(in_time(wrong(version, *row)).await);
        }
    }
    assert!(all_wrong.is_empty(), "{} of {}:\n{}", all_wrong.len(), 2 * ROWS.len(), all_wrong.join("\n"));
}

/// hyper never asks a body whose client does not read, so that one goes when its connection does.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_by_the_drain() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (observer, mut reports) = observed();
        let drain = Drain::new().window(Duration::ZERO).deadline(LIMIT);
        let flood = async || {
            let chunk = Bytes::from_static(&[b'.'; 16 * 1024]);
            Body::from_stream(stream::repeat(chunk).map(Ok::<_, Infallible>))
        };
        let app = Router::new()
            .route("/flood", get(flood))
            .layer(DrainLayer::new(&drain))
            .layer(ObserveLayer::new(&observer));
        let server = Server::start(app).await;
        let mut guest = Guest::send(server.at, version, "/flood", Upload::Nothing, Leaving::Rst).await;
        assert_eq!(in_time(guest.read_a_little()).await, 200);
        // As long as the kernel takes anything.
        sleep(Duration::from_secs(1)).await;
        drain.begin();
        sleep(LIMIT * 2).await;
        assert!(reports.try_recv().is_err(), "{version:?}: nobody has asked for more");
        guest.leave().await;
        let report = in_time(reports.recv()).await.expect("a report");
        agrees_with_itself(&report, None);
        assert_eq!(short(&report), "DS 200 cut by drain, 0 events", "{version:?}");
    }
}

#[tokio::test]
async fn an_old_stream_is_reported() {
    let age = Duration::from_secs(1);
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (observer, mut reports) = observed();
        let layer = DrainLayer::new(&Drain::new()).max_age(age).jitter(Duration::ZERO);
        // It may go once the event that it is in the middle of has ended.
        let half = async || {
            let rest = stream::once(async {
                sleep(Duration::from_millis(1_500)).await;
                Ok("data: c\n\n")
            });
            events(stream::iter([Ok("data: a\n\ndata: b\n")]).chain(rest).chain(stream::pending()))
        };
        let app = Router::new()
            .route("/silent", get(silent))
            .route("/mute", get(mute))
            .route("/half", get(half))
            .layer(layer)
            .layer(ObserveLayer::new(&observer));
        let server = Server::start(app).await;
        for (path, expected, silence) in [
            ("/silent", "DS 200 aged, 2 events", age),
            ("/mute", "DB 200 aged, 1 events", age),
            ("/half", "DS 200 aged, 2 events", Duration::ZERO),
        ] {
            let mut client = Client::connect(server.at, version).await;
            let mut reading = in_time(request(&mut client, path)).await;
            in_time(reading.to_end()).await;
            let report = in_time(reports.recv()).await.expect("a report");
            agrees_with_itself(&report, Some(reading.bytes.len()));
            assert_eq!(short(&report), expected, "{version:?} {path}: {report:?}");
            // It is as old as its request, and silent from the first time that somebody waits for it.
            assert!(report.age >= age && report.largest_gap >= silence / 2, "{version:?} {path}: {report:?}");
        }
    }
}
