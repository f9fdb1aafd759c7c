//! From what you see to what helps.
//!
//! | where | what you see | what it is | what helps |
//! |---|---|---|---|
//! | browser | `net::ERR_INCOMPLETE_CHUNKED_ENCODING`, `EventSource` reconnects at one interval | an idle timer on the way | [`HeartbeatLayer`](crate::HeartbeatLayer), and [`Hop`](crate::Hop) for its interval |
//! | Node | `TypeError: terminated`, `UND_ERR_SOCKET: other side closed` | the same, or the server was stopped | the same; [`DrainLayer`](crate::DrainLayer) |
//! | Node | `UND_ERR_HEADERS_TIMEOUT` after 300 s, `UND_ERR_BODY_TIMEOUT` | undici's own limits on head and silence | [`EarlyLayer`](crate::EarlyLayer) for the head, a heartbeat for the silence |
//! | Python | `httpx.RemoteProtocolError: peer closed connection without sending complete message body` | a hop or the server has cut a stream | see who: [`ObserveLayer`](crate::ObserveLayer) |
//! | Python | `httpx.ReadTimeout` | 5 s without a byte, httpx's default | a heartbeat below that, and [`EarlyLayer`](crate::EarlyLayer) where the handler thinks longer; the clients of OpenAI and Anthropic say their limit: [`trust_read_timeout`](crate::DeadlineLayer::trust_read_timeout) |
//! | Python, httpx-sse (older MCP SDKs) | an empty event, or a JSON error for one | a beat with a blank line, for a parser that takes it for an event | the default beat, [a comment line](crate::Beat::comment_line); another [for each request](crate::HeartbeatLayer::per_request) |
//! | nginx's log | `upstream timed out (110: Connection timed out) while reading upstream`, 504 | 60 s without a byte | [`HeartbeatLayer`](crate::HeartbeatLayer) |
//! | nginx's log | `... while reading response header from upstream`, 504 | no head within 60 s | [`EarlyLayer`](crate::EarlyLayer) |
//! | nginx's log | `upstream prematurely closed connection` | the server was stopped, or a body failed | [`DrainLayer`](crate::DrainLayer); the server's own log |
//! | ALB | 502 and `connection reset by target` at a deploy | open streams were cut | [`DrainLayer`](crate::DrainLayer) |
//! | Heroku | `H12 Request timeout`, `H15 Idle connection` | no head within 30 s; 55 s without a byte | [`EarlyLayer`](crate::EarlyLayer); [`HeartbeatLayer`](crate::HeartbeatLayer) |
//! | Cloudflare | 524 | no head in time | [`EarlyLayer`](crate::EarlyLayer) |
//! | anywhere | everything arrives at once, at the end | something buffers or compresses | the headers of [`HeartbeatLayer`](crate::HeartbeatLayer); no compression for event streams |
//! | anywhere | events come 40 ms late | [Nagle's algorithm](super#nagles-algorithm) | `TCP_NODELAY` |
//! | the server | shutdown hangs | an open stream, half a request head, or a client that does not read | [`Drain::bound`](crate::Drain::bound) |
//! | the server | shutdown is quick, and then all clients come back in the same second | nobody spreads them | [`Drain::window`](crate::Drain::window) |
//! | the server | memory grows with clients that do nothing | they do not read | [`StallLayer`](crate::StallLayer) |
//! | the server | each request takes longer and longer, and none fails | nobody is refused | [`GateLayer`](crate::GateLayer) |
//! | the server | a gate's `in_flight` never falls | bodies that nobody drops: stalled clients, or a permit that a handler [holds](crate::gate::PermitHandle) | [`StallLayer`](crate::StallLayer) outside of the gate |
//! | the server | `hyper::Error(IncompleteMessage)`, `disconnected before response completed` | a client or a hop has left | what to do about it says [`ObserveLayer`](crate::ObserveLayer) |
//! | the server | a beat comes late or never, though the layer is there | an event is half written, the client does not read, or a thread is blocked | the warnings of the feature [`tracing`](crate#features), or [`Heartbeat::on_event`](crate::Heartbeat::on_event) |
//! | the server | a layer has no effect on a route | `Router::layer` works on the routes that are there already | move it below them |
//!
//! # Who cuts my streams?
//!
//! Ask [`Inference`](crate::observe::Inference): it names an idle timer or a lifetime on the way by what it cuts, in a sentence
//! that says what to change.
