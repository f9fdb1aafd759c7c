//! What all streams of a layer share: the settings, and the source of their jitter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::event::{Beats, HeartbeatEvent};
use super::missed::Warnings;
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
    warnings: Arc<Warnings>,
    /// Of one stream only.
    pub(crate) news: Option<News>,
}

impl Plan {
    pub(crate) fn new(settings: Heartbeat) -> Self {
        Self { settings, seeds: Arc::new(Seeds::random()), warnings: Arc::default(), news: None }
    }

    /// The same for one stream that has something to tell in its beats.
    pub(crate) fn with_news(&self, news: News) -> Arc<Self> {
        Arc::new(Self { news: Some(news), ..self.changed(self.settings.clone()) })
    }

    fn changed(&self, settings: Heartbeat) -> Self {
        let (seeds, warnings) = (Arc::clone(&self.seeds), Arc::clone(&self.warnings));
        Self { settings, seeds, warnings, news: None }
    }

    /// This plan, or one of its own for a response that wants to be different, whose caller bears less, or whose way has
    /// an idle timer.
    pub(crate) fn with(
        self: &Arc<Self>,
        wished: Option<&HeartbeatOverride>,
        longest: Option<Duration>,
        idle_timer: Option<Duration>,
    ) -> Arc<Self> {
        let paced =
            self.settings.pace.as_ref().map_or(self.settings.interval, |pace| pace.interval(idle_timer));
        let longest = longest.filter(|longest| *longest < paced || wished.is_some());
        if wished.is_none() && longest.is_none() && paced == self.settings.interval {
            return Arc::clone(self);
        }
        let mut settings = self.settings.clone().beating_every(paced);
        if let Some(wished) = wished {
            settings = wished.apply(settings);
        }
        if let Some(longest) = longest {
            let interval = settings.interval.min(longest);
            settings = settings.beating_every(interval);
        }
        Arc::new(self.changed(settings))
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
        let Heartbeat { most_in_a_row, after_content, .. } = self.settings;
        if most_in_a_row < u32::MAX || after_content { Watch::Content } else { Watch::Nothing }
    }

    pub(crate) fn tell(&self, event: &HeartbeatEvent, now: Instant) {
        self.warnings.tell(event, self.settings.interval, now);
        self.told(event);
    }

    fn told(&self, event: &HeartbeatEvent) {
        if let Some(hook) = &self.settings.hook {
            hook(event);
        }
    }

    pub(crate) fn ended(&self, end: StreamEnd, beats: Beats) {
        self.told(&HeartbeatEvent::Ended { end, beats });
    }
}
