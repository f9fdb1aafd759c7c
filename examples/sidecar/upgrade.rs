//! A connection that has become one of another protocol: bytes in both directions, and nothing is known of them.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::sync::watch;
use tower_lifeline::gate::HeldPermit;

/// All tunnels there are. A server that stops waits for them as it does for connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tunnels {
    open: Arc<watch::Sender<()>>,
}

impl Tunnels {
    /// Connects the two as soon as both have said the last of HTTP. The permit is given back when one of them is gone.
    pub(crate) fn connect(&self, client: OnUpgrade, upstream: OnUpgrade, permit: Option<HeldPermit>) {
        let open = self.open.subscribe();
        tokio::spawn(async move {
            let _for_as_long = (open, permit);
            let Ok((client, upstream)) = tokio::try_join!(client, upstream) else { return };
            // Whichever side ends it, and however: there is nobody to tell.
            let _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await;
        });
    }

    /// Waits until there is none.
    pub(crate) async fn all_closed(&self) {
        self.open.closed().await;
    }
}
