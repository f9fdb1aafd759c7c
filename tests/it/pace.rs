//! An adaptive heartbeat behind a path that cuts: it finds what it needs, and streams stop breaking.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_lifeline::observe::{EndCause, ObserveLayer, Observer, StreamReport};
use tower_lifeline::testing::{ImpatientProxy, script, timeline};
use tower_lifeline::{Beat, Heartbeat, HeartbeatLayer, HeartbeatOverride};

use crate::support::streams::{EVENTS, secs};

const MIN: Duration = Duration::from_secs(5);
const MAX: Duration = Duration::from_secs(120);

/// One stream that has ended.
#[derive(Clone, Copy, Debug)]
struct Point {
    began: Duration,
    interval: Duration,
    broke: bool,
}

/// What happens to the streams of some hours, one that begins every twenty seconds and says something at its begin and at
/// its end, four to six minutes later. From each of these hours on the path has this idle timer; and at these the operator
/// probes.
async fn hours(timers: &[(u64, u64)], probes: &[u64], hours: u64) -> Vec<Point> {
    let began = Instant::now();
    let points = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&points);
    let observer = Observer::new().sink(move |report: &StreamReport| {
        noted.lock().unwrap().push(Point {
            began: (Instant::now() - report.age).duration_since(began),
            interval: report.interval.unwrap(),
            broke: report.cause == EndCause::Abandoned,
        });
    });
    let heartbeat = Heartbeat::adaptive(MIN, MAX);
    let pace = heartbeat.pace().unwrap();
    let service = ServiceBuilder::new()
        .layer(ObserveLayer::new(&observer))
        .layer(HeartbeatLayer::new(heartbeat))
        .service(service_fn(|request: Request<u64>| {
            let length = 240 + request.into_body() * 37 % 120;
            let stream = script(&format!("0s=a {length}s=b {length}s=end"));
            let response = Response::builder().header(EVENTS.0, EVENTS.1).body(stream).unwrap();
            ready(Ok::<_, Infallible>(response))
        }));
    let mut streams = Vec::new();
    let hour = |at: u64| secs(at * 3_600);
    for number in 0..hours * 180 {
        let now = began.elapsed();
        if probes.iter().any(|at| hour(*at) == now) {
            pace.probe();
        }
        let timer = timers.iter().rev().find(|(from, _)| hour(*from) <= now).map(|(_, timer)| secs(*timer));
        let mut proxy = ImpatientProxy::new();
        if let Some(timer) = timer {
            // A little more than it is set to, and never the same.
            proxy = proxy.idle(timer + Duration::from_millis(number * 7 % 90));
        }
        let service = service.clone();
        streams.push(tokio::spawn(async move {
            let response = service.oneshot(Request::new(number)).await.unwrap();
            drop(proxy.carry(response).into_body().collect().await);
        }));
        sleep(secs(20)).await;
    }
    for stream in streams {
        stream.await.unwrap();
    }
    let mut points = std::mem::take(&mut *points.lock().unwrap());
    points.sort_by_key(|point| point.began);
    points
}

/// A path of 60 s, which is probed once an hour until streams break; and from the fifth hour on one of 20 s.
async fn story() -> Vec<Point> {
    hours(&[(0, 60), (5, 20)], &[1, 2, 3, 4], 8).await
}

#[tokio::test(start_paused = true)]
async fn it_converges_below_the_cut_and_streams_stop_breaking() {
    let points = story().await;
    let within = |from: u64, to: u64| {
        let (from, to) = (secs(from * 3_600), secs(to * 3_600));
        points.iter().filter(move |point| (from..to).contains(&point.began))
    };
    let intervals = |from, to| {
        let mut intervals: Vec<_> = within(from, to).map(|point| point.interval.as_secs()).collect();
        intervals.dedup();
        intervals
    };
    let broken = |from, to| within(from, to).filter(|point| point.broke).count();

    // It begins at the safe end, and gets longer only when somebody says so.
    assert_eq!(
        (intervals(0, 1), intervals(1, 2), intervals(2, 3), intervals(3, 4)),
        (vec![5], vec![10], vec![20], vec![40])
    );
    assert_eq!(broken(0, 4), 0);
    // 80 s is too long. Some fifteen streams tell, and those that were open then break too.
    assert_eq!(intervals(4, 5), [80, 30]);
    assert!((15..=25).contains(&broken(4, 5)), "{}", broken(4, 5));
    // The path has changed.
    assert_eq!(intervals(5, 8), [30, 10]);
    assert!((15..=25).contains(&broken(5, 6)), "{}", broken(5, 6));
    assert_eq!(broken(6, 8), 0, "streams have stopped breaking");
}

/// Draws the plot of the documentation: `scripts/pace-plot`.
#[tokio::test(start_paused = true)]
#[ignore = "writes a file"]
async fn draw() {
    let path = std::env::var("PACE_PLOT").expect("PACE_PLOT is where to write");
    let points = story().await;
    let mut csv = String::from("began,interval,broke\n");
    for Point { began, interval, broke } in points {
        writeln!(csv, "{},{},{}", began.as_secs(), interval.as_secs_f64(), u8::from(broke)).unwrap();
    }
    std::fs::write(path, csv).unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_path_class_has_its_own_interval_and_an_override_has_the_last_word() {
    let observer = Observer::new().path_class(|request| request.uri.path().into());
    let heartbeat = Heartbeat::adaptive(secs(2), secs(60));
    let pace = heartbeat.pace().unwrap();
    (0..9).for_each(|_| pace.probe());
    let service = ServiceBuilder::new()
        .layer(ObserveLayer::new(&observer))
        .layer(HeartbeatLayer::new(heartbeat).declare_interval())
        .service(service_fn(|request: Request<()>| {
            let mut response =
                Response::builder().header(EVENTS.0, EVENTS.1).body(script("0s=a 65s=end")).unwrap();
            if request.uri().query() == Some("other") {
                response.extensions_mut().insert(HeartbeatOverride::new().interval(secs(45)));
            }
            if request.uri().query() == Some("none") {
                response.extensions_mut().insert(HeartbeatOverride::new().beat(Beat::none()));
            }
            ready(Ok::<_, Infallible>(response))
        }));
    let get = async |path: &str| service.clone().oneshot(Request::get(path).body(()).unwrap()).await.unwrap();
    for number in 0..20 {
        let mut body = get("/cut").await.into_body();
        let _ = tokio::time::timeout(secs(20) + Duration::from_millis(number), async {
            while body.frame().await.is_some() {}
        })
        .await;
    }
    let declared = async |path: &str| {
        let response = get(path).await;
        let header = response.headers().get("heartbeat-interval");
        header.map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(declared("/cut").await.as_deref(), Some("10.004"), "half of what was inferred, rounded up");
    assert_eq!(declared("/whole").await.as_deref(), Some("60"));
    assert_eq!(declared("/cut?other").await.as_deref(), Some("45"));
    assert_eq!(declared("/cut?none").await, None);
    assert!(timeline(get("/cut").await.into_body()).await.starts_with("0s=a 10.004s=: 20.00"));
    observer.forget();
    assert_eq!(declared("/cut").await.as_deref(), Some("60"));
}
