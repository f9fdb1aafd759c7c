//! A proxy in front of a model that thinks for longer than the hops on the way allow: the head goes out early, beats keep
//! the stream alive, the model's tokens pass as they come, and an error of the model is one that its clients raise.
//! `cargo run --example llm_proxy` plays both ends; `app` and `chat` are the example.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode, Uri};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::post};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tower_lifeline::early::ErrorFormat;
use tower_lifeline::{BoxError, EarlyLayer, Gate, Heartbeat, Hop, HopPath, Lifeline};

#[derive(Clone)]
struct Model {
    client: Client<HttpConnector, Body>,
    at: SocketAddr,
}

fn app(model: Model) -> Result<Router, BoxError> {
    let lifeline = Lifeline::llm()
        .path(HopPath::through([Hop::NGINX, Hop::AWS_ALB]))
        .gate(Gate::new(256).queue(64))
        // 10 s and 15 s where nobody waits for an example.
        .early(EarlyLayer::after(Duration::from_millis(200)).errors(ErrorFormat::OpenAi))
        .heartbeat(Heartbeat::every(Duration::from_millis(300)))
        .build()?;
    Ok(Router::new().route("/v1/chat/completions", post(chat)).with_state(model).layer(lifeline))
}

/// The request and the answer pass as they come; to drop either drops the other.
async fn chat(State(model): State<Model>, mut request: Request<Body>) -> Result<Response, StatusCode> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("http://{}{path}", model.at).parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let answer = model.client.request(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(answer.into_response())
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let at = serve(Router::new().route("/v1/chat/completions", post(thinks))).await?;
    let proxy = serve(app(Model { client: client.clone(), at })?).await?;

    let mut as_promised = true;
    for (asked, expected) in [
        ("tell me", ":\n:\n:\ndata: well\n\ndata: it depends\n\ndata: [DONE]\n\n"),
        ("fail", ":\n:\n:\ndata: {\"error\":"),
    ] {
        let uri: Uri = format!("http://{proxy}/v1/chat/completions").parse()?;
        let request = Request::post(uri).header("accept", "text/event-stream").body(Body::from(asked))?;
        let answer = client.request(request).await?;
        let status = answer.status();
        let seen = answer.into_body().collect().await?.to_bytes();
        let seen = String::from_utf8_lossy(&seen);
        println!("{asked:?}: {status}\n{seen}");
        as_promised &= status == StatusCode::OK && seen.starts_with(expected);
    }
    Ok(if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A model that says nothing for nearly a second.
async fn thinks(asked: String) -> Response {
    sleep(Duration::from_millis(950)).await;
    if asked == "fail" {
        return (StatusCode::TOO_MANY_REQUESTS, "no more today").into_response();
    }
    let tokens = stream::iter(["well", "it depends", "[DONE]"]);
    Sse::new(tokens.map(|token| Ok::<_, Infallible>(Event::default().data(token)))).into_response()
}

async fn serve(app: Router) -> Result<SocketAddr, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(at)
}
