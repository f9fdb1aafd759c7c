//! The service: a request goes to the upstream, and its response comes back, neither of them ever held in memory.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tower::Service;
use tower_lifeline::gate::{HeldPermit, PermitHandle};
use tower_lifeline::observe;
use tower_lifeline::{BoxError, Caller, Refusal};

use crate::expect::Answered;
use crate::headers::{self, Origin};
use crate::target::Target;
use crate::upgrade::Tunnels;
use crate::upstream::{Head, Upstream, refusal};

/// In a request's extensions: who sent it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What comes from the upstream, or what is said instead.
pub(crate) type Answer = Response<Either<Answered<Incoming>, Full<Bytes>>>;

/// Sends each request to the upstream. To drop its future, or the body of its response, takes the request back.
pub(crate) struct Proxy<B> {
    upstream: Upstream<B>,
    tunnels: Tunnels,
}

impl<B> Proxy<B> {
    pub(crate) fn new(upstream: Upstream<B>, tunnels: Tunnels) -> Self {
        Self { upstream, tunnels }
    }
}

impl<B> Clone for Proxy<B> {
    fn clone(&self) -> Self {
        Self { upstream: self.upstream.clone(), tunnels: self.tunnels.clone() }
    }
}

impl<B> Service<Request<B>> for Proxy<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let proxy = self.clone();
        let is_head = request.method() == Method::HEAD;
        Box::pin(async move {
            let answer = proxy.exchange(request).await;
            // What is said instead ends with its head, too (RFC 9110, section 9.3.2); hyper sees to that on HTTP/1 alone.
            Ok(answer.map(|body| match body {
                Either::Right(_) if is_head => Either::Right(Full::default()),
                body => body,
            }))
        })
    }
}

impl<B> Proxy<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    async fn exchange(self, mut request: Request<B>) -> Answer {
        let caller = Caller::of_request(&request);
        let client = hyper::upgrade::on(&mut request);
        let (mut request, body) = request.into_parts();
        let target = match Target::of(&request) {
            Ok(target) => target,
            Err((status, why)) => return said(status, why),
        };
        if !headers::can_be_framed(&request.headers) {
            return said(StatusCode::NOT_IMPLEMENTED, "Of transfer codings, only chunked is known.");
        }

        let upgrade = headers::upgrade(request.version, &request.headers);
        let upgrade = upgrade.filter(|_| self.upstream.can_upgrade());
        let asked = upgrade.is_some().then(|| {
            let permit = request.extensions.get().and_then(PermitHandle::hold);
            Asked { client, permit }
        });
        let origin = Origin {
            peer: request.extensions.get().map(|Peer(peer)| *peer),
            version: request.version,
            host: target.host.as_ref(),
        };
        headers::to_upstream(&mut request.headers, &origin, upgrade);
        let head = Head { method: request.method, path: target.path, headers: request.headers };
        match self.upstream.send(head, body).await {
            Ok(response) => self.answer(response, asked, &caller),
            Err(error) => match refusal(&*error) {
                Some(why) => refused(why, &caller),
                None => said(StatusCode::BAD_REQUEST, "The request has not come to its end."),
            },
        }
    }

    /// The upstream's answer as one to the client, which may have asked for another protocol.
    fn answer(
        &self,
        mut response: Response<Answered<Incoming>>,
        asked: Option<Asked>,
        caller: &Caller,
    ) -> Answer {
        // The framing is this server's own.
        *response.version_mut() = Version::HTTP_11;
        let mut switched_to = None;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(Asked { client, permit }) = asked else {
                let why = Refusal::upstream_failed(
                    "The upstream has changed the protocol, which nobody had asked for.",
                );
                return refused(why, caller);
            };
            switched_to = response.headers().get(UPGRADE).cloned();
            self.tunnels.connect(client, hyper::upgrade::on(&mut response), permit);
        }
        if !headers::can_be_framed(response.headers()) {
            return refused(Refusal::upstream_failed("The response has an unknown transfer coding."), caller);
        }
        headers::to_client(response.headers_mut(), switched_to);
        response.extensions_mut().insert(observe::Upstream::Relayed);
        response.map(Either::Left)
    }
}

/// What is needed to go on in another protocol.
struct Asked {
    client: OnUpgrade,
    permit: Option<HeldPermit>,
}

/// An answer in the caller's protocol, which is reported as the upstream's failure.
fn refused(why: Refusal, caller: &Caller) -> Answer {
    let mut answer = why.into_response(caller).map(Full::new).map(Either::Right);
    answer.extensions_mut().insert(observe::Upstream::Failed);
    answer
}

/// To a client that has done something wrong.
fn said(status: StatusCode, why: &'static str) -> Answer {
    let mut answer = Response::new(Either::Right(Full::new(Bytes::from_static(why.as_bytes()))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
