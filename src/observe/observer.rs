//! Observer: the settings, the sinks, what has been inferred, and the handle to it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::request::Parts;
use http::{HeaderName, Request};

use super::cause::EndCause;
use super::draft::Draft;
use super::inference::{Disconnect, Finding, Inference, MOST_CLASSES};
use super::names::Names;
use super::report::{Opening, StreamReport};
use super::sink::{Sink, Sinks};
use crate::body::{Journal, now};
use crate::reject::Protocol;

/// Sees how streams end: the settings of an [`ObserveLayer`](super::ObserveLayer) and the handle to what has been
/// inferred while it runs.
///
/// Clones are handles to the same observer. The setters make an observer with other settings that has seen nothing yet, so
/// set first and share then.
///
/// # Defaults
///
/// | setting | value |
/// |---|---|
/// | [`sink`](Self::sink) | none |
/// | [`route`](Self::route) | with the feature `axum` the matched path, otherwise empty |
/// | [`path_class`](Self::path_class) | `all`: one class for each observer |
///
/// ```
/// use tower_lifeline::observe::{ObserveLayer, Observer, StreamReport};
///
/// let observer = Observer::new().sink(|report: &StreamReport| println!("{report}"));
/// let layer = ObserveLayer::new(&observer);
///
/// assert!(observer.findings().is_empty());
/// # let _ = layer;
/// ```
#[derive(Clone, Default)]
pub struct Observer {
    pub(super) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(super) sinks: Sinks,
    route: Option<Label>,
    class: Option<Label>,
    routes: Names,
    classes: Names,
    /// The class of those that nobody puts into one.
    all: Arc<str>,
    inference: Mutex<Inference>,
}

const MOST_ROUTES: usize = 256;

impl Default for Inner {
    fn default() -> Self {
        Self {
            sinks: Sinks::default(),
            route: None,
            class: None,
            routes: Names::at_most(MOST_ROUTES),
            classes: Names::at_most(MOST_CLASSES),
            all: "all".into(),
            inference: Mutex::default(),
        }
    }
}

type Label = Arc<dyn for<'a> Fn(&'a Parts) -> Cow<'a, str> + Send + Sync>;

impl Observer {
    /// An observer with the defaults above.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let Inner { sinks, route, class, .. } = &*self.inner;
        let (sinks, route, class) = (sinks.clone(), route.clone(), class.clone());
        let mut inner = Inner { sinks, route, class, ..Inner::default() };
        change(&mut inner);
        Self { inner: Arc::new(inner) }
    }

    /// One more place that reports go to: a closure, or anything else that is a [`Sink`].
    #[must_use]
    pub fn sink(self, sink: impl Sink + 'static) -> Self {
        self.with(|inner| inner.sinks.push(sink))
    }

    /// The label of a request's route. Up to 256 different ones are kept; what comes after them is `others`. Default: the
    /// path that axum has matched, with the feature `axum`; never the path itself, which anybody can make up.
    ///
    /// ```
    /// use tower_lifeline::observe::Observer;
    ///
    /// let observer = Observer::new().route(|request| match request.uri.path() {
    ///     "/chat" => "chat".into(),
    ///     _ => "rest".into(),
    /// });
    /// # let _ = observer;
    /// ```
    #[must_use]
    pub fn route(self, label: impl for<'a> Fn(&'a Parts) -> Cow<'a, str> + Send + Sync + 'static) -> Self {
        self.with(|inner| inner.route = Some(Arc::new(label)))
    }

    /// Which streams go the same way through the world, so that what cuts the one cuts the others too: by the listener, by
    /// the proxy in `Via`, by the country. Each class has its own findings; see [`Inference`] for what they take. Up to 64
    /// different ones are kept, and what comes after them is `others`: so let no client make them up. Default: all are of one
    /// class.
    #[must_use]
    pub fn path_class(
        self,
        class: impl for<'a> Fn(&'a Parts) -> Cow<'a, str> + Send + Sync + 'static,
    ) -> Self {
        self.with(|inner| inner.class = Some(Arc::new(class)))
    }

    /// What has been named so far.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.inner.inference().findings().cloned().collect()
    }

    /// Forgets what has been inferred: somebody has changed what stands in between. Adaptive heartbeats then may become
    /// slower again, as far as they have been told to [probe](crate::heartbeat::Pace::probe).
    pub fn forget(&self) {
        self.inner.inference().forget();
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("sinks", &self.inner.sinks.len()).finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn looks_at_requests(&self) -> bool {
        self.route.is_some() || self.class.is_some()
    }

    /// A request comes in. `parts` when somebody wants to see them.
    pub(super) fn open<B>(self: &Arc<Self>, mut request: Request<B>) -> (Request<B>, Box<Draft>) {
        let (mut route, mut class) = (None, None);
        if self.looks_at_requests() {
            let (parts, body) = request.into_parts();
            route = self.route.as_ref().map(|label| self.routes.get(&label(&parts)));
            class = self.class.as_ref().map(|label| self.classes.get(&label(&parts)));
            request = Request::from_parts(parts, body);
        }
        let opening = Opening {
            method: request.method().clone(),
            version: request.version(),
            route: route.unwrap_or_else(|| self.default_route(&request)),
            class: class.unwrap_or_else(|| Arc::clone(&self.all)),
            protocol: Protocol::of_request(request.headers()),
            resumed: request.headers().contains_key(LAST_EVENT_ID),
        };
        self.sinks.each(|sink| sink.opened(&opening));
        // One that is there already belongs to whoever is outside of this one, and all are told the same.
        let journal = Journal::open(request.extensions_mut());
        journal.knows_of(self.inference().idle_timer(&opening.class));
        (request, Box::new(Draft::new(Arc::clone(self), journal, opening)))
    }

    #[cfg(feature = "axum")]
    fn default_route<B>(&self, request: &Request<B>) -> Arc<str> {
        let matched = request.extensions().get::<axum::extract::MatchedPath>();
        self.routes.get(matched.map_or("", |matched| matched.as_str()))
    }

    #[cfg(not(feature = "axum"))]
    fn default_route<B>(&self, _: &Request<B>) -> Arc<str> {
        self.routes.get("")
    }

    pub(super) fn ended(&self, report: &StreamReport) {
        let finding = self.learn(report);
        self.sinks.each(|sink| sink.ended(report));
        if let Some(finding) = finding {
            self.sinks.each(|sink| sink.found(&finding));
        }
    }

    fn learn(&self, report: &StreamReport) -> Option<Finding> {
        if report.cause != EndCause::Abandoned {
            return None;
        }
        let mut disconnect = Disconnect::new(report.age, report.silence).survived(report.largest_gap);
        if report.status.is_none() {
            disconnect = disconnect.before_head();
        }
        if let Some(interval) = report.interval {
            disconnect = disconnect.beat(interval);
        }
        self.inference().disconnected(&report.opening.class, &disconnect, now())
    }

    // Nothing in here panics while the lock is held.
    fn inference(&self) -> MutexGuard<'_, Inference> {
        self.inference.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// WHATWG HTML, section 9.2.4: an `EventSource` that comes back says where it was.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
