//! Stalls in drawn time: a test for each row of the module's table.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::stall::AbortableIo;
use tower_lifeline::testing::{script, timeline};
use tower_lifeline::{Gate, GateLayer, Heartbeat, HeartbeatBody, StallBody, StallError, StallLayer};

use crate::support::probe::{Open, Probe};
use crate::support::streams::secs;

const LIMIT: Duration = Duration::from_secs(16);
/// A look later than the limit, and a little for the timers.
const LATEST: Duration = Duration::from_millis(17_010);

const FAST: &str = "0s=a 0s=b 0s=c 0s=end";

fn layer() -> StallLayer {
    StallLayer::new(LIMIT)
}

/// What the hook of a layer was told, and when.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(Duration, StallError)>>>);

impl Told {
    fn layer(&self, layer: StallLayer) -> StallLayer {
        let (told, began) = (self.clone(), Instant::now());
        layer.on_stall(move |error| told.0.lock().unwrap().push((began.elapsed(), *error)))
    }

    fn all(&self) -> Vec<(Duration, StallError)> {
        self.0.lock().unwrap().clone()
    }
}

async fn next<B>(body: &mut B) -> String
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    match body.frame().await {
        Some(Ok(frame)) => String::from_utf8_lossy(&frame.into_data().unwrap()).trim().to_owned(),
        Some(Err(error)) => error.to_string(),
        None => "end".to_owned(),
    }
}

/// How many tasks there are but this one.
fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn a_body_is_dropped_when_a_frame_was_taken_and_nobody_asks_for_the_next_one() {
    let (open, told) = (Open::default(), Told::default());
    let mut body = StallBody::new(open.probe(script(FAST)), &told.layer(layer()));
    sleep(secs(3)).await;
    assert_eq!(next(&mut body).await, "data: a");
    sleep(LIMIT - secs(1)).await;
    assert_eq!(open.count(), 1);
    sleep(LATEST - LIMIT + secs(1)).await;
    assert_eq!(open.count(), 0);
    let [(at, error)] = told.all()[..] else { panic!("told once") };
    assert!(at >= secs(3) + LIMIT && at <= secs(3) + LATEST, "{at:?}");
    assert_eq!((error.limit(), error.bytes(), error.is_slow()), (LIMIT, 9, false));
}

#[tokio::test(start_paused = true)]
async fn a_body_is_dropped_when_nobody_asks_for_its_first_frame() {
    let open = Open::default();
    let body = StallBody::new(open.probe(script(FAST)), &layer());
    sleep(LATEST).await;
    assert_eq!(open.count(), 0);
    drop(body);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_reads_on_too_late_gets_an_error_and_then_the_end() {
    let mut body = StallBody::new(script(FAST), &layer());
    assert_eq!(next(&mut body).await, "data: a");
    sleep(LATEST).await;
    assert!(!body.is_end_stream());
    let said = "nobody has asked for more of the body for 16s (stall limit: 16s); 9 bytes were taken";
    assert_eq!(next(&mut body).await, said);
    assert!(body.is_end_stream());
    assert_eq!(next(&mut body).await, "end");
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_reads_on_in_time_gets_everything() {
    let mut body = StallBody::new(script(FAST), &layer());
    for expected in ["data: a", "data: b", "data: c", "end"] {
        sleep(LIMIT - secs(1)).await;
        assert_eq!(next(&mut body).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_for_its_producer_is_not_stalled() {
    let told = Told::default();
    let stream = "0s=a 1000s=b 1000s=c 3000s=end";
    assert_eq!(timeline(StallBody::new(script(stream), &told.layer(layer()))).await, stream);
    assert_eq!(told.all(), []);
}

/// A producer that is at work, inside of its second poll, until it is told to go on.
struct AtWork {
    polls: usize,
    go_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Body for AtWork {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.polls += 1;
        if self.polls == 2 {
            self.go_on.lock().unwrap().recv_timeout(secs(30)).expect("the other one is dropped meanwhile");
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"work")))))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_at_work_is_not_stalled_and_keeps_nobody_else_from_being_cut() {
    let layer = StallLayer::new(Duration::from_millis(500));
    let (tell, go_on) = mpsc::channel();
    let mut at_work = StallBody::new(AtWork { polls: 0, go_on: Arc::new(Mutex::new(go_on)) }, &layer);
    assert_eq!(next(&mut at_work).await, "work");
    let open = Open::default();
    let _stalled = StallBody::new(open.probe(script(FAST)), &layer);
    let reads = tokio::spawn(async move { next(&mut at_work).await });
    while open.count() > 0 && !reads.is_finished() {
        sleep(Duration::from_millis(1)).await;
    }
    tell.send(()).unwrap();
    assert_eq!(reads.await.unwrap(), "work");
    assert_eq!(open.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_stood_still_does_not_count() {
    let open = Open::default();
    let mut body = StallBody::new(open.probe(script(FAST)), &layer());
    assert_eq!(next(&mut body).await, "data: a");
    for _ in 0..5 {
        // Nobody could read, and nobody could look.
        tokio::time::advance(10 * LIMIT).await;
        tokio::task::yield_now().await;
        assert_eq!(open.count(), 1);
    }
    assert_eq!(next(&mut body).await, "data: b");
    sleep(LATEST).await;
    assert_eq!(open.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_is_slower_than_the_minimum_rate_is_stalled() {
    let trickle = async |layer: &StallLayer| {
        let open = Open::default();
        let frames = "0s=a ".repeat(60);
        let mut body = StallBody::new(open.probe(script(&format!("{frames} 0s=end"))), layer);
        for taken in 0..60 {
            if open.count() == 0 {
                return Some((taken, next(&mut body).await));
            }
            next(&mut body).await;
            sleep(secs(2)).await;
        }
        None
    };
    let told = Told::default();
    let rated = told.layer(layer().min_rate(200, secs(32)));
    let Some((taken, said)) = trickle(&rated).await else { panic!("nine bytes in two seconds are enough") };
    assert!((16..=18).contains(&taken), "{taken}");
    assert!(said.ends_with("(minimum rate: 200 bytes in 32s)"), "{said}");
    assert!(told.all()[0].1.is_slow());

    assert_eq!(trickle(&layer().min_rate(100, secs(32))).await, None);
    assert_eq!(trickle(&layer()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_said_its_last_is_not_stalled() {
    let told = Told::default();
    let layer = told.layer(layer());
    let open = Open::default();
    let mut body = StallBody::new(open.probe(script("0s=a 0s=end").reports_end()), &layer);
    assert_eq!(next(&mut body).await, "data: a");
    assert_eq!(open.count(), 0, "given back with the last frame");
    let empty = StallBody::new(Full::<Bytes>::default(), &layer);
    sleep(10 * LIMIT).await;
    assert_eq!(told.all(), []);
    assert!(body.is_end_stream() && empty.is_end_stream());
    assert_eq!(next(&mut body).await, "end");
}

#[tokio::test(start_paused = true)]
async fn an_error_right_behind_a_frame_comes_five_milliseconds_later() {
    let body = StallBody::new(script("0s=a 1s=b 1s=error(broken)"), &layer());
    assert_eq!(timeline(body).await, "0s=a 1s=b 1.005s=error(broken)");
}

#[tokio::test(start_paused = true)]
async fn one_watchdog_looks_at_all_streams_of_a_layer_and_ends_with_the_last_of_them() {
    let layer = layer();
    let service = |layer: &StallLayer| {
        layer.layer(service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(script(FAST))) }))
    };
    assert_eq!(tasks(), 0);
    let mut bodies = Vec::new();
    for _ in 0..1_000 {
        bodies.push(service(&layer).oneshot(Request::new(())).await.unwrap().into_body());
    }
    assert_eq!(tasks(), 1);
    bodies.truncate(1);
    sleep(LIMIT / 2).await;
    assert_eq!(tasks(), 1);
    bodies.clear();
    sleep(LIMIT / 8).await;
    assert_eq!(tasks(), 0);

    // Another layer has another one.
    let mut first = StallBody::new(script(FAST), &layer);
    let _second = StallBody::new(script(FAST), &layer.clone().min_rate(1, LIMIT));
    assert_eq!(tasks(), 2);
    sleep(LATEST).await;
    assert_eq!(tasks(), 0);
    assert!(next(&mut first).await.contains("stall limit"));
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_while_all_streams_wait_for_their_producers() {
    let (layer, open) = (layer(), Open::default());
    let mut bodies: Vec<_> =
        (0..100).map(|_| StallBody::new(open.probe(script("1000s=a 1000s=b 2000s=end")), &layer)).collect();
    for body in &mut bodies {
        assert!(Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(tasks(), 1);
    sleep(LIMIT / 8).await;
    assert_eq!(tasks(), 0);
    // With the next frame it is there again.
    assert_eq!(next(&mut bodies[7]).await, "data: a");
    assert_eq!(tasks(), 1);
    sleep(LATEST).await;
    assert_eq!((tasks(), open.count()), (0, 99));
}

#[test]
fn the_next_stream_starts_another_watchdog_when_its_runtime_is_gone() {
    let runtime = || Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (layer, open) = (layer(), Open::default());
    let first = runtime().block_on(async { StallBody::new(open.probe(script(FAST)), &layer) });
    let other = runtime();
    other.block_on(async {
        sleep(LATEST).await;
        assert_eq!(open.count(), 1, "nobody looks");
        let second = StallBody::new(open.probe(script(FAST)), &layer);
        sleep(LATEST).await;
        assert_eq!(open.count(), 0, "both are looked at");
        drop((first, second));
    });
}

#[test]
fn outside_of_a_runtime_a_stream_is_looked_at_from_its_first_frame_on() {
    let (layer, open) = (layer(), Open::default());
    let mut body = StallBody::new(open.probe(script(FAST)), &layer);
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
        assert_eq!(next(&mut body).await, "data: a");
        sleep(LATEST).await;
        assert_eq!(open.count(), 0);
    });
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_takes_nobody_along() {
    let (open, told) = (Open::default(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&told);
    let layer = layer().on_stall(move |_| {
        counted.fetch_add(1, Relaxed);
        panic!("as it should not");
    });
    let mut bodies = [(); 2].map(|()| StallBody::new(open.probe(script(FAST)), &layer));
    sleep(LATEST).await;
    assert_eq!((open.count(), told.load(Relaxed), tasks()), (0, 2, 0));
    for body in &mut bodies {
        assert!(next(body).await.starts_with("nobody has asked"), "each is told");
    }
    let _third = StallBody::new(open.probe(script(FAST)), &layer);
    sleep(LATEST).await;
    assert_eq!((open.count(), told.load(Relaxed), tasks()), (0, 3, 0));
}

/// Drops what it was told to when it is dropped itself, and looks at its own layer meanwhile.
struct Nested {
    inner: Probe,
    layer: StallLayer,
}

impl Drop for Nested {
    fn drop(&mut self) {
        drop(StallBody::new(script(FAST), &self.layer));
    }
}

impl Body for Nested {
    type Data = Bytes;
    type Error = tower_lifeline::testing::ScriptError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_dropped_under_no_lock() {
    let (layer, open) = (layer(), Open::default());
    let nested = || Nested { inner: open.probe(script(FAST)), layer: layer.clone() };
    let (cut, dropped) = (StallBody::new(nested(), &layer), StallBody::new(nested(), &layer));
    drop(dropped);
    assert_eq!(open.count(), 1);
    sleep(LATEST).await;
    assert_eq!(open.count(), 0);
    drop(cut);
}

#[tokio::test(start_paused = true)]
async fn it_may_stand_inside_of_itself() {
    let (layer, open) = (layer(), Open::default());
    let inner = StallBody::new(open.probe(script(FAST)), &layer);
    let mut body = StallBody::new(inner, &layer);
    assert_eq!(next(&mut body).await, "data: a");
    sleep(LATEST).await;
    assert_eq!(open.count(), 0);
    assert!(next(&mut body).await.contains("stall limit"));
}

#[tokio::test(start_paused = true)]
async fn the_permit_of_a_gate_inside_is_given_back() {
    let gate = Gate::new(1).queue(0);
    let handler = service_fn(|_: Request<_>| async { Ok::<_, Infallible>(Response::new(script(FAST))) });
    let service = layer().layer(GateLayer::new(&gate).layer(handler));
    let request = || Request::new(Full::<Bytes>::default());

    let stalled = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(service.clone().oneshot(request()).await.unwrap().status(), 503);
    sleep(LATEST).await;
    assert_eq!(gate.stats().in_flight, 0);
    assert_eq!(service.clone().oneshot(request()).await.unwrap().status(), 200);
    drop(stalled);
    assert_eq!(gate.stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_permit_of_a_gate_outside_is_not() {
    let gate = Gate::new(1).queue(0);
    let handler = service_fn(|_: Request<_>| async { Ok::<_, Infallible>(Response::new(script(FAST))) });
    let service = GateLayer::new(&gate).layer(layer().layer(handler));
    let _stalled = service.oneshot(Request::new(Full::<Bytes>::default())).await.unwrap();
    sleep(10 * LIMIT).await;
    assert_eq!(gate.stats().in_flight, 1);
}

/// A reader who takes one beat and no more.
#[tokio::test(start_paused = true)]
async fn outside_of_a_heartbeat_a_beat_that_nobody_takes_away_is_a_stall_and_inside_it_is_not_seen() {
    let silent = "1000s=a 2000s=end";
    let heartbeat = || Heartbeat::every(secs(3));

    let open = Open::default();
    let beating = HeartbeatBody::new(open.probe(script(silent)), heartbeat());
    let mut body = StallBody::new(beating, &layer());
    assert_eq!(next(&mut body).await, ":");
    sleep(LATEST).await;
    assert_eq!(open.count(), 0);

    let open = Open::default();
    let watched = StallBody::new(open.probe(script(silent)), &layer());
    let mut body = HeartbeatBody::new(watched, heartbeat());
    assert_eq!(next(&mut body).await, ":");
    sleep(LATEST).await;
    assert_eq!(open.count(), 1);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let said = |layer: Result<StallLayer, tower_lifeline::ConfigError>| layer.unwrap_err().to_string();
    assert_eq!(said(StallLayer::try_new(Duration::ZERO)), "the stall limit is at least 1ms, got 0ns");
    assert_eq!(
        said(layer().try_min_rate(0, LIMIT)),
        "a minimum rate is at least 1 byte, got 0: without one there is none"
    );
    assert_eq!(
        said(layer().try_min_rate(1, secs(15))),
        "a minimum rate is counted over at least the stall limit of 16s, got 15s"
    );
    let io = AbortableIo::new(tokio::io::empty()).try_write_limit(Duration::ZERO);
    assert_eq!(io.unwrap_err().to_string(), "the write limit is at least 1ms, got 0ns");
}

mod connection {
    use super::*;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};

    #[tokio::test(start_paused = true)]
    async fn an_aborted_connection_fails_its_pending_reads_and_writes() {
        let (io, _peer) = duplex(8);
        let io = AbortableIo::new(io);
        let handle = io.handle();
        let (mut reads, mut writes) = split(io);
        let read = tokio::spawn(async move { reads.read_u8().await.unwrap_err().kind() });
        let written = tokio::spawn(async move { writes.write_all(&[0; 99]).await.unwrap_err().kind() });
        sleep(secs(1)).await;
        assert!(!read.is_finished() && !written.is_finished() && !handle.is_aborted());
        handle.abort();
        let aborted = std::io::ErrorKind::ConnectionAborted;
        let both = async { (read.await.unwrap(), written.await.unwrap()) };
        assert_eq!(timeout(secs(1), both).await.unwrap(), (aborted, aborted));
        assert!(handle.is_aborted());
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_connection_takes_nothing_more_and_is_told_once() {
        static TOLD: Mutex<usize> = Mutex::new(0);
        let (io, mut peer) = duplex(8);
        peer.write_u8(7).await.unwrap();
        let mut io = AbortableIo::new(io).on_abort(|_| *TOLD.lock().unwrap() += 1);
        io.handle().abort();
        io.read_u8().await.unwrap_err();
        io.write_u8(1).await.unwrap_err();
        io.write_vectored(&[std::io::IoSlice::new(&[1])]).await.unwrap_err();
        assert_eq!(*TOLD.lock().unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_written_for_the_limit_ends_the_connection() {
        let began = Instant::now();
        let (io, _peer) = duplex(8);
        let mut io = AbortableIo::new(io).write_limit(LIMIT);
        let handle = io.handle();
        let written = timeout(10 * LIMIT, io.write_all(&[0; 99])).await;
        let error = written.expect("it does not hang").unwrap_err();
        assert_eq!(error.to_string(), "nothing could be written for 16s");
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), LIMIT);
        assert!(handle.is_aborted());
        io.read_u8().await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_in_time_is_progress_and_nothing_to_write_is_no_stall() {
        let (io, mut peer) = duplex(8);
        let mut io = AbortableIo::new(io).write_limit(LIMIT);
        let reads = async {
            for _ in 0..20 {
                sleep(LIMIT - secs(1)).await;
                peer.read_u8().await.unwrap();
            }
        };
        let both = async { tokio::join!(io.write_all(&[0; 28]), reads) };
        let (written, ()) = timeout(100 * LIMIT, both).await.expect("it does not hang");
        written.unwrap();
        // It has nothing to write now.
        assert!(timeout(10 * LIMIT, io.read_u8()).await.is_err());
        peer.write_u8(7).await.unwrap();
        assert_eq!(io.read_u8().await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_of_who_writes_wakes_who_reads() {
        let (io, _peer) = duplex(8);
        let (mut reads, mut writes) = split(AbortableIo::new(io).write_limit(LIMIT));
        let read = tokio::spawn(async move { reads.read_u8().await.unwrap_err().kind() });
        assert!(timeout(2 * LIMIT, writes.write_all(&[0; 99])).await.expect("it does not hang").is_err());
        let read = timeout(secs(1), read).await.expect("it does not hang").unwrap();
        assert_eq!(read, std::io::ErrorKind::ConnectionAborted);
    }

    /// As TLS may: it takes everything, and waits when it is to be flushed or closed.
    struct Buffers;

    impl tokio::io::AsyncWrite for Buffers {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_connection_fails_a_flush_and_a_shutdown_that_wait() {
        let mut io = AbortableIo::new(Buffers);
        let handle = io.handle();
        io.write_all(&[0; 99]).await.unwrap();
        let flushed = tokio::spawn(async move { (io.flush().await.is_err(), io.shutdown().await.is_err()) });
        sleep(secs(1)).await;
        assert!(!flushed.is_finished());
        handle.abort();
        assert_eq!(timeout(secs(1), flushed).await.expect("it does not hang").unwrap(), (true, true));
    }

    /// Whoever waits for the last of two is woken.
    #[tokio::test(start_paused = true)]
    async fn the_task_that_asked_last_is_woken() {
        let (io, _peer) = duplex(8);
        let mut io = AbortableIo::new(io);
        let handle = io.handle();
        {
            let mut read = pin!(io.read_u8());
            assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let read = tokio::spawn(async move { io.read_u8().await });
        sleep(secs(1)).await;
        handle.abort();
        assert!(timeout(secs(1), read).await.unwrap().unwrap().is_err());
    }
}
