//! 10,000 idle streams, in process: what a stay costs each of them, and what the beginning of a drain costs all.

use std::convert::Infallible;
use std::fs;
use std::time::Duration;

use axum::body::Body;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_lifeline::{BoxError, Drain, DrainLayer};

const STREAMS: usize = 10_000;

/// Of this process so far: seconds of CPU, and bytes of memory.
fn used() -> Result<(f64, usize), BoxError> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no such format")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    // Fields 14, 15 and 24 of proc(5), in ticks of 10 ms and pages of 4 KiB; the first two are cut off.
    let ticks: u32 = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
    Ok((f64::from(ticks) / 100.0, fields[21].parse::<usize>()? * 4096))
}

async fn open(layer: Option<&DrainLayer>) -> JoinSet<()> {
    let idle = || {
        let body = Body::from_stream(stream::pending::<Result<&'static str, Infallible>>());
        Response::builder().header("content-type", "text/event-stream").body(body).expect("a response")
    };
    let mut streams = JoinSet::new();
    for _ in 0..STREAMS {
        // As axum has it: each body in a box of its own.
        let body = match layer {
            None => Body::new(idle().into_body()),
            Some(layer) => {
                let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(idle()) });
                let Ok(answer) = layer.layer(service).oneshot(Request::new(())).await;
                Body::new(answer.into_body())
            }
        };
        streams.spawn(async move { drop(body.collect().await) });
    }
    sleep(Duration::from_millis(500)).await;
    streams
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (_, before) = used()?;
    let bare = open(None).await;
    let (_, after) = used()?;
    let each_bare = (after - before) / STREAMS;

    let drain = Drain::new().window(Duration::from_secs(5));
    let (_, before) = used()?;
    let mut draining = open(Some(&DrainLayer::new(&drain))).await;
    let (busy, after) = used()?;
    let each = (after - before) / STREAMS;
    println!("{STREAMS} idle streams: {each_bare} bytes each, {each} with a stay");

    sleep(Duration::from_secs(5)).await;
    let (idle, _) = used()?;
    println!("five idle seconds: {:.2} s of CPU", idle - busy);

    let began = Instant::now();
    drain.begin();
    while draining.join_next().await.is_some() {}
    let (done, _) = used()?;
    println!(
        "from its beginning to the last goodbye: {:.2} s of CPU in {:.1} s",
        done - idle,
        began.elapsed().as_secs_f64()
    );
    println!("{}", drain.report());
    drop(bare);
    Ok(())
}
