//! The same layers around a client: hyper-util's, over HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::iter::successors;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::testing::{script, timeline};
use tower_lifeline::{ConnectTimeoutLayer, Ending, Phase, TimeoutBody, TimeoutError, TimeoutLayer, Timeouts};

use crate::support::probe::Open;
use crate::support::streams::secs as s;
use crate::support::wire::{Wire, client, connector};

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

fn request() -> Request<Empty<Bytes>> {
    Request::get("http://upstream/").body(Empty::new()).unwrap()
}

/// An upstream that takes so long to answer with this event stream.
#[derive(Clone, Copy)]
struct Upstream {
    status: u16,
    works: Duration,
    stream: &'static str,
}

const UPSTREAM: Upstream = Upstream { status: 200, works: Duration::ZERO, stream: "0s=end" };

impl Upstream {
    /// Asks it through a client with these limits. What it has not finished counts as open.
    async fn asked(
        self,
        version: Version,
        limits: TimeoutLayer,
        open: &Open,
    ) -> Response<TimeoutBody<Incoming>> {
        let Self { status, works, stream } = self;
        let open = open.clone();
        let service = service_fn(move |_| {
            let body = open.probe(script(stream).reports_end());
            async move {
                sleep(works).await;
                let response = Response::builder().status(status).header("content-type", "text/event-stream");
                Ok::<_, Infallible>(response.body(body).unwrap())
            }
        });
        limits.layer(client(version, connector(version, service))).oneshot(request()).await.unwrap()
    }
}

fn limits(limits: Timeouts) -> TimeoutLayer {
    TimeoutLayer::new(limits).ending(Ending::Abort)
}

#[tokio::test(start_paused = true)]
async fn each_phase_of_an_upstream_is_limited_and_the_upstream_let_go() {
    let check = async |layer: Timeouts, upstream: Upstream, line: &str| {
        for version in VERSIONS {
            let open = Open::default();
            let answer = upstream.asked(version, limits(layer), &open).await;
            assert_eq!(timeline(answer.into_body()).await, line, "{version:?}");
            // It has to be told.
            sleep(s(1)).await;
            assert_eq!(open.count(), 0, "{version:?}: {line}");
        }
    };
    let new = Timeouts::new;
    let all = new().headers(s(9)).first_byte(s(9)).inter_chunk(s(9)).total(s(60));
    let in_time = Upstream { works: s(8), stream: "8s=a 16s=b 16s=end", ..UPSTREAM };
    check(all, in_time, "8s=a 16s=b 16s=end").await;
    check(
        new().first_byte(s(9)),
        Upstream { stream: "5s=: 10s=a", ..UPSTREAM },
        "5s=: 9s=error(no first content of the response body for 9s (first byte limit: 9s))",
    )
    .await;
    check(
        new().inter_chunk(s(9)),
        Upstream { stream: "10s=a 15s=: 20s=b", ..UPSTREAM },
        "10s=a 15s=: 19s=error(no further content of the response body for 9s (inter-chunk limit: 9s))",
    )
    .await;
    check(
        new().total(s(9)),
        Upstream { works: s(2), stream: "5s=a 6s=b 8s=c", ..UPSTREAM },
        "5s=a 6s=b 7s=error(the exchange has not ended for 9s (total limit: 9s))",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_head_in_time_is_told_from_the_upstreams_own_504() {
    for version in VERSIONS {
        let open = Open::default();
        let asked = async |upstream: Upstream| {
            let answer = upstream.asked(version, limits(Timeouts::new().headers(s(9))), &open).await;
            assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
            answer.extensions().get::<TimeoutError>().map(TimeoutError::to_string)
        };
        let ours = asked(Upstream { works: s(10), ..UPSTREAM }).await;
        assert_eq!(ours.unwrap(), "no response head for 9s (headers limit: 9s)");
        sleep(s(1)).await;
        assert_eq!(open.count(), 0, "{version:?}: the upstream is let go");
        assert_eq!(asked(Upstream { status: 504, ..UPSTREAM }).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_passed_on_says_how_it_ended() {
    let layer = TimeoutLayer::new(Timeouts::new().inter_chunk(s(9))).retry(s(0));
    for version in VERSIONS {
        let upstream = Upstream { stream: "0s=a 60s=b", ..UPSTREAM };
        let answer = upstream.asked(version, layer.clone(), &Open::default()).await;
        assert_eq!(
            timeline(answer.into_body()).await,
            "0s=a 9s='retry: 0\\nevent: timeout\\ndata: {\"phase\":\"inter-chunk\",\"limit_ms\":9000}\\n\\n' 9s=end"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_connection_in_time_is_a_source_of_the_clients_error() {
    let nowhere = service_fn(|_: Uri| pending::<Result<TokioIo<Wire>, Infallible>>());
    let connector = ConnectTimeoutLayer::new(s(5)).layer(nowhere);
    // At a tie the connection is named, because it says more.
    let layer = limits(Timeouts::new().headers(s(5)));
    for version in VERSIONS {
        let began = Instant::now();
        let service = layer.layer(client(version, connector.clone()));
        let error = service.oneshot(request()).await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
        let ours = successors(Some(&error as &dyn Error), |error| (*error).source())
            .find_map(|error| error.downcast_ref::<TimeoutError>());
        assert_eq!(ours.unwrap().phase(), Phase::Connect);
        assert_eq!(began.elapsed(), s(5));
    }
}
