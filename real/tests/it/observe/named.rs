//! What is named behind proxies that cut streams.

use super::*;

const STREAMS: u64 = 30;

/// Streams that fall silent at different ages, so that nothing else about them is alike: `/events` and, with heartbeats,
/// `/beating`.
fn falling_silent(observer: &Observer) -> Router {
    let handler = async |OriginalUri(uri): OriginalUri| {
        let number: u64 = uri.query().and_then(|number| number.parse().ok()).unwrap_or(0);
        let talks = stream::iter(0..number).then(|_| async {
            sleep(Duration::from_millis(100)).await;
            Ok("data: a\n\n")
        });
        events(stream::once(async { Ok("data: begin\n\n") }).chain(talks).chain(stream::pending()))
    };
    Router::new()
        .route("/beating", get(handler))
        .layer(HeartbeatLayer::every(Duration::from_millis(300)))
        .route("/events", get(handler))
        .layer(ObserveLayer::new(observer))
}

/// What is found when all of a number of streams have been read to their ends.
async fn found(observer: &Observer, reports: &mut Reports, at: SocketAddr, path: &str) -> Finding {
    let reads = (0..STREAMS).map(|number| async move {
        let mut client = Client::connect(at, Version::HTTP_11).await;
        Reading::new(client.get(&format!("{path}?{number}")).await).to_end().await;
    });
    in_time(futures_util::future::join_all(reads)).await;
    for _ in 0..STREAMS {
        in_time(reports.recv()).await.expect("a report");
    }
    let findings = observer.findings();
    let [finding] = &findings[..] else { panic!("one finding, got {findings:?}") };
    println!("{finding}");
    assert!(finding.samples <= STREAMS as usize);
    finding.clone()
}

#[track_caller]
fn is_near(finding: &Finding, kind: FindingKind, at: Duration) {
    assert_eq!(finding.kind, kind, "{finding}");
    assert!(finding.estimate.abs_diff(at) < Duration::from_millis(500), "{finding}");
}

const NOT_BUFFERING: &str = "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off;";

#[tokio::test]
async fn nginx_that_cuts_after_three_seconds_is_named() {
    let Some(nginx) = find(&["nginx"]) else { return };
    let (observer, mut reports) = observed();
    let server = Server::start(falling_silent(&observer)).await;
    let proxy = patient_nginx(&nginx, server.at, 3, NOT_BUFFERING).await;
    let finding = found(&observer, &mut reports, proxy.at, "/events").await;
    is_near(&finding, FindingKind::IdleTimer, Duration::from_secs(3));
}

#[tokio::test]
async fn haproxy_that_cuts_after_four_seconds_is_named() {
    let Some(haproxy) = find(&["haproxy"]) else { return };
    let (observer, mut reports) = observed();
    let server = Server::start(falling_silent(&observer)).await;
    let proxy = patient_haproxy(&haproxy, server.at, 4).await;
    let finding = found(&observer, &mut reports, proxy.at, "/events").await;
    is_near(&finding, FindingKind::IdleTimer, Duration::from_secs(4));
}

/// Heartbeats save the streams behind the one, and not those behind the other.
#[tokio::test]
async fn a_lifetime_cap_is_told_from_an_idle_timer() {
    for path in ["/events", "/beating"] {
        let (observer, mut reports) = observed();
        let server = Server::start(falling_silent(&observer)).await;
        let relay = Relay::start(server.at, Duration::from_secs(3)).await;
        let finding = found(&observer, &mut reports, relay.at, path).await;
        is_near(&finding, FindingKind::LifetimeCap, Duration::from_secs(3));
        let beat = (path == "/beating").then_some(Duration::from_millis(300));
        assert_eq!(finding.beat, beat, "{finding}");
    }
}

/// The negative control: people who leave one after the other, and no proxy at all.
#[tokio::test]
async fn without_a_proxy_nothing_is_named() {
    let (observer, mut reports) = observed();
    let server = Server::start(falling_silent(&observer)).await;
    let leave = (0..STREAMS).map(|number| {
        let at = server.at;
        async move {
            let mut client = Client::connect(at, Version::HTTP_11).await;
            let mut reading = Reading::new(client.get("/events?5").await);
            let stays = Duration::from_millis(1_000 + 150 * number);
            let _ = timeout(stays, reading.to_end()).await;
        }
    });
    in_time(futures_util::future::join_all(leave)).await;
    for _ in 0..STREAMS {
        assert_eq!(in_time(reports.recv()).await.expect("a report").code(), "CS");
    }
    assert_eq!(observer.findings(), []);
}
