//! Streams as lines of text, for tests of your own (feature `test-util`).
//!
//! A stream is written down as *what comes when*, and read back the same way. On tokio's paused clock an hour of it
//! takes no time:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! use std::time::Duration;
//! use tower_lifeline::testing::{ImpatientProxy, script, timeline};
//! use tower_lifeline::{Heartbeat, HeartbeatBody};
//!
//! let proxy = ImpatientProxy::new().idle(Duration::from_secs(60));
//!
//! let slow = script("0s=a 90s=b 91s=end");
//! assert_eq!(timeline(proxy.carry_body(slow)).await, "0s=a 60s=error(proxy: silent for 60s)");
//!
//! let slow = script("0s=a 90s=b 91s=end");
//! let beating = HeartbeatBody::new(slow, Heartbeat::every(Duration::from_secs(40)));
//! assert_eq!(timeline(proxy.carry_body(beating)).await, "0s=a 40s=: 80s=: 90s=b 91s=end");
//! # }
//! ```
//!
//! # The notation
//!
//! Items are `time=what`, with white space between them; times count from the first poll and are like `0s`, `250ms`,
//! `1.5s` or `2m`.
//!
//! | what | bytes |
//! |---|---|
//! | `word` | an event, `data: word⏎⏎` |
//! | `:` or `:text` | a comment line, `:⏎` or `: text⏎` |
//! | `a+:+b` | several of these in one frame |
//! | `'raw\r\n'` | these bytes; `\r`, `\n`, `\t`, `\\`, `\'` and `\xEF` are escapes |
//! | `trailers(name:value)` | trailers with one field |
//! | `end` | the end |
//! | `error(text)` | an error that says so |
//! | `open` | drawn only: the stream was still open when [`timeline_for`] stopped looking |
//!
//! A script without `end` or `error` never ends.

mod notation;
mod proxy;
mod script;
mod timeline;

pub use proxy::{ImpatientProxy, ProxiedBody, ProxyCut};
pub use script::{Script, ScriptError, script};
pub use timeline::{timeline, timeline_for};
