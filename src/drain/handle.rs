//! Drain: the settings, and the handle by which a server stops.

use std::fmt;
use std::future::{Future, IntoFuture, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use tokio::sync::watch;
use tokio::time::sleep;

use super::guests::{Began, Guests};
use super::report::{DrainReport, NAMED, Stood, Tally, Unfinished};
use crate::ConfigError;
use crate::body::{Timer, now};
use crate::error::valid;
use crate::jitter::Seeds;
use crate::reject::{Caller, Refusal, Renderer};

/// How a server with open streams stops: the settings of its [`DrainLayer`](super::DrainLayer)s, and the handle.
///
/// Clones are handles to the same drain. The setters make a drain of its own, so set first and share then.
///
/// # Defaults
///
/// | setting | value |
/// |---|---|
/// | [`window`](Self::window) | 5 s, or half of the deadline if that is less |
/// | [`deadline`](Self::deadline) | 30 s |
/// | [`grace`](Self::grace) | 1 s |
/// | [`notice`](Self::notice) | none |
/// | [`retry`](Self::retry) | about 2 s |
/// | [`arrivals`](Self::arrivals) | [`Arrivals::Refuse`] |
#[derive(Clone)]
pub struct Drain {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    settings: Settings,
    pub(super) guests: Guests,
    pub(super) tally: Tally,
    stage: watch::Sender<Stage>,
    seeds: Seeds,
}

#[derive(Clone)]
struct Settings {
    window: Option<Duration>,
    deadline: Duration,
    grace: Duration,
    notice: Duration,
    retry: Duration,
    arrivals: Arrivals,
    exempt: Option<Exempt>,
    renderer: Renderer,
}

type Exempt = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    Announced,
    Begun,
}

/// What becomes of requests that come while a server drains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arrivals {
    /// They are refused: 503 with a `Retry-After` and, in HTTP/1, `Connection: close`, in the caller's protocol.
    #[default]
    Refuse,
    /// They are let in, and leave as the others do.
    Admit,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// A drain with the defaults above, that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Settings {
            window: None,
            deadline: Duration::from_secs(30),
            grace: Duration::from_secs(1),
            notice: Duration::ZERO,
            retry: Duration::from_secs(2),
            arrivals: Arrivals::default(),
            exempt: None,
            renderer: Renderer::default(),
        })
    }

    fn of(settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                guests: Guests::new(),
                tally: Tally::default(),
                stage: watch::Sender::new(Stage::Open),
                seeds: Seeds::random(),
            }),
        }
    }

    fn with(&self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.inner.settings.clone();
        change(&mut settings);
        Self::of(settings)
    }

    /// Its window and its deadline.
    #[cfg(feature = "config")]
    pub(crate) fn times(&self) -> (Duration, Duration) {
        (self.inner.window(), self.inner.settings.deadline)
    }

    fn try_with(&self, change: impl FnOnce(&mut Settings)) -> Result<Self, ConfigError> {
        let drain = self.with(change);
        let Settings { window, deadline, .. } = drain.inner.settings;
        match window {
            Some(window) if window > deadline => Err(ConfigError::new(format!(
                "streams leave within the drain's deadline, got a window of {window:?} and a deadline of {deadline:?}"
            ))),
            _ => Ok(drain),
        }
    }

    /// The time over which streams are spread as they leave, so that their clients do not come back as one. Default: 5 s, or half
    /// of the deadline if that is less.
    ///
    /// # Panics
    ///
    /// When it is longer than the [`deadline`](Self::deadline). [`try_window`](Self::try_window) returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn window(self, window: Duration) -> Self {
        valid(self.try_window(window))
    }

    /// [`window`](Self::window) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When it is longer than the [`deadline`](Self::deadline).
    pub fn try_window(self, window: Duration) -> Result<Self, ConfigError> {
        self.try_with(|settings| settings.window = Some(window))
    }

    /// How long everybody has from the beginning of the drain; who is left then is cut. Default: 30 s.
    ///
    /// # Panics
    ///
    /// When the [`window`](Self::window) has been set and is longer. [`try_deadline`](Self::try_deadline) returns that as
    /// an error.
    #[must_use]
    #[track_caller]
    pub fn deadline(self, deadline: Duration) -> Self {
        valid(self.try_deadline(deadline))
    }

    /// [`deadline`](Self::deadline) that returns what is wrong with it.
    ///
    /// # Errors
    ///
    /// When the [`window`](Self::window) has been set and is longer.
    pub fn try_deadline(self, deadline: Duration) -> Result<Self, ConfigError> {
        self.try_with(|settings| settings.deadline = deadline)
    }

    /// How long [`bound`](Self::bound) and [`finished`](Self::finished) wait behind the deadline for those who are cut then
    /// to go. Default: 1 s.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        self.with(|settings| settings.grace = grace)
    }

    /// How long [`on_signal`](Self::on_signal) [announces](Self::announce) the drain before it begins: as long as the load
    /// balancer takes to notice that the readiness probe fails. Default: not at all.
    #[must_use]
    pub fn notice(self, notice: Duration) -> Self {
        self.with(|settings| settings.notice = notice)
    }

    /// When clients may come back: told to each `EventSource` that leaves (`retry`) and to each request that is refused
    /// (`Retry-After`), between half of it and one and a half, by chance. Default: 2 s.
    #[must_use]
    pub fn retry(self, about: Duration) -> Self {
        self.with(|settings| settings.retry = about)
    }

    /// What becomes of requests that come while the server drains. Default: [`Arrivals::Refuse`].
    #[must_use]
    pub fn arrivals(self, arrivals: Arrivals) -> Self {
        self.with(|settings| settings.arrivals = arrivals)
    }

    /// Requests that have nothing to do with the drain, such as health checks and metrics: never refused, never told, and
    /// nobody waits for them.
    #[must_use]
    pub fn exempt(self, exempt: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.exempt = Some(Arc::new(exempt)))
    }

    /// Makes the refusals some other way; see [`TimeoutLayer::render`](crate::TimeoutLayer::render).
    #[must_use]
    pub fn render(
        self,
        render: impl Fn(Refusal, &Caller) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.renderer = Renderer::of(render))
    }

    /// Says that the drain is about to begin, waits for so long, and [begins](Self::begin) it.
    ///
    /// Meanwhile requests are served as ever; [`is_announced`](Self::is_announced) is what a readiness probe answers by.
    /// To drop the future leaves it announced.
    pub async fn announce(&self, delay: Duration) {
        self.inner.reach(Stage::Announced);
        sleep(delay).await;
        self.begin();
    }

    /// Begins the drain: see the [module](super#what-happens-when). Once; further calls do nothing.
    pub fn begin(&self) {
        let at = now();
        let by = at.checked_add(self.inner.settings.deadline);
        let Some(woken) = self.inner.guests.begin(Began { at, by }) else {
            return;
        };
        // Before streams are woken, for handlers ask.
        self.inner.reach(Stage::Begun);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Whether the drain is about to begin, or has: what a readiness probe has to know.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        *self.inner.stage.borrow() >= Stage::Announced
    }

    /// Whether the drain has begun.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.inner.guests.is_begun()
    }

    /// Waits until the drain begins: for handlers that say goodbye in their own way. They find the drain in the request's
    /// extensions.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut stage = self.inner.stage.subscribe();
        // Holds a receiver and not the drain, or the sender would never go.
        async move {
            // An error says that the drain has gone, and then it never begins.
            if stage.wait_for(|stage| *stage == Stage::Begun).await.is_err() {
                pending().await
            }
        }
    }

    /// Waits until the drain has begun and everybody has gone, at the latest until the deadline and the
    /// [`grace`](Self::grace) have passed. Before somebody begins the drain it is never ready. To drop it changes nothing.
    pub async fn finished(&self) -> DrainReport {
        let mut stage = self.inner.stage.subscribe();
        let empty = stage.wait_for(|stage| *stage == Stage::Begun && self.inner.guests.present() == 0);
        first(async { drop(empty.await) }, self.overdue()).await;
        self.report()
    }

    /// What has become of everybody so far.
    #[must_use]
    pub fn report(&self) -> DrainReport {
        let Inner { guests, tally, .. } = &*self.inner;
        let mut report = tally.report(guests.present());
        let now = now();
        let over = guests.began().and_then(|began| began.by).is_some_and(|by| by <= now);
        if over {
            let unread = guests.who(NAMED).into_iter().map(|who| Unfinished::new(who, now, Stood::Unread));
            report.unfinished.extend(unread);
        }
        report
    }

    /// Runs a server until it returns, at the latest until the deadline and the [`grace`](Self::grace) have passed since
    /// the drain began. Then the server is dropped, and this is `Ok`: the [`report`](Self::report) says who was left.
    /// To drop this drops the server, and leaves the drain as it is.
    ///
    /// Connections that the server has spawned as tasks of their own, as axum's does, are not dropped with it: they end
    /// with the runtime, so return from `main`, or before that by a
    /// [`StallLayer`](crate::StallLayer) and its [`Disconnect`](crate::stall::Disconnect).
    ///
    /// A server's own graceful shutdown waits for its connections without end, and no layer sees what can hold one: half
    /// a request head, a client that does not read. With `hyper-util`, whose
    /// `GracefulShutdown::shutdown` returns nothing, map it to `Ok`.
    ///
    /// # Errors
    ///
    /// The server's own.
    pub async fn bound<S, E>(&self, serve: S) -> Result<(), E>
    where
        S: IntoFuture<Output = Result<(), E>>,
    {
        first(serve.into_future(), async {
            self.overdue().await;
            Ok(())
        })
        .await
    }

    /// Waits for SIGINT (Ctrl-C) or, on Unix, SIGTERM, then [announces](Self::announce) the drain for as long as
    /// [`notice`](Self::notice) says, and begins it: the future for `with_graceful_shutdown`.
    ///
    /// From its first poll on these signals do not end the process any more. A signal that cannot be listened to is never
    /// heard.
    #[cfg(feature = "signal")]
    pub fn on_signal(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let drain = self.clone();
        async move {
            super::signal::stop().await;
            drain.announce(drain.inner.settings.notice).await;
        }
    }

    /// The deadline and the grace have passed.
    async fn overdue(&self) {
        self.begun().await;
        let by = self.inner.guests.began().and_then(|began| began.by);
        match by.and_then(|by| by.checked_add(self.inner.settings.grace)) {
            Some(until) => {
                let mut timer = pin!(Timer::new(until));
                poll_fn(|cx| timer.as_mut().poll_at(until, cx)).await;
            }
            None => pending().await,
        }
    }
}

/// The first of the two; at a tie the former.
pub(super) async fn first<T>(former: impl Future<Output = T>, latter: impl Future<Output = T>) -> T {
    let (mut former, mut latter) = (pin!(former), pin!(latter));
    poll_fn(|cx| match former.as_mut().poll(cx) {
        Poll::Pending => latter.as_mut().poll(cx),
        done @ Poll::Ready(_) => done,
    })
    .await
}

impl Inner {
    pub(super) fn admits_late(&self) -> bool {
        self.settings.arrivals == Arrivals::Admit
    }

    pub(super) fn is_exempt(&self, request: &Parts) -> bool {
        self.settings.exempt.as_ref().is_some_and(|exempt| exempt(request))
    }

    pub(super) fn looks_at_requests(&self) -> bool {
        self.settings.exempt.is_some()
    }

    pub(super) fn deadline(&self) -> Duration {
        self.settings.deadline
    }

    fn window(&self) -> Duration {
        let Settings { window, deadline, .. } = self.settings;
        window.unwrap_or((deadline / 2).min(Duration::from_secs(5)))
    }

    /// A moment in the window for somebody who hears of the drain now.
    pub(super) fn leaves_at(&self, began: Began, now: Instant) -> Option<Instant> {
        let at = began.at.max(now);
        let at = at.checked_add(self.seeds.next().up_to(self.window()));
        at.into_iter().chain(began.by).min()
    }

    /// When this one may come back.
    pub(super) fn retry(&self) -> Duration {
        self.seeds.next().about(self.settings.retry)
    }

    /// The answer to somebody who came too late.
    pub(super) fn refuse(&self, caller: &Caller) -> Response<Bytes> {
        self.tally.refused();
        self.answer(Refusal::draining(), caller)
    }

    /// The answer to somebody whose handler had none in time.
    pub(super) fn cut(&self, caller: &Caller) -> Response<Bytes> {
        self.answer(Refusal::drained(self.settings.deadline), caller)
    }

    fn answer(&self, refusal: Refusal, caller: &Caller) -> Response<Bytes> {
        self.settings.renderer.answer(refusal.with_retry_after(self.retry()), caller)
    }

    /// Somebody who waits may have something to see.
    pub(super) fn tell(&self) {
        self.stage.send_modify(|_| ());
    }

    fn reach(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let later = *now < stage;
            if later {
                *now = stage;
            }
            later
        });
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("stage", &*self.stage.borrow())
            .field("present", &self.guests.present())
            .field("window", &self.settings.window)
            .field("deadline", &self.settings.deadline)
            .finish_non_exhaustive()
    }
}
