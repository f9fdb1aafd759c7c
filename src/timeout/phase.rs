//! The phases of an exchange, each from one event to another.

use std::fmt;

/// A part of an exchange that can have a limit of its own.
///
/// ```text
///  call          request body     response head    first content       content         end
///   │                 read             │                 │                │             │
///   ├─ request total ─┤                │                 │                │             │
///   ├────────────── headers ───────────┤                 │                │             │
///   │                                  ├── first byte ───┤                │             │
///   │                                  │                 ├─ inter-chunk ──┼─ inter-chunk┤
///   ├──────────────────────────────── total ────────────────────────────────────────────┤
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// From the call of a connector to its connection, around a client: see
    /// [`ConnectTimeoutLayer`](super::ConnectTimeoutLayer).
    Connect,
    /// While the handler waits for the request body: from the moment when it begins to wait to the next bytes.
    RequestGap,
    /// From the call to the end of the request body.
    RequestTotal,
    /// From the call, or from the end of the request body if so chosen, to the response head.
    Headers,
    /// From the first time that somebody waits for the response body, which hyper does right behind the head, to its
    /// first content.
    FirstByte,
    /// While somebody waits for the response body: from the moment when that begins, behind content, to the next content.
    InterChunk,
    /// From the call to the end of the response body.
    Total,
    /// The same, up to the [`Deadline`](crate::Deadline) that the request brought along.
    Deadline,
}

impl Phase {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::RequestGap => "request gap",
            Self::RequestTotal => "request total",
            Self::Headers => "headers",
            Self::FirstByte => "first byte",
            Self::InterChunk => "inter-chunk",
            Self::Total => "total",
            Self::Deadline => "deadline",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
