//! A reverse proxy for servers that are not in Rust: all of this crate in front of any upstream.
//!
//! ```text
//! cargo run --release --example sidecar -- \
//!     --listen 127.0.0.1:8080 --upstream http://127.0.0.1:9000 --admin 127.0.0.1:9901 \
//!     --preset llm --path-hops nginx,aws-alb --gate-limit 512
//! ```
//!
//! Point what is in front of your server at `--listen`, and leave the server as it is. Each flag is a variable, too
//! (`--first-byte 60s` is `LIFELINE_FIRST_BYTE=60s`), and wins over it; `--help` lists them. A wrong one is refused with a
//! sentence, before anything listens.
//!
//! - HTTP/1.1 and HTTP/2 without TLS on one port. The upstream speaks HTTP/1.1 (`http://`) or HTTP/2 (`h2c://`, which gRPC
//!   needs).
//! - Requests and responses are streamed, with their trailers, and are never held in memory. What comes out is what went in,
//!   but for what the layers add to event streams (see their pages) and the headers of one connection (`headers.rs`).
//! - The upstream is told who asks: `Host` as the client sent it, `Via`, `X-Forwarded-For`, `-Host` and `-Proto`. What comes
//!   in of these is believed, and added to.
//! - A client that leaves takes its request back from the upstream; so does one that closes its half of a connection.
//! - No connection to the upstream is 502, one that takes too long 504, in the caller's protocol. A connection that the
//!   upstream closes just as it is used again costs no request that changes nothing: it is sent once more.
//! - WebSockets and other upgrades pass, but to another HTTP. `CONNECT` does not: this is no forward proxy, and whatever
//!   host a request names, it goes to the one upstream.
//! - `--admin`: `/healthz` for a readiness probe, which turns red when the server is about to stop, and `/metrics` for
//!   Prometheus: who ended each stream and why, and what on the way cuts them. That is written to stderr, too.
//! - SIGTERM or Ctrl-C: streams leave between two events with a goodbye, spread over `--drain-window`; at
//!   `--drain-deadline` all is over, upgraded connections included, which nobody can ask to leave.
//!
//! `proxy.rs` is the service, and the place to begin. What it does not do: TLS, caching, more than one upstream, HTTP/3,
//! interim responses other than 100, WebSockets over HTTP/2.

mod admin;
mod expect;
mod flags;
mod headers;
mod http1;
mod http2;
mod proxy;
mod serve;
mod target;
mod upgrade;
mod upstream;

use std::env;
use std::fmt::Display;
use std::io::{self, Write, stderr, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tower::Layer;
use tower_lifeline::drain::DrainReport;
use tower_lifeline::observe::metrics::{BUCKETS, MetricsSink};

use tower_lifeline::{BoxError, Config, ConfigError, Drain, Lifeline, Observer};

use crate::flags::Settings;
use crate::proxy::Proxy;
use crate::upgrade::Tunnels;
use crate::upstream::Upstream;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = match Settings::read(env::args_os().skip(1), env::vars_os()) {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            say(stdout(), flags::help().trim_end());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            say(stderr(), format_args!("sidecar: {error}\n--help tells what there is."));
            return ExitCode::from(2);
        }
    };
    match run(settings).await {
        Ok(report) => {
            say(stdout(), report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(stderr(), format_args!("sidecar: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<DrainReport, BoxError> {
    let drain = settings.stack.drain()?;
    let scrape = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    let (lifeline, metrics) = lifeline(&settings.stack, &drain)?;
    let tunnels = Tunnels::default();
    let upstream = Upstream::new(settings.upstream, settings.http2, settings.connect);
    let service = lifeline.layer(Proxy::new(upstream, tunnels.clone()));

    // Signals count from the first poll on, and so before anybody is told that it runs.
    let mut stop = Box::pin(drain.on_signal());
    let _not_yet = futures_util::poll!(&mut stop);
    let listener = bind(settings.listen).await?;
    say(stdout(), format_args!("listening on {}", listener.local_addr()?));
    if let Some(admin) = settings.admin {
        let listener = bind(admin).await?;
        say(stdout(), format_args!("admin on {}", listener.local_addr()?));
        let routes = admin::routes(drain.clone(), metrics, scrape);
        tokio::spawn(async { axum::serve(listener, routes).await });
    }
    let serving = async {
        serve::serve(listener, service, stop).await?;
        tunnels.all_closed().await;
        Ok::<_, io::Error>(())
    };
    drain.bound(serving).await?;
    Ok(drain.report())
}

/// All layers, as they were asked for, and what they count.
fn lifeline(config: &Config, drain: &Drain) -> Result<(Lifeline, MetricsSink), ConfigError> {
    let mut asked = Lifeline::sse().configured(config)?.drain(drain);
    let mut metrics = MetricsSink::new();
    if let Some(gate) = config.gate()? {
        // An upgraded connection keeps its permit.
        let gate = gate.holdable();
        metrics = metrics.gate("upstream", &gate);
        asked = asked.gate(gate);
    }
    let observer = Observer::new().sink(metrics.clone()).sink(admin::Findings);
    Ok((asked.observe(&observer).build()?, metrics))
}

async fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(at).await;
    bound.map_err(|error| io::Error::new(error.kind(), format!("{at}: {error}")))
}

/// Whoever has started it may be gone, so that nobody reads this.
fn say(mut to: impl Write, text: impl Display) {
    let _ = writeln!(to, "{text}");
}
