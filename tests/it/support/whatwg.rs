//! An event stream as a client sees it.

use crate::transparency::reference::{Effect, effects};

/// What has reached a client, and what it keeps for its next attempt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) events: Vec<Event>,
    pub(crate) last_event_id: String,
    pub(crate) retry: Option<u64>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) data: String,
    pub(crate) last_event_id: String,
}

/// Everything that these bytes dispatch.
pub(crate) fn events(bytes: &[u8]) -> Vec<Event> {
    read(bytes).events
}

/// A client that has read these bytes.
pub(crate) fn read(bytes: &[u8]) -> Client {
    let mut client = Client::default();
    for effect in effects(bytes) {
        match effect {
            Effect::Event { kind, data, id } => client.events.push(Event { kind, data, last_event_id: id }),
            Effect::Id(id) => client.last_event_id = id,
            Effect::Retry(retry) => client.retry = retry.parse().ok(),
        }
    }
    client
}
