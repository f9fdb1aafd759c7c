//! The upstream by HTTP/1.1, over connections that are used again.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderValue, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::ext::on_informational;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_lifeline::BoxError;

use crate::expect::{Answered, Expected, says};
use crate::upstream::{Connector, Head};

/// Shorter than what servers allow, or a request meets a connection that is being closed. uvicorn and Node have 5 s.
const IDLE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Pool<B> {
    client: Client<Connector, Expected<B>>,
    authority: Authority,
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(connector: Connector, authority: Authority) -> Self {
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
        Self { client: client.build(connector), authority }
    }

    pub(crate) async fn send(
        &self,
        mut head: Head,
        body: Expected<B>,
    ) -> Result<Response<Answered<Incoming>>, BoxError> {
        let expects = head
            .headers
            .get(EXPECT)
            .is_some_and(|what| what.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let (body, said) = if expects { body.on_continue() } else { (body, None) };
        // hyper gives GET, HEAD and CONNECT no body of unknown length, unless they say so.
        if !body.is_end_stream() && !head.headers.contains_key(CONTENT_LENGTH) {
            head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let mut request = head.request(self.authority.clone(), Version::HTTP_11, body)?;
        if let Some(said) = said.clone() {
            on_informational(&mut request, move |response| says(&said, response.status()));
        }
        let response = self.client.request(request).await?;
        if let Some(said) = &said {
            says(said, response.status());
        }
        Ok(response.map(|body| Answered { body, said }))
    }
}
