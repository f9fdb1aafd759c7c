//! Why an answer becomes an in-stream error, in no format yet.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};

use super::late::Late;
use super::splice::is_json;
use crate::dialect::essence;
use crate::gate::Shed;
use crate::reject::{Code, RequestId};
use crate::{BoxError, TimeoutError};

/// What kind of answer it was that has no place in an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// Its status is an error, the [gate](crate::Shed)'s and the [timeouts](TimeoutError)' refusals among them.
    Status,
    /// It sends the client elsewhere (3xx), which no client follows in the middle of a response.
    Redirect,
    /// It is compressed, or encoded in another way: plain bytes have already gone out.
    Encoded,
    /// It is of a type of which no event can be made.
    MediaType,
    /// Its body failed before any of it had gone out.
    Broken,
    /// There is none: the service failed.
    Service,
}

/// Why an answer that came behind an early head becomes an in-stream error: what an [`ErrorFormat`](super::ErrorFormat)
/// writes, and [`EarlyLayer::render`](super::EarlyLayer::render) is given.
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    late: Option<Late>,
    body: Bytes,
    truncated: bool,
    id: Option<RequestId>,
    error: Option<BoxError>,
}

/// How much of an error's body is told.
pub(super) const MOST_TOLD: usize = 16 * 1024;

impl Failure {
    pub(super) fn of_answer(kind: FailureKind, late: Late, id: Option<RequestId>) -> Self {
        Self { kind, late: Some(late), body: Bytes::new(), truncated: false, id, error: None }
    }

    pub(super) fn of_service(error: BoxError, id: Option<RequestId>) -> Self {
        let kind = FailureKind::Service;
        Self { kind, late: None, body: Bytes::new(), truncated: false, id, error: Some(error) }
    }

    /// The body has been read: this is its beginning, of [`MOST_TOLD`] bytes at most.
    pub(super) fn with_body(mut self, body: Bytes, truncated: bool) -> Self {
        self.body = body;
        self.truncated = truncated;
        self
    }

    /// The body broke off. An error status says more than that.
    pub(super) fn with_error(mut self, error: BoxError) -> Self {
        self.error = Some(error);
        self
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The status that says it best: the answer's own if that is an error or a redirect, and otherwise 500. The client
    /// saw 200.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match (self.kind, &self.late) {
            (FailureKind::Status | FailureKind::Redirect, Some(late)) => late.status,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One sentence for the client. It says nothing of [`error`](Self::error).
    #[must_use]
    pub fn message(&self) -> Cow<'static, str> {
        match self.kind {
            FailureKind::Status => self.status_message(),
            FailureKind::Redirect => match self.header(&LOCATION) {
                Some(to) => format!("The answer is a redirect to {to} ({}).", self.status()).into(),
                None => format!("The answer is a redirect ({}).", self.status()).into(),
            },
            FailureKind::Encoded => {
                let coding = self.header(&CONTENT_ENCODING).unwrap_or("transfer");
                format!("The answer has an encoding ({coding}) and cannot become events.").into()
            }
            FailureKind::MediaType => {
                let media_type = self.content_type().unwrap_or("without a content type");
                format!("The answer ({media_type}) cannot become events.").into()
            }
            FailureKind::Broken => "The answer broke off.".into(),
            FailureKind::Service => "The service failed.".into(),
        }
    }

    fn status_message(&self) -> Cow<'static, str> {
        let extensions = self.late.as_ref().map(|late| &late.extensions);
        if let Some(error) = extensions.and_then(|extensions| extensions.get::<TimeoutError>()) {
            return format!("The request timed out: {error}.").into();
        }
        if let Some(shed) = extensions.and_then(|extensions| extensions.get::<Shed>()) {
            return shed.refusal(self.status(), Duration::ZERO).detail().to_owned().into();
        }
        format!("The answer is an error ({}).", self.status()).into()
    }

    /// The failure as RPC protocols know it, where it is one of these.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        let extensions = self.late.as_ref().map(|late| &late.extensions);
        if let Some(shed) = extensions.and_then(|extensions| extensions.get::<Shed>()) {
            return Some(shed.refusal(self.status(), Duration::ZERO).code());
        }
        match self.status() {
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Some(Code::DeadlineExceeded),
            StatusCode::TOO_MANY_REQUESTS => Some(Code::ResourceExhausted),
            StatusCode::SERVICE_UNAVAILABLE => Some(Code::Unavailable),
            _ => None,
        }
    }

    /// The head that could not be sent. `None` when the service failed.
    #[must_use]
    pub fn late(&self) -> Option<&Late> {
        self.late.as_ref()
    }

    /// What the answer says it is made of.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.header(&CONTENT_TYPE)
    }

    /// The beginning of the body of an answer with an error status, 16 KiB at most. Empty for all else, and for what is no
    /// text.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether there was more of the body.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The `id` of the JSON-RPC request: a [`RequestId`] in the extensions of the answer or else of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    /// What the service or the body failed with. It is not meant for clients.
    #[must_use]
    pub fn error(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.error.as_deref()
    }

    /// When it makes sense to try again, if the answer says so in seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.header(&RETRY_AFTER)?.parse().ok().map(Duration::from_secs)
    }

    /// The whole of a body that is JSON.
    pub(super) fn json(&self) -> Option<&Bytes> {
        let json = self.content_type().is_some_and(|value| is_json(essence(value)));
        Some(&self.body).filter(|body| json && !self.truncated && self.error.is_none() && !body.is_empty())
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.late.as_ref()?.headers.get(name)?.to_str().ok()
    }
}
