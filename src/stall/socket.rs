//! What the kernel can do about unsent bytes.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::SockRef;

use crate::error::at_least_a_millisecond;

/// Lets the kernel end a TCP connection whose bytes the peer has not acknowledged, or has had no room for, for so long
/// (`TCP_USER_TIMEOUT`). A connection with nothing unsent stays.
///
/// It needs no wrapper around the socket:
///
/// ```no_run
/// use std::time::Duration;
/// use axum::serve::ListenerExt;
/// use tower_lifeline::stall::set_user_timeout;
///
/// # async fn serve(app: axum::Router) -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let listener = listener.tap_io(|tcp| {
///     // A connection that cannot have it has gone already.
///     let _ = set_user_timeout(tcp, Duration::from_secs(60));
/// });
/// axum::serve(listener, app).await
/// # }
/// ```
///
/// # Errors
///
/// When the limit is shorter than a millisecond, which the kernel would take for none, or when this is no TCP socket.
pub fn set_user_timeout(socket: &impl AsFd, limit: Duration) -> io::Result<()> {
    let limit = at_least_a_millisecond("the user timeout", limit)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    SockRef::from(socket).set_tcp_user_timeout(Some(limit))
}
