//! Connections: HTTP/1 and HTTP/2 on one port, each bounded before its first request, and all of them when the server stops.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tower::{Service, ServiceExt};
use tower_lifeline::BoxError;
use tower_lifeline::stall::AbortableIo;

use crate::proxy::Peer;

/// For the first request of a connection, and for the head of each further one.
const HEAD: Duration = Duration::from_secs(30);
/// How soon a dead peer is looked for on a connection on which nothing happens.
const PING: Duration = Duration::from_secs(30);
/// What is held of an upload that the upstream reads slowly.
const STREAM_WINDOW: u32 = 256 * 1024;
/// As many uploads at a time are allowed on a connection; a proxy in front has those of many clients on one.
const STREAMS: u32 = 200;
/// When the process has as many files open as it may, trying again at once would only cost time.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// Serves until it is to stop, then until the last connection has ended. A drain's `bound` is for those that do not end.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut server = Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut http2 = server.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
    http2.max_concurrent_streams(STREAMS).initial_stream_window_size(STREAM_WINDOW);
    // Or a few of them that stand still would hold up all others.
    http2.initial_connection_window_size(STREAMS * STREAM_WINDOW);
    let server = Arc::new(server);
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let (tcp, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(_) => {
                    sleep(OUT_OF_FILES).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let service = service.clone();
        tokio::spawn(connection(Arc::clone(&server), graceful.watcher(), tcp, Peer(peer.ip()), service));
    }
    drop((listener, service));
    graceful.shutdown().await;
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}

async fn connection<S, B>(
    server: Arc<Builder<TokioExecutor>>,
    watcher: Watcher,
    tcp: TcpStream,
    peer: Peer,
    service: S,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    // Without them small frames wait, and a dead peer's upgraded connection stays. Neither is worth a connection.
    let _ = tcp.set_nodelay(true);
    let _ = SockRef::from(&tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(PING));
    // A stall layer ends it by its handle. To close it would leave what is unsent with the kernel for as long as its
    // client lives.
    let io = AbortableIo::new(tcp).on_abort(|tcp| drop(SockRef::from(tcp).set_linger(Some(Duration::ZERO))));
    let handle = io.handle();
    let asked = Arc::new(AtomicBool::new(false));
    let service = service.map_request({
        let asked = Arc::clone(&asked);
        move |mut request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(handle.clone());
            request
        }
    });
    let serving = server.serve_connection_with_upgrades(TokioIo::new(io), TowerToHyperService::new(service));
    let mut serving = pin!(watcher.watch(serving.into_owned()));
    // hyper-util waits without end for the bytes that tell HTTP/1 from HTTP/2, and HTTP/2 for a request.
    let in_time = tokio::select! {
        _ = &mut serving => return,
        () = sleep(HEAD) => asked.load(Ordering::Relaxed),
    };
    if in_time {
        // How it ends is seen in its streams.
        let _ = serving.await;
    }
}
