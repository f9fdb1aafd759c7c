//! What is said instead of a response.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use super::code::Code;

/// Why a request gets no response of its handler, in no protocol yet.
///
/// [`into_response`](Self::into_response) says it in the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    kind: &'static Kind,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    status: StatusCode,
}

/// What all refusals of one kind have in common.
#[derive(Debug, PartialEq, Eq)]
struct Kind {
    problem_type: &'static str,
    title: &'static str,
    status: StatusCode,
    code: Code,
    /// What is left of the request would have to be read before the connection can be used again, or it is not to be.
    closes: bool,
}

static HEADERS: Kind = Kind {
    problem_type: "urn:tower-lifeline:headers-timeout",
    title: "The response did not begin in time",
    status: StatusCode::GATEWAY_TIMEOUT,
    code: Code::DeadlineExceeded,
    closes: false,
};

static TOTAL: Kind =
    Kind { problem_type: "urn:tower-lifeline:total-timeout", title: "The request took too long", ..HEADERS };

static DEADLINE: Kind = Kind {
    problem_type: "urn:tower-lifeline:deadline-exceeded",
    title: "The request's own deadline has passed",
    ..HEADERS
};

static UPSTREAM_TIMEOUT: Kind = Kind {
    problem_type: "urn:tower-lifeline:upstream-timeout",
    title: "The upstream did not answer in time",
    ..HEADERS
};

static UPSTREAM_FAILED: Kind = Kind {
    problem_type: "urn:tower-lifeline:upstream-failed",
    title: "The upstream gave no answer",
    status: StatusCode::BAD_GATEWAY,
    code: Code::Unavailable,
    ..HEADERS
};

static REQUEST_BODY_GAP: Kind = Kind {
    problem_type: "urn:tower-lifeline:request-body-gap-timeout",
    title: "The request body stopped coming",
    status: StatusCode::REQUEST_TIMEOUT,
    code: Code::DeadlineExceeded,
    closes: true,
};

static REQUEST_BODY: Kind = Kind {
    problem_type: "urn:tower-lifeline:request-body-timeout",
    title: "The request body took too long",
    ..REQUEST_BODY_GAP
};

static QUEUE_FULL: Kind = Kind {
    problem_type: "urn:tower-lifeline:queue-full",
    title: "The server is busy",
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: Code::ResourceExhausted,
    closes: false,
};

static QUEUE_TIMEOUT: Kind =
    Kind { problem_type: "urn:tower-lifeline:queue-timeout", code: Code::Unavailable, ..QUEUE_FULL };

static DEADLINE_TOO_SHORT: Kind =
    Kind { problem_type: "urn:tower-lifeline:deadline-too-short", ..QUEUE_TIMEOUT };

static CLOSED: Kind =
    Kind { problem_type: "urn:tower-lifeline:closed", title: "The server is closed", ..QUEUE_TIMEOUT };

static DRAINING: Kind = Kind {
    problem_type: "urn:tower-lifeline:draining",
    title: "The server is about to stop",
    closes: true,
    ..CLOSED
};

static KEY_OVER_CAP: Kind = Kind {
    problem_type: "urn:tower-lifeline:key-over-cap",
    title: "Too many requests of this caller",
    status: StatusCode::TOO_MANY_REQUESTS,
    ..QUEUE_FULL
};

impl Refusal {
    /// For handlers that ask another server, which gave no answer, or none that can be passed on: 502, with one sentence
    /// about it. What it says reaches the caller.
    ///
    /// ```
    /// use http::Request;
    /// use tower_lifeline::{Caller, Refusal};
    ///
    /// let caller = Caller::of_request(&Request::new(()));
    /// let answer = Refusal::upstream_failed("No connection could be made.").into_response(&caller);
    /// assert_eq!(answer.status(), 502);
    /// assert_eq!(answer.headers()["content-type"], "application/problem+json");
    /// ```
    #[must_use]
    pub fn upstream_failed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(&UPSTREAM_FAILED, detail)
    }

    /// The same for one that did not answer in time: 504.
    #[must_use]
    pub fn upstream_timeout(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(&UPSTREAM_TIMEOUT, detail)
    }

    /// The handler gave no response head within the limit.
    pub(crate) fn headers_timeout(limit: Duration) -> Self {
        Self::new(&HEADERS, format!("No response was ready within {limit:?}."))
    }

    /// The budget for queue, head and body was used up before the head.
    pub(crate) fn total_timeout(limit: Duration) -> Self {
        Self::new(&TOTAL, format!("The whole request has {limit:?}, and no response was ready by then."))
    }

    /// The deadline that the request brought along passed before the head.
    pub(crate) fn deadline_exceeded(limit: Duration) -> Self {
        Self::new(&DEADLINE, format!("The request allowed {limit:?}, and no response was ready by then."))
    }

    /// Nothing of the request body came within the limit.
    pub(crate) fn request_body_gap_timeout(limit: Duration) -> Self {
        Self::new(&REQUEST_BODY_GAP, format!("Nothing of the request body came for {limit:?}."))
    }

    /// The request body was not complete within the limit.
    pub(crate) fn request_body_timeout(limit: Duration) -> Self {
        Self::new(&REQUEST_BODY, format!("The request body was not complete within {limit:?}."))
    }

    /// All permits are out and the queue is full.
    pub(crate) fn queue_full() -> Self {
        Self::new(&QUEUE_FULL, "All places are taken, and so are those in the queue.")
    }

    /// It has waited for as long as it may.
    pub(crate) fn queue_timeout() -> Self {
        Self::new(&QUEUE_TIMEOUT, "No place has become free in time.")
    }

    /// Its deadline would pass before its turn comes.
    pub(crate) fn deadline_too_short() -> Self {
        Self::new(&DEADLINE_TOO_SHORT, "No place would become free before the request's own deadline.")
    }

    /// Nobody is let in.
    pub(crate) fn closed() -> Self {
        Self::new(&CLOSED, "The server takes no requests now.")
    }

    /// The server stops: it came too late.
    pub(crate) fn draining() -> Self {
        Self::new(&DRAINING, "The server is about to stop and takes no requests any more.")
    }

    /// The server stops, and the handler had no answer yet.
    pub(crate) fn drained(limit: Duration) -> Self {
        Self::new(
            &DRAINING,
            format!("The server stops, and no response was ready within the {limit:?} that were left."),
        )
    }

    /// This caller has its share already.
    pub(crate) fn key_over_cap() -> Self {
        Self::new(&KEY_OVER_CAP, "This caller has as many requests open as it may have.")
    }

    fn new(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, status: kind.status }
    }

    /// Another status in HTTP.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Says when it makes sense to try again. HTTP counts whole seconds: the time is rounded up, and is at least one.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// What kind of refusal it is, for machines: a URI that begins with `urn:tower-lifeline:` (RFC 9457, section
    /// 3.1.1).
    #[must_use]
    pub fn problem_type(&self) -> &'static str {
        self.kind.problem_type
    }

    /// What kind of refusal it is, for people.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.kind.title
    }

    /// One sentence about this refusal, with its numbers.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The status in HTTP. gRPC has none, and Connect its own: [`Code::connect_status`].
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The failure as the other protocols know it.
    #[must_use]
    pub fn code(&self) -> Code {
        self.kind.code
    }

    /// When it makes sense to try again, as it was given.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the connection is to be closed: there is a request body that nobody will read, or the server stops.
    #[must_use]
    pub fn closes_connection(&self) -> bool {
        self.kind.closes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_refusal_says() {
        let check = |refusal: Refusal, status: u16, closes, problem_type, detail| {
            assert_eq!(refusal.status(), status);
            assert_eq!(refusal.closes_connection(), closes);
            assert_eq!(refusal.problem_type(), format!("urn:tower-lifeline:{problem_type}"));
            assert_eq!(refusal.detail(), detail);
            assert_eq!(refusal.code(), Code::DeadlineExceeded);
            assert_eq!(refusal.retry_after(), None);
        };
        let (half, ten) = (Duration::from_millis(1_500), Duration::from_secs(10));
        check(
            Refusal::headers_timeout(half),
            504,
            false,
            "headers-timeout",
            "No response was ready within 1.5s.",
        );
        check(
            Refusal::total_timeout(ten),
            504,
            false,
            "total-timeout",
            "The whole request has 10s, and no response was ready by then.",
        );
        check(Refusal::upstream_timeout("No connection."), 504, false, "upstream-timeout", "No connection.");
        check(
            Refusal::deadline_exceeded(ten),
            504,
            false,
            "deadline-exceeded",
            "The request allowed 10s, and no response was ready by then.",
        );
        check(
            Refusal::request_body_gap_timeout(ten),
            408,
            true,
            "request-body-gap-timeout",
            "Nothing of the request body came for 10s.",
        );
        check(
            Refusal::request_body_timeout(ten),
            408,
            true,
            "request-body-timeout",
            "The request body was not complete within 10s.",
        );
    }
}
