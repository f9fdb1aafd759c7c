//! Who waits, for how long, and in which order.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lifeline::gate::ReplayBody;
use tower_lifeline::testing::script;
use tower_lifeline::{Deadline, Gate, GateLayer, Shed};

use super::{Asked, ask, assert_whole, open, poll, ready, request, s, settle, state, streams, waiting};

fn until(deadline: Deadline) -> Asked {
    let mut request = request();
    request.extensions_mut().insert(deadline);
    request
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_permit_waits_and_the_first_to_come_is_the_first_to_be_served() {
    let gate = Gate::new(2).queue(4).max_wait(s(60));
    let service = streams(&gate, s(0), "0s=a 10s=b 10s=end");
    let began = Instant::now();
    let served = Arc::new(Mutex::new(Vec::new()));
    for client in 0..6 {
        let (service, served) = (service.clone(), Arc::clone(&served));
        tokio::spawn(async move {
            let answer = ask(&service).await;
            served.lock().unwrap().push((client, answer.status().as_u16(), began.elapsed().as_secs()));
            answer.into_body().collect().await.unwrap();
        });
        settle().await;
    }
    assert_eq!(state(&gate), (2, 4));
    sleep(s(31)).await;
    let in_order: Vec<_> = (0..6).map(|client| (client, 200, client / 2 * 10)).collect();
    assert_eq!(*served.lock().unwrap(), in_order);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_turn_wakes_the_task_that_asked_last() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    for close in [false, true] {
        let gate = Gate::new(1);
        let service = open(&gate);
        let held = ask(&service).await;
        let mut waits = waiting(&service);
        let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
        for count in &counts {
            let waker = Waker::from(Arc::clone(count));
            assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        if close {
            gate.close();
        } else {
            drop(held);
        }
        assert_eq!(counts.map(|count| count.0.load(Ordering::SeqCst)), [0, 1]);
        assert_eq!(ready(&mut waits).status(), if close { 503 } else { 200 });
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_those_who_wait() {
    let gate = Gate::new(1).queue(9);
    let service = open(&gate);
    let first = ask(&service).await;
    let mut second = waiting(&service);
    drop(first);
    // The permit is there, and it is not theirs.
    let mut third = waiting(&service);
    let second = ready(&mut second);
    assert!(poll(&mut third).is_pending());
    drop(second);
    drop(ready(&mut third));
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn without_a_place_in_the_queue_a_request_is_refused_and_its_handler_never_called() {
    let calls = Arc::new(AtomicUsize::new(0));
    let gate = Gate::new(1).queue(1);
    let counted = Arc::clone(&calls);
    let service = GateLayer::new(&gate).layer(service_fn(move |_: Request<_>| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, Infallible>(Response::new(script("0s=a"))))
    }));
    let first = ask(&service).await;
    let second = waiting(&service);
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(ask(&service).await.status(), 503);
    }
    assert_eq!((began.elapsed(), calls.load(Ordering::SeqCst)), (s(0), 1));
    assert_eq!((gate.stats().queue_full, state(&gate)), (10, (1, 1)));
    drop((first, second));
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_none_refuses_at_once() {
    let gate = Gate::new(1).queue(0);
    let service = open(&gate);
    let _first = ask(&service).await;
    assert_eq!(ask(&service).await.status(), 503);
    assert_eq!(gate.stats().queue_full, 1);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_twice_the_permits_unless_said_otherwise() {
    let gate = Gate::new(3);
    let service = open(&gate);
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(ask(&service).await);
    }
    let waits: Vec<_> = (0..6).map(|_| waiting(&service)).collect();
    assert_eq!(ask(&service).await.status(), 503);
    drop((first, waits));
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_for_as_long_as_allowed_is_refused() {
    for (gate, status) in [
        (Gate::new(1).max_wait(s(5)), 503),
        (Gate::new(1).status(Shed::QueueTimeout, http::StatusCode::GATEWAY_TIMEOUT).max_wait(s(5)), 504),
    ] {
        let service = open(&gate);
        let first = ask(&service).await;
        let began = Instant::now();
        let second = tokio::spawn({
            let service = service.clone();
            async move { (ask(&service).await, began.elapsed()) }
        });
        sleep(s(2)).await;
        let mut third = waiting(&service);
        let (refused, waited) = second.await.unwrap();
        assert_eq!((refused.status().as_u16(), waited), (status, s(5)));
        assert_eq!((gate.stats().queue_timeout, state(&gate)), (1, (1, 1)));
        // The next one counts from their own arrival.
        drop(first);
        assert_eq!(ready(&mut third).status(), 200);
        assert_whole(&gate);
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_has_come_counts_although_the_time_has_passed() {
    let gate = Gate::new(1).max_wait(s(5));
    let service = open(&gate);
    let first = ask(&service).await;
    let mut second = waiting(&service);
    tokio::time::advance(s(9)).await;
    drop(first);
    assert_eq!(ready(&mut second).status(), 200);

    let gate = Gate::new(1);
    let service = open(&gate);
    let first = ask(&service).await;
    let mut late = Box::pin(service.clone().oneshot(until(Deadline::after(s(3)))));
    assert!(poll(&mut late).is_pending());
    tokio::time::advance(s(4)).await;
    drop(first);
    let Ok(served) = ready(&mut late);
    assert_eq!(served.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_no_time_is_over_at_once() {
    let gate = Gate::new(1).max_wait(s(0));
    let service = open(&gate);
    let first = ask(&service).await;
    let began = Instant::now();
    assert_eq!(ask(&service).await.status(), 503);
    assert_eq!((began.elapsed(), gate.stats().queue_timeout), (s(0), 1));
    drop(first);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_is_refused_although_a_permit_is_free() {
    let gate = Gate::new(1);
    let service = open(&gate);
    let deadline = Deadline::after(s(3));
    let Ok(served) = service.clone().oneshot(until(deadline)).await;
    assert_eq!(served.status(), 200);
    drop(served);
    tokio::time::advance(s(3)).await;
    let Ok(refused) = service.clone().oneshot(until(deadline)).await;
    assert_eq!((refused.status().as_u16(), gate.stats().deadline_too_short), (503, 1));
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_nearer_than_the_turn_is_refused_at_once() {
    let gate = Gate::new(1).queue(9);
    let service = open(&gate);
    let first = ask(&service).await;
    tokio::time::advance(s(10)).await;
    drop(first);

    // Permits are held for 10 s each. Whoever is second in the queue is admitted after 20 s.
    let busy = ask(&service).await;
    let next = waiting(&service);
    let began = Instant::now();
    let Ok(refused) = service.clone().oneshot(until(Deadline::after(s(19)))).await;
    assert_eq!((refused.status().as_u16(), began.elapsed()), (503, s(0)));
    assert_eq!((gate.stats().deadline_too_short, state(&gate)), (1, (1, 1)));
    let mut patient = Box::pin(service.clone().oneshot(until(Deadline::after(s(20)))));
    assert!(poll(&mut patient).is_pending());
    assert_eq!(state(&gate), (1, 2));
    drop((busy, next, patient));
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_has_become_free_goes_before_what_is_expected() {
    let gate = Gate::new(1).queue(9);
    let service = open(&gate);
    let first = ask(&service).await;
    tokio::time::advance(s(10)).await;
    // It was called while all permits were out, and comes to wait when one is free again.
    let mut service = service.clone();
    let hurried = service.ready().await.unwrap().call(until(Deadline::after(s(1))));
    drop(first);
    let Ok(served) = hurried.await;
    assert_eq!(served.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_in_the_queue_ends_the_wait() {
    let gate = Gate::new(1).max_wait(s(5));
    let service = open(&gate);
    let first = ask(&service).await;
    let began = Instant::now();
    let Ok(refused) = service.clone().oneshot(until(Deadline::after(s(3)))).await;
    assert_eq!((refused.status().as_u16(), began.elapsed()), (503, s(3)));
    assert_eq!((gate.stats().deadline_too_short, gate.stats().queue_timeout), (1, 0));
    // A longer one changes nothing.
    let began = Instant::now();
    let Ok(refused) = service.clone().oneshot(until(Deadline::after(s(30)))).await;
    assert_eq!((refused.status().as_u16(), began.elapsed()), (503, s(5)));
    assert_eq!((gate.stats().deadline_too_short, gate.stats().queue_timeout), (1, 1));
    drop(first);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_the_queue_is_gone_at_once() {
    let gate = Gate::new(1).queue(2);
    let service = open(&gate);
    let first = ask(&service).await;
    let second = waiting(&service);
    let mut third = waiting(&service);
    drop(second);
    assert_eq!(state(&gate), (1, 1));
    let mut fourth = waiting(&service);
    drop(first);
    // The order of the others stays.
    assert!(poll(&mut fourth).is_pending());
    drop(ready(&mut third));
    drop(ready(&mut fourth));
    assert_whole(&gate);
    assert_eq!(gate.stats().queue_full, 0);
}

#[tokio::test(start_paused = true)]
async fn the_turn_of_a_client_that_has_left_goes_on_to_the_next() {
    let gate = Gate::new(1);
    let service = open(&gate);
    let first = ask(&service).await;
    let (second, mut third) = (waiting(&service), waiting(&service));
    drop(first);
    // It has been called, and never looked.
    drop(second);
    drop(ready(&mut third));
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_refuses_who_comes_and_who_waits_and_leaves_those_in_flight() {
    let gate = Gate::new(2);
    let service = streams(&gate, s(0), "0s=a 10s=b 10s=end");
    let (first, _second) = (ask(&service).await, ask(&service).await);
    let third = tokio::spawn({
        let service = service.clone();
        async move { ask(&service).await.status().as_u16() }
    });
    settle().await;
    gate.close();
    assert_eq!(state(&gate), (2, 0));
    assert_eq!(third.await.unwrap(), 503);
    assert_eq!(ask(&service).await.status(), 503);
    assert_eq!(gate.stats().closed, 2);
    assert_eq!(first.into_body().collect().await.unwrap().to_bytes().len(), 18);
    // A free permit changes nothing.
    assert_eq!((ask(&service).await.status().as_u16(), state(&gate)), (503, (1, 0)));
    gate.reopen();
    assert_eq!(ask(&service).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_comes_back_to_a_closed_gate_is_nobody_s() {
    let gate = Gate::new(1);
    let service = open(&gate);
    let first = ask(&service).await;
    let mut second = waiting(&service);
    gate.close();
    drop(first);
    assert_eq!(ready(&mut second).status(), 503);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_came_before_the_gate_was_closed_counts() {
    let gate = Gate::new(1);
    let service = open(&gate);
    let first = ask(&service).await;
    let mut second = waiting(&service);
    drop(first);
    gate.close();
    assert_eq!(ready(&mut second).status(), 200);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn who_waited_when_the_gate_was_closed_is_refused_although_it_is_open_again() {
    let gate = Gate::new(1);
    let service = open(&gate);
    let first = ask(&service).await;
    let mut second = waiting(&service);
    gate.close();
    gate.reopen();
    let mut third = waiting(&service);
    drop(first);
    assert_eq!(ready(&mut second).status(), 503);
    assert_eq!(ready(&mut third).status(), 200);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn more_permits_go_to_those_who_wait_at_once() {
    let gate = Gate::new(1).queue(9);
    let service = open(&gate);
    let first = ask(&service).await;
    let mut waits: Vec<_> = (0..4).map(|_| waiting(&service)).collect();
    gate.resize(3);
    assert_eq!(state(&gate), (3, 2));
    let (mut second, mut third) = (waits.remove(0), waits.remove(0));
    let (second, third) = (ready(&mut second), ready(&mut third));
    assert!(waits.iter_mut().all(|future| poll(future).is_pending()));
    drop((first, second, third));
    for mut future in waits {
        assert_eq!(ready(&mut future).status(), 200);
    }
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn fewer_permits_are_taken_from_nobody() {
    let gate = Gate::new(3).queue(9);
    let service = open(&gate);
    let mut held = vec![ask(&service).await, ask(&service).await, ask(&service).await];
    let mut waits = waiting(&service);
    gate.resize(1);
    assert_eq!((gate.stats().limit, state(&gate)), (1, (3, 1)));
    for left in [2, 1] {
        held.pop();
        assert!(poll(&mut waits).is_pending());
        assert_eq!(state(&gate), (left, 1));
    }
    held.pop();
    assert_eq!(ready(&mut waits).status(), 200);
    assert_whole(&gate);

    gate.resize(0);
    let mut waits = waiting(&service);
    gate.resize(1);
    assert_eq!(ready(&mut waits).status(), 200);
    assert_whole(&gate);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_queue_sends_nobody_away() {
    let gate = Gate::new(1).queue(1);
    let service = open(&gate);
    let first = ask(&service).await;
    gate.resize_queue(3);
    let mut waits = vec![waiting(&service), waiting(&service), waiting(&service)];
    gate.resize_queue(1);
    assert_eq!((ask(&service).await.status().as_u16(), state(&gate)), (503, (1, 3)));
    drop(first);
    drop(ready(&mut waits.remove(0)));
    drop(ready(&mut waits.remove(0)));
    drop(ready(&mut waits.remove(0)));
    assert_whole(&gate);
}

/// Takes something when it is asked for its readiness, as tower's `Buffer` does, and can be called only then.
struct Reserving {
    reserved: bool,
    fresh: Arc<AtomicUsize>,
}

impl Clone for Reserving {
    fn clone(&self) -> Self {
        self.fresh.fetch_add(1, Ordering::SeqCst);
        Self { reserved: false, fresh: Arc::clone(&self.fresh) }
    }
}

impl Service<Request<ReplayBody<Empty<Bytes>>>> for Reserving {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.reserved = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ReplayBody<Empty<Bytes>>>) -> Self::Future {
        assert!(std::mem::take(&mut self.reserved), "called without being asked");
        std::future::ready(Ok(Response::new(Empty::new())))
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_waits_with_the_service_that_was_asked() {
    let gate = Gate::new(1);
    let inner = Reserving { reserved: false, fresh: Arc::default() };
    let fresh = Arc::clone(&inner.fresh);
    let mut service = GateLayer::new(&gate).layer(inner);
    let held = ask(&open(&gate)).await;
    let mut waits = Box::pin(service.ready().await.unwrap().call(request()));
    assert!(poll(&mut waits).is_pending());
    assert_eq!(fresh.load(Ordering::SeqCst), 1);
    drop(held);
    let Ok(answer) = ready(&mut waits);
    assert_eq!(answer.status(), 200);
    drop(answer);
    // And those who need not wait clone nothing.
    let Ok(_) = service.ready().await.unwrap().call(request()).await;
    assert_eq!(fresh.load(Ordering::SeqCst), 1);
    assert_whole(&gate);
}
