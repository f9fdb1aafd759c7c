//! What all streams of a layer share: the settings, and the source of their jitter.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::event::{Beats, HeartbeatEvent};
use super::news::News;
use super::settings::{Heartbeat, HeartbeatOverride};
use crate::StreamEnd;
use crate::body::Watch;
use crate::dialect::{Dialect, Place, Tracker};
use crate::jitter::Seeds;

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Heartbeat,
    pub(crate) seeds: Arc<Seeds>,
    /// Of one stream only.
    pub(crate) news: Option<News>,
}

impl Plan {
    pub(crate) fn new(settings: Heartbeat) -> Self {
        Self { settings, seeds: Arc::new(Seeds::random()), news: None }
    }

    /// The same for one stream that has something to tell in its beats.
    pub(crate) fn with_news(&self, news: News) -> Arc<Self> {
        let (settings, seeds) = (self.settings.clone(), Arc::clone(&self.seeds));
        Arc::new(Self { settings, seeds, news: Some(news) })
    }

    /// This plan, or one of its own for a response that wants to be different, or whose caller bears less.
    pub(crate) fn with(
        self: &Arc<Self>,
        wished: Option<&HeartbeatOverride>,
        longest: Option<Duration>,
    ) -> Arc<Self> {
        let longest = longest.filter(|longest| *longest < self.settings.interval || wished.is_some());
        if wished.is_none() && longest.is_none() {
            return Arc::clone(self);
        }
        let mut settings = self.settings.clone();
        if let Some(wished) = wished {
            settings = wished.apply(settings);
        }
        if let Some(longest) = longest {
            let interval = settings.interval.min(longest);
            settings = settings.beating_every(interval);
        }
        Arc::new(Self { settings, seeds: Arc::clone(&self.seeds), news: None })
    }

    /// A beat for this stream.
    pub(crate) fn bytes(&self, tracker: Tracker, first: bool) -> Bytes {
        let news = self.news.as_ref().filter(|_| tracker.place() == Place::Between);
        if let Some(bytes) = news.and_then(News::changed) {
            return bytes;
        }
        let dialect = match tracker {
            Tracker::NdJson(_) => Dialect::NdJson,
            Tracker::EventStream(_) | Tracker::Opaque | Tracker::Grpc(_) => Dialect::EventStream,
        };
        let pad_to = if first { self.settings.pad_first } else { 0 };
        self.settings.beat.padded(pad_to, dialect)
    }

    pub(crate) fn watch(&self) -> Watch {
        if self.settings.most_in_a_row < u32::MAX { Watch::Content } else { Watch::Nothing }
    }

    pub(crate) fn tell(&self, event: &HeartbeatEvent) {
        if let Some(hook) = &self.settings.hook {
            hook(event);
        }
    }

    pub(crate) fn ended(&self, end: StreamEnd, beats: Beats) {
        self.tell(&HeartbeatEvent::Ended { end, beats });
    }
}
