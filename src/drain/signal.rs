//! The signals by which a process is asked to stop.

use std::future::pending;
use std::io;

/// Waits for one of them.
pub(super) async fn stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let terminated = async {
            match signal(SignalKind::terminate()) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => pending().await,
            }
        };
        super::handle::first(interrupted(), terminated).await;
    }
    #[cfg(not(unix))]
    interrupted().await;
}

async fn interrupted() {
    let heard: io::Result<()> = tokio::signal::ctrl_c().await;
    if heard.is_err() {
        pending().await
    }
}
