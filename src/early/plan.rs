//! What all exchanges of a layer share, and what one request leaves behind for its response.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, EXPECT, HeaderValue};
use http::{Request, Response, request};

use super::commit;
use super::failure::Failure;
use super::format::{ErrorEvent, ErrorFormat};
use super::late::{Committed, EarlyStats, Late};
use crate::body::{Journal, now};
use crate::deadline::SilenceHint;
use crate::gate::QueuePosition;
use crate::heartbeat::{self, News, ask_not_to_buffer};
use crate::reject::{Ending, Protocol, RequestId};
use crate::timeout::Asked;
use crate::{BoxError, Heartbeat};

#[derive(Clone)]
pub(super) struct Plan {
    pub(super) threshold: Duration,
    pub(super) heartbeat: Arc<heartbeat::Plan>,
    /// Somebody has asked for that heartbeat.
    pub(super) beats_by_itself: bool,
    pub(super) chooses: Option<Chooses>,
    pub(super) errors: Errors,
    pub(super) on_late: Option<OnLate>,
    pub(super) buffer: usize,
    pub(super) position: Option<fn(usize) -> Bytes>,
    pub(super) counts: Arc<Counts>,
}

pub(super) type Chooses = Arc<dyn Fn(&request::Parts) -> bool + Send + Sync>;
pub(super) type OnLate = Arc<dyn Fn(&Late) + Send + Sync>;

/// How errors are written.
#[derive(Clone)]
pub(super) enum Errors {
    /// As the caller's protocol has it.
    ByCaller,
    As(ErrorFormat),
    By(Arc<dyn Fn(&Failure) -> ErrorEvent + Send + Sync>),
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    committed: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    pub(super) fn stats(&self) -> EarlyStats {
        let [committed, answered, failed] =
            [&self.committed, &self.answered, &self.failed].map(|count| count.load(Relaxed));
        EarlyStats { committed, answered, failed }
    }
}

impl Plan {
    pub(super) fn new(threshold: Duration) -> Self {
        Self {
            threshold,
            heartbeat: Arc::new(heartbeat::Plan::new(Heartbeat::default().at_once())),
            beats_by_itself: false,
            chooses: None,
            errors: Errors::ByCaller,
            on_late: None,
            buffer: 256 * 1024,
            position: None,
            counts: Arc::default(),
        }
    }

    /// What this request leaves behind, if its response may come early. `chosen`: by the operator's own choice, if there
    /// is one.
    #[inline]
    pub(super) fn exchange<B>(
        self: &Arc<Self>,
        request: &mut Request<B>,
        chosen: Option<bool>,
    ) -> Option<Exchange> {
        let (method, headers) = (request.method(), request.headers());
        if !chosen.unwrap_or_else(|| commit::by_accept(method, headers)) {
            return None;
        }
        let protocol = Protocol::of_request(headers);
        let possible = commit::is_possible(method, headers) && commit::takes_events(protocol);
        possible.then(|| self.left_by(request, protocol))
    }

    fn left_by<B>(self: &Arc<Self>, request: &mut Request<B>, protocol: Protocol) -> Exchange {
        let asked = request.headers().contains_key(EXPECT).then(Asked::default);
        let extensions = request.extensions_mut();
        if let Some(asked) = &asked {
            extensions.insert(asked.clone());
        }
        let position = self.position.map(|_| {
            let found = extensions.get::<QueuePosition>().cloned();
            found.unwrap_or_else(|| {
                let position = QueuePosition::new();
                extensions.insert(position.clone());
                position
            })
        });
        Exchange {
            plan: Arc::clone(self),
            protocol,
            id: extensions.get::<RequestId>().cloned(),
            longest: extensions.get::<SilenceHint>().map(SilenceHint::beat),
            asked,
            position,
            journal: Journal::of(extensions),
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("threshold", &self.threshold)
            .field("heartbeat", &self.heartbeat.settings)
            .field("buffer", &self.buffer)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// What a request left behind for a response that may come early.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) plan: Arc<Plan>,
    protocol: Protocol,
    id: Option<RequestId>,
    /// The longest interval between beats that the caller bears.
    longest: Option<Duration>,
    /// The client waits for a word before it sends the request's body.
    asked: Option<Asked>,
    position: Option<QueuePosition>,
    journal: Option<Journal>,
}

impl Exchange {
    /// Whether an answer would not come in between the client and its upload.
    pub(super) fn may_commit(&self) -> bool {
        self.asked.as_ref().is_none_or(Asked::get)
    }

    /// The heartbeat of the early response.
    pub(super) fn heartbeat(&self) -> Arc<heartbeat::Plan> {
        let idle_timer = self.journal.as_ref().and_then(Journal::idle_timer);
        let plan = self.plan.heartbeat.with(None, self.longest, idle_timer);
        match self.position.clone().zip(self.plan.position) {
            None => plan,
            Some((position, written)) => {
                plan.with_news(News::new(move || position.get().unwrap_or(0), written))
            }
        }
    }

    /// What the stream behind the early head notes.
    pub(super) fn journal(&self) -> Option<Journal> {
        self.journal.clone()
    }

    /// The early head, with this body.
    pub(super) fn commit<B>(&self, body: B) -> Response<B> {
        self.plan.counts.committed.fetch_add(1, Relaxed);
        if let Some(journal) = &self.journal {
            journal.committed_early(now());
        }
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        ask_not_to_buffer(headers);
        response.extensions_mut().insert(Committed);
        response
    }

    /// The answer has come: tells what of it cannot be sent, and takes the request's `id` from it, if it knows it.
    pub(super) fn answered(&mut self, late: &Late) {
        self.comes();
        if let Some(journal) = &self.journal {
            journal.answer_is(late.status, late.extensions.get().copied());
        }
        if let Some(hook) = &self.plan.on_late {
            hook(late);
        }
        let of_ending = |ending: &Ending| match ending {
            Ending::Mcp { id } => id.clone(),
            _ => None,
        };
        let told = late.extensions.get::<RequestId>().cloned();
        let told = told.or_else(|| late.extensions.get::<Ending>().and_then(of_ending));
        self.id = told.or(self.id.take());
    }

    /// The handler has come to its end, with an answer or without.
    fn comes(&self) {
        self.plan.counts.answered.fetch_add(1, Relaxed);
        if let Some(journal) = &self.journal {
            journal.answered_late(now());
        }
    }

    pub(super) fn failed(&mut self, kind: super::FailureKind, late: Late) -> Failure {
        Failure::of_answer(kind, late, self.id.take())
    }

    /// There is no answer.
    pub(super) fn has_no_answer(&mut self, error: BoxError) -> Failure {
        self.comes();
        Failure::of_service(error, self.id.take())
    }

    /// What is written of a failure.
    pub(super) fn render(&self, failure: &Failure) -> Bytes {
        self.plan.counts.failed.fetch_add(1, Relaxed);
        if let (Some(journal), true) = (&self.journal, failure.error().is_some()) {
            journal.answer_failed();
        }
        let event = match &self.plan.errors {
            Errors::By(render) => render(failure),
            Errors::As(format) => format.render(failure),
            Errors::ByCaller if self.protocol == Protocol::JsonRpc => ErrorFormat::JsonRpc.render(failure),
            Errors::ByCaller => ErrorFormat::EventSource.render(failure),
        };
        event.into_bytes()
    }

    /// The type of the event that an answer becomes. It is the default one, but there are MCP clients that want to see it.
    pub(super) fn event_name(&self) -> &'static str {
        if self.protocol == Protocol::JsonRpc { "event: message\n" } else { "" }
    }
}
