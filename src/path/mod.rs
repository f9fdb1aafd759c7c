//! What stands between a server and its clients, and which seconds follow from it.
//!
//! Every proxy and load balancer has limits of its own, and the shortest of them decides. Name what is in front of you, and a
//! [`HopPath`] says how often to beat, when to send a head at the latest, and how old a stream may become.
//!
//! ```
//! use std::time::Duration;
//! use tower_lifeline::{Hop, HopPath};
//!
//! let path = HopPath::through([Hop::NGINX, Hop::HEROKU, Hop::new("our gateway").lifetime(Duration::from_secs(600))]);
//!
//! let budget = path.budget();
//! assert_eq!(budget.beat, Some(Duration::from_secs(15)));
//! assert_eq!(budget.early, Some(Duration::from_secs(10)));
//! assert_eq!(budget.max_age, Some(Duration::from_secs(540)));
//! ```
//!
//! It prints why, too:
//!
//! ```text
//! hop          idle   first byte   lifetime
//! nginx        60s    -            -
//! Heroku       55s    30s          -
//! our gateway  -      -            600s
//! beat every 15s: half of the shortest idle limit (Heroku, 55s), and no more than 15s
//! head within 10s: a third of the shortest limit on the first byte (Heroku, 30s), and no more than 10s
//! age up to 540s: nine tenths of the shortest lifetime (our gateway, 600s)
//! nginx holds bytes back unless it is told not to
//! ```
//!
//! # The numbers
//!
//! A beat goes out twice in the shortest idle limit, so that one that is late or lost does no harm. Fifteen seconds are what the
//! WHATWG HTML standard advises (section 9.2.7), so it is never less often. A limit on the first byte can only be met by an early
//! head ([`Budget::early`]): no heartbeat begins before the response does. A lifetime can be met by no beat at all; the stream
//! has to end in good time and come back ([`DrainLayer::max_age`](crate::DrainLayer::max_age)).
//!
//! Presets are what the vendor's documentation said in August 2026, as defaults; check what yours is set to, and change
//! them by the setters.

mod budget;
mod hop;

pub use budget::{Budget, HopPath};
pub use hop::Hop;
