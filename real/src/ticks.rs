//! A gRPC service that counts, and its client. Written by hand, so that no `protoc` is needed.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status, client, server};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// The only message there is: of the client, how many it wants; of the server, which one it is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Tick {
    #[prost(uint32, tag = "1")]
    pub number: u32,
}

/// Gives as many ticks as it is asked for, and then ends.
pub const COUNT: &str = "/ticks.Ticks/Count";
/// The same, but never ends.
pub const HANG: &str = "/ticks.Ticks/Hang";
/// Never answers.
pub const NEVER: &str = "/ticks.Ticks/Never";

/// The server's end.
#[derive(Clone, Debug)]
pub struct Ticks;

impl NamedService for Ticks {
    const NAME: &'static str = "ticks.Ticks";
}

impl Service<http::Request<Body>> for Ticks {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let method = request.uri().path().to_owned();
            let method = service_fn(move |request| answer(method.clone(), request));
            Ok(server::Grpc::new(ProstCodec::default()).server_streaming(method, request).await)
        })
    }
}

async fn answer(
    method: String,
    request: Request<Tick>,
) -> Result<Response<BoxStream<'static, Result<Tick, Status>>>, Status> {
    let ticks = stream::iter(1..=request.into_inner().number).map(|number| Ok(Tick { number }));
    match &*method {
        COUNT => Ok(Response::new(ticks.boxed())),
        HANG => Ok(Response::new(ticks.chain(stream::pending()).boxed())),
        NEVER => pending().await,
        _ => Err(Status::unimplemented(method)),
    }
}

/// The client's end: the ticks that come, and how they end.
pub async fn read(
    at: SocketAddr,
    method: &'static str,
    ticks: u32,
    deadline: Option<Duration>,
) -> (Vec<u32>, Result<(), Status>) {
    let endpoint = Endpoint::from_shared(format!("http://{at}")).expect("an address");
    let mut grpc = client::Grpc::new(endpoint.connect().await.expect("connected"));
    grpc.ready().await.expect("the connection is good");
    let mut request = Request::new(Tick { number: ticks });
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    let mut numbers = Vec::new();
    let codec = ProstCodec::<Tick, Tick>::default();
    let answer = grpc.server_streaming(request, PathAndQuery::from_static(method), codec).await;
    let mut stream = match answer {
        Ok(response) => response.into_inner(),
        Err(status) => return (numbers, Err(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(tick)) => numbers.push(tick.number),
            Ok(None) => return (numbers, Ok(())),
            Err(status) => return (numbers, Err(status)),
        }
    }
}
