//! sidecar

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

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_lifeline::observe::metrics::{BUCKETS, MetricsSink};
use tower_lifeline::*;

use crate::flags::Settings;
use crate::proxy::Proxy;
use crate::upgrade::Tunnels;
use crate::upstream::Upstream;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let settings = match Settings::read(std::env::args_os().skip(1), std::env::vars_os()) {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            print!("{}", flags::help());
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            eprintln!("sidecar: {error}\n--help tells what there is.");
            return Ok(ExitCode::from(2));
        }
    };
    let drain = Drain::new().window(Duration::from_secs(1)).deadline(Duration::from_secs(3));
    let scrape = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    let observer = Observer::new().sink(MetricsSink::new());
    let tunnels = Tunnels::default();
    let connect = ConnectTimeoutLayer::new(settings.connect);
    let upstream = Upstream::new(settings.upstream, settings.http2, connect);
    let service = ServiceBuilder::new()
        .layer(ObserveLayer::new(&observer))
        .layer(DrainLayer::new(&drain))
        .layer(HeartbeatLayer::every(Duration::from_millis(500)))
        .layer(
            EarlyLayer::after(Duration::from_millis(500))
                .heartbeat(Heartbeat::every(Duration::from_millis(500))),
        )
        .layer(TimeoutLayer::new(Timeouts::new().headers(Duration::from_secs(10))))
        .service(Proxy::new(upstream, tunnels.clone()));
    // Signals count from the first poll on, and so before anybody is told that it runs.
    let mut stop = Box::pin(drain.on_signal());
    let _not_yet = futures_util::poll!(&mut stop);
    let listener = TcpListener::bind(settings.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    if let Some(admin) = settings.admin {
        let listener = TcpListener::bind(admin).await?;
        println!("admin on {}", listener.local_addr()?);
        let routes = admin::routes(drain.clone(), scrape);
        tokio::spawn(async { axum::serve(listener, routes).await });
    }
    let serving = async {
        serve::serve(listener, service, stop).await?;
        tunnels.all_closed().await;
        Ok::<_, std::io::Error>(())
    };
    drain.bound(serving).await?;
    // Whoever has started it may be gone.
    let _ = writeln!(stdout(), "{}", drain.report());
    Ok(ExitCode::SUCCESS)
}
