//! Settings from the environment, or from a file by way of serde (feature `config`).
//!
//! All are optional, and have the same names everywhere: `inter_chunk` in a file is `LIFELINE_INTER_CHUNK` in the environment,
//! when the prefix is `LIFELINE_`. An unknown name or a value that cannot be read is an error that says the name, the value
//! and what was expected; so is a setting that contradicts another one, when the stack is built.
//!
//! ```
//! use tower_lifeline::Config;
//!
//! let config = Config::from_pairs([("heartbeat", "15s"), ("gate_limit", "512"), ("path_hops", "nginx, AWS ALB")]);
//! assert!(config.is_ok());
//!
//! let error = Config::from_pairs([("first_byte", "60")]).unwrap_err();
//! assert_eq!(error.to_string(), r#"first_byte: expected a duration like 15s or 250ms, or off, got "60""#);
//! ```
//!
//! | name | value | sets |
//! |---|---|---|
//! | `preset` | `sse`, `llm`, `mcp`, `grpc` or `plain` | where the stack [starts from](crate::stack#the-presets) |
//! | `heartbeat` | duration or `off` | [`Heartbeat::every`](crate::Heartbeat::every) |
//! | `headers`, `first_byte`, `inter_chunk`, `total` | duration or `off` | [`Timeouts`](crate::Timeouts) |
//! | `request_body` | duration or `off` | [`RequestBodyTimeoutLayer::gap`](crate::RequestBodyTimeoutLayer::gap) |
//! | `stall` | duration or `off` | [`StallLayer::new`](crate::StallLayer::new) |
//! | `gate_limit` | count or `off` | [`Gate::new`](crate::Gate::new) |
//! | `gate_queue` | count | [`Gate::queue`](crate::Gate::queue) |
//! | `gate_wait` | duration | [`Gate::max_wait`](crate::Gate::max_wait) |
//! | `early` | duration or `off` | [`EarlyLayer::after`](crate::EarlyLayer::after) |
//! | `max_age` | duration or `off` | [`DrainLayer::max_age`](crate::DrainLayer::max_age) |
//! | `drain_window` | duration | [`Drain::window`](crate::Drain::window) |
//! | `drain_deadline` | duration | [`Drain::deadline`](crate::Drain::deadline) |
//! | `path_hops` | [names](crate::Hop::named_preset) of presets with commas between them, such as `nginx,aws-alb,fly-io`; those with a lifetime (Envoy 15 s, Google's ALB 30 s, Cloud Run 300 s) set `max_age`, unless that is given | [`HopPath::through`](crate::HopPath::through) |
//!
//! All else is said in code: reports, trust in deadlines, a minimum rate, a cap for each key. [`Config::gate`] and
//! [`Config::drain`] make what they ask for as handles, for settings that have no name here. A drain is begun by whoever has
//! its handle, and `from_env` makes one only where one of its times or an age is set. A server that is to stop gracefully
//! whatever is set makes its own, [`Config::drain`], and gives the builder both
//! ([`configured`](crate::LifelineBuilder::configured), [`drain`](crate::LifelineBuilder::drain)).
//!
//! A prefix is for these settings alone. Where an orchestrator makes variables of its own, a `LIFELINE_PORT` for a service called
//! `lifeline` for one, take another prefix.
//!
//! A duration has a number and a unit, or several of them: `250ms`, `15s`, `1m 30s`, `1h`.

mod key;
mod settings;

pub(crate) use key::Key;
pub use settings::Config;
pub(crate) use settings::Value;
