//! A tonic server behind the stack, and a client that reads why its stream ends.
//! `cargo run -p real --example tonic_stream`; `serve` is the example.

use std::process::ExitCode;
use std::time::Duration;

use real::ticks::{self, Ticks};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower_lifeline::{BoxError, Drain, Lifeline, Timeouts};

async fn serve(listener: TcpListener, drain: Drain) -> Result<(), BoxError> {
    let lifeline = Lifeline::grpc()
        .timeouts(Timeouts::new().inter_chunk(Duration::from_millis(500)))
        .drain(&drain)
        .build()?;
    let server = Server::builder().layer(lifeline).add_routes(Routes::new(Ticks));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let stopped = drain.begun();
    drain.bound(server.serve_with_incoming_shutdown(incoming, stopped)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let drain = Drain::new();
    let server = tokio::spawn(serve(listener, drain.clone()));

    // Three messages, and then the producer hangs.
    let (messages, end) = ticks::read(at, ticks::HANG, 3, None).await;
    let status = end.err().ok_or("it ends with an error")?;
    println!("{} messages, then {:?}: {}", messages.len(), status.code(), status.message());
    drain.begin();
    server.await??;

    let as_promised = messages.len() == 3 && status.code() == tonic::Code::DeadlineExceeded;
    Ok(if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
