//! A handler that streams from a slow upstream, with every external call bounded: the query, the connection, the
//! response head, the first token, the gaps between tokens, and all of it by the time that the caller has.
//! `cargo run --example upstream` goes wrong in each of these ways and prints what was bounded and how it ended.
//! `answer`, `find` and `model` are the example; all else is the stage.

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::iter;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response as Answer};
use axum::{Router, routing::get};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::BodyExt;
use hyper_util::client::legacy::{Client, connect::HttpConnector, connect::dns::Name};
use hyper_util::rt::TokioExecutor;
use rusqlite::Connection;
use tokio::net::TcpListener;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, layer::Layer, service_fn};
use tower_lifeline::{
    BoxError, ConnectTimeoutLayer, Deadline, DeadlineExceeded, DeadlineHeader, DeadlineLayer,
    PropagateDeadlineLayer, TimeoutError, TimeoutLayer, Timeouts,
};

/// Short ones, so that each is reached within seconds.
const DATABASE: Duration = ms(400);
const CONNECT: Duration = ms(600);
const HEADERS: Duration = ms(800);
const FIRST_TOKEN: Duration = ms(1_000);
const NEXT_TOKEN: Duration = ms(1_200);

fn app(model: Model) -> Router {
    let deadlines = DeadlineLayer::new()
        .trust(DeadlineHeader::RequestTimeout)
        .max(Duration::from_secs(60))
        .default(Duration::from_secs(30));
    // For all that the handler does besides.
    let timeouts = TimeoutLayer::new(Timeouts::new().headers(Duration::from_secs(10)));
    Router::new()
        .route("/answer/{model}", get(answer))
        .layer(ServiceBuilder::new().layer(deadlines).layer(timeouts))
        .with_state(model)
}

async fn answer(
    State(model): State<Model>,
    Path(name): Path<String>,
    deadline: Deadline,
) -> Result<Answer, Refused> {
    let url = deadline.at_most(DATABASE).bound(find(name)).await??;

    // What is kept is for telling the caller how it ended.
    let request = Request::get(url).extension(deadline.reserve(ms(100))).body(Body::empty())?;
    let answer = model.oneshot(request).await?;
    // No head came in time, and this answer is our own client's.
    if let Some(late) = answer.extensions().get::<TimeoutError>() {
        return Err((*late).into());
    }
    if !answer.status().is_success() {
        return Err(format!("the model says {}", answer.status()).into());
    }
    Ok(([(CONTENT_TYPE, "text/event-stream")], answer.into_body()).into_response())
}

/// A client of the upstream.
type Model = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

fn model() -> Model {
    let connector = ConnectTimeoutLayer::new(CONNECT).layer(connector());
    let client = Client::builder(TokioExecutor::new()).build(connector);
    // The stream is passed on as it is, so it says itself how it ended. A handler that reads it takes
    // `.ending(Ending::Abort)`, and gets an error.
    let timeouts =
        TimeoutLayer::new(Timeouts::new().headers(HEADERS).first_byte(FIRST_TOKEN).inter_chunk(NEXT_TOKEN));
    let layers = ServiceBuilder::new()
        .map_response(|answer: Response<_>| answer.map(Body::new))
        .map_err(BoxError::from)
        .layer(timeouts)
        .layer(PropagateDeadlineLayer::new(DeadlineHeader::RequestTimeout));
    BoxCloneSyncService::new(layers.service(client))
}

/// Where a model is. It stops when nobody waits for it any more.
async fn find(name: String) -> Result<String, BoxError> {
    let waiting = Arc::new(());
    let asker = Arc::downgrade(&waiting);
    let query = spawn_blocking(move || {
        let database = Connection::open(DATABASE_URI)?;
        // To drop a future stops no thread. This does: SQLite asks it once in a thousand steps.
        database.progress_handler(1_000, Some(move || asker.strong_count() == 0))?;
        database.query_row(LOOK_UP, [name], |row| row.get(0))
    });
    Ok(query.await??)
}

/// Why there is no stream.
struct Refused(StatusCode, String);

impl<E: Into<BoxError>> From<E> for Refused {
    fn from(error: E) -> Self {
        let error = error.into();
        // The innermost error knows what happened: the client's own only says that it could not connect.
        let mut cause: &(dyn Error + 'static) = &*error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let late = cause.is::<TimeoutError>() || cause.is::<DeadlineExceeded>();
        let status = if late { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
        Self(status, cause.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Answer {
        (self.0, self.1).into_response()
    }
}

/// Each caller has this many seconds.
const PATIENCE: &str = "3";

/// What goes wrong, the model that does it, and how it has to end.
const CALLS: [(&str, &str, &str); 7] = [
    ("nothing goes wrong", "well", "\"hello\" and 5 more, then the end"),
    ("the query has no index", "forgotten", "504: deadline exceeded: "),
    ("the name does not resolve", "lost", "504: no connection for "),
    ("the model does not answer", "hung", "504: no response head for "),
    ("only heartbeats come", "mute", "no token, then timeout {\"phase\":\"first byte\""),
    ("a token, then heartbeats", "stuck", "\"hello\", then timeout {\"phase\":\"inter-chunk\""),
    ("it has no end", "endless", "more, then timeout {\"phase\":\"deadline\""),
];

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let upstream = serve(upstream()).await?;
    let app = serve(app(model())).await?;
    // A database in memory is there for as long as it has a connection.
    let _database = fill_database(upstream)?;

    println!("Each caller has {PATIENCE} s.\n\n  after   what goes wrong             how it ends");
    let mut calls = JoinSet::new();
    for (wrong, model, expected) in CALLS {
        calls.spawn(async move {
            let began = Instant::now();
            let end = call(app, model).await?;
            println!("{:>5.1} s   {wrong:<27} {end}", began.elapsed().as_secs_f64());
            Ok::<_, BoxError>(end.contains(expected))
        });
    }
    let mut as_promised = true;
    while let Some(call) = calls.join_next().await {
        as_promised &= call??;
    }
    // Behind this the runtime waits for its threads: a query that runs on would be noticed.
    Ok(if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn serve(app: Router) -> Result<SocketAddr, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(address)
}

/// How a call ended.
async fn call(app: SocketAddr, model: &str) -> Result<String, BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(format!("http://{app}/answer/{model}")).header("request-timeout", PATIENCE);
    let answer = client.request(request.body(Body::empty())?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body);
    if !status.is_success() {
        return Ok(format!("{}: {body}", status.as_u16()));
    }

    let (body, end) = match body.split_once("event: timeout\ndata: ") {
        Some((before, said)) => (before, format!("timeout {}", said.trim_end())),
        None => (&*body, "the end".to_owned()),
    };
    let tokens: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    Ok(match tokens[..] {
        [] => format!("no token, then {end}"),
        [token] => format!("{token:?}, then {end}"),
        [first, ..] => format!("{first:?} and {} more, then {end}", tokens.len() - 1),
    })
}

const DATABASE_URI: &str = "file:/models?vfs=memdb";

/// Counts to the size of a model in order to find it.
const LOOK_UP: &str = "
    SELECT url FROM models WHERE name = ?1 AND size = (
        WITH RECURSIVE scan(row) AS (VALUES (1) UNION ALL SELECT row + 1 FROM scan WHERE row < size)
        SELECT max(row) FROM scan
    )";

fn fill_database(upstream: SocketAddr) -> rusqlite::Result<Connection> {
    let database = Connection::open(DATABASE_URI)?;
    database.execute_batch("CREATE TABLE models (name PRIMARY KEY, url, size)")?;
    for (_, model, _) in CALLS {
        let host = if model == "lost" { "lost" } else { "upstream" };
        let url = format!("http://{host}:{}/{model}", upstream.port());
        let size = if model == "forgotten" { i64::MAX } else { 1 };
        database.execute("INSERT INTO models VALUES (?1, ?2, ?3)", (model, url, size))?;
    }
    Ok(database)
}

/// Knows one name, and waits for all others for ever, as some resolvers do.
fn connector() -> HttpConnector<
    impl tower::Service<Name, Response = iter::Once<SocketAddr>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static,
> {
    HttpConnector::new_with_resolver(service_fn(async |name: Name| match name.as_str() {
        "upstream" => Ok(iter::once(SocketAddr::from(([127, 0, 0, 1], 0)))),
        _ => pending().await,
    }))
}

fn upstream() -> Router {
    Router::new()
        .route("/well", get(async || spoken(slowly(["hello", "this", "takes", "longer", "than", "any"]))))
        .route("/hung", get(pending::<()>))
        .route("/mute", get(async || spoken(stream::pending::<String>())))
        .route("/stuck", get(async || spoken(slowly(["hello"]).chain(stream::pending()))))
        .route("/endless", get(endless))
        .layer(DeadlineLayer::new().trust(DeadlineHeader::RequestTimeout))
}

/// An upstream that wants to know how long it has, and does not heed it.
async fn endless(deadline: Deadline) -> impl IntoResponse {
    let first = format!("{:.1?} are left", deadline.remaining());
    spoken(slowly(iter::once(first).chain(iter::repeat("and".to_owned()))))
}

fn slowly<T>(tokens: impl IntoIterator<Item = T>) -> impl Stream<Item = T> {
    stream::iter(tokens).then(async |token| {
        sleep(ms(300)).await;
        token
    })
}

/// Tokens as events, with heartbeats, which are no sign of life.
fn spoken<T: AsRef<str>>(tokens: impl Stream<Item = T> + Send + 'static) -> impl IntoResponse {
    let events = tokens.map(|token| Ok::<_, Infallible>(Event::default().data(token)));
    Sse::new(events).keep_alive(KeepAlive::new().interval(ms(200)))
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
