//! What must hold for every case: the bytes, the events, the silences.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, Sleep, sleep};
use tower_lifeline::{Beat, MidEvent};

use super::case::{Case, Ending, INTERVAL};
use super::reference::{BOM, Effect, effects};

/// What a case did behind an injector.
pub(crate) struct Trace {
    /// What the inner body gave, and when.
    pub(crate) given: Vec<(Duration, Bytes)>,
    /// What the client got.
    pub(crate) wire: Vec<Written>,
    ended: (Duration, Ending),
}

pub(crate) struct Written {
    at: Duration,
    pub(crate) bytes: Bytes,
    is_beat: bool,
    /// How many frames the inner body had given.
    given: usize,
}

/// The inner body: does what the case says and writes down what it did.
pub(crate) struct Producer {
    frames: VecDeque<(Duration, Bytes)>,
    ending: Option<(Duration, Ending)>,
    sleep: Option<Pin<Box<Sleep>>>,
    log: Rc<RefCell<Log>>,
}

struct Log {
    began: Instant,
    given: Vec<(Duration, Bytes)>,
    /// The last answer in this turn was no `Pending`.
    answered: bool,
}

/// The end of a case that ends in an error.
#[derive(Debug)]
pub(crate) struct Failed;

impl Body for Producer {
    type Data = Bytes;
    type Error = Failed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let this = &mut *self;
        this.log.borrow_mut().answered = false;
        let next = this.frames.front().map(|(silence, _)| *silence);
        let silence = next.or(this.ending.map(|(silence, _)| silence)).unwrap_or_default();
        if !silence.is_zero() {
            ready!(this.sleep.get_or_insert_with(|| Box::pin(sleep(silence))).as_mut().poll(cx));
        }
        this.sleep = None;
        let mut log = this.log.borrow_mut();
        log.answered = true;
        if let Some((_, bytes)) = this.frames.pop_front() {
            if !bytes.is_empty() {
                let at = log.began.elapsed();
                log.given.push((at, bytes.clone()));
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        Poll::Ready(match this.ending.take() {
            Some((_, Ending::Error)) => Some(Err(Failed)),
            Some((_, Ending::Trailers)) => Some(Ok(Frame::trailers(http::HeaderMap::new()))),
            Some((_, Ending::End)) | None => None,
        })
    }
}

impl Trace {
    /// Runs a case on a paused clock.
    pub(crate) fn of<B>(case: &Case, inject: impl FnOnce(Producer) -> B) -> Result<Self, Broken>
    where
        B: Body<Data = Bytes>,
    {
        thread_local! {
            static RUNTIME: Runtime = Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime without sockets needs nothing");
        }
        RUNTIME.with(|runtime| runtime.block_on(Self::read(case, inject)))
    }

    async fn read<B>(case: &Case, inject: impl FnOnce(Producer) -> B) -> Result<Self, Broken>
    where
        B: Body<Data = Bytes>,
    {
        let began = Instant::now();
        let log = Rc::new(RefCell::new(Log { began, given: Vec::new(), answered: false }));
        let producer = Producer {
            frames: case.frames.clone().into(),
            ending: Some(case.ending),
            sleep: None,
            log: Rc::clone(&log),
        };
        let mut body = pin!(inject(producer));
        let mut wire = Vec::new();
        let mut trailers = None;
        let ended = loop {
            let item = poll_fn(|cx| {
                log.borrow_mut().answered = false;
                body.as_mut().poll_frame(cx)
            })
            .await;
            let at = began.elapsed();
            match item.map(|result| result.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => {
                    let log = log.borrow();
                    wire.push(Written { at, bytes, is_beat: !log.answered, given: log.given.len() });
                }
                Some(Ok(Err(_))) => trailers = Some((at, Ending::Trailers)),
                Some(Err(_)) => break (at, Ending::Error),
                None => break trailers.unwrap_or((at, Ending::End)),
            }
            // The longest case has some thousand silences of at most sixteen intervals.
            holds(wire.len() < 1_000_000, || "it comes to an end".to_owned())?;
        };
        let given = std::mem::take(&mut log.borrow_mut().given);
        Ok(Self { given, wire, ended })
    }

    /// The first frames that the inner body gave, in one.
    fn inner(&self, frames: usize) -> Vec<u8> {
        self.given[..frames].iter().flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    pub(crate) fn all(&self, case: &Case) -> Result<(), Broken> {
        self.bytes_are_the_same(case)?;
        self.effects_are_the_same(case)?;
        self.silences_are_short(case)
    }

    /// Without the beats the bytes and the ending are the inner body's; only a BOM behind a first beat is gone.
    pub(crate) fn bytes_are_the_same(&self, case: &Case) -> Result<(), Broken> {
        let inner = self.inner(self.given.len());
        let passed: Vec<u8> =
            self.wire.iter().filter(|written| !written.is_beat).flat_map(|w| w.bytes.clone()).collect();
        let beat_first =
            self.wire.iter().find(|written| !written.bytes.is_empty()).is_some_and(|w| w.is_beat);
        let expected = if beat_first { inner.strip_prefix(BOM).unwrap_or(&inner) } else { &inner };
        equal("the inner bytes", &passed.escape_ascii().to_string(), &expected.escape_ascii().to_string())?;

        let took = case.frames.iter().map(|(silence, _)| *silence).sum::<Duration>() + case.ending.0;
        let (at, ending) = self.ended;
        equal("the ending", &ending, &case.ending.1)?;
        // An error right behind a frame waits until that has been flushed.
        let flush = if ending == Ending::Error { Duration::from_millis(5) } else { Duration::ZERO };
        if at < took || at > took + flush {
            equal("the time of the ending", &at, &took)?;
        }

        for (nth, beat) in self.wire.iter().filter(|written| written.is_beat).enumerate() {
            let expected = case.settings.nth_beat(nth).escape_ascii().to_string();
            equal("a beat", &beat.bytes.escape_ascii().to_string(), &expected)?;
        }
        Ok(())
    }

    /// A client sees the same, and the events of the beats where they were written.
    pub(crate) fn effects_are_the_same(&self, case: &Case) -> Result<(), Broken> {
        let mut expected = effects(&self.inner(self.given.len()));
        let before: Vec<_> = (0..=self.given.len()).map(|frames| effects(&self.inner(frames))).collect();
        for beat in self.wire.iter().rev().filter(|written| written.is_beat) {
            let before = &before[beat.given];
            let resume = before.iter().rev().find_map(|effect| match effect {
                Effect::Id(id) => Some(id.as_str()),
                Effect::Event { .. } | Effect::Retry(_) => None,
            });
            let said = effects(case.settings.beat.as_bytes()).into_iter().map(|effect| match effect {
                Effect::Event { kind, data, .. } => {
                    Effect::Event { kind, data, id: resume.unwrap_or_default().to_owned() }
                }
                other => other,
            });
            expected.splice(before.len()..before.len(), said);
        }
        let wire: Vec<u8> = self.wire.iter().flat_map(|written| written.bytes.clone()).collect();
        equal("what a client sees", &effects(&wire), &expected)
    }

    /// Where a beat may be written no silence is longer than the interval.
    pub(crate) fn silences_are_short(&self, case: &Case) -> Result<(), Broken> {
        // The timer's own grain.
        let most = INTERVAL + Duration::from_millis(1);
        let (mut since, mut given) = (Duration::ZERO, 0);
        let writes = self.wire.iter().filter(|written| !written.bytes.is_empty());
        let end = (self.ended.0, self.given.len());
        for (at, given_then) in writes.map(|written| (written.at, written.given)).chain([end]) {
            let silent = at - since;
            // What was given and not written at once is a BOM that is dropped, or may yet be one.
            let kept = self.given[given..].first().is_some_and(|(given_at, _)| *given_at < at);
            holds(silent <= most || kept || !self.takes_beat(case, given), || {
                format!("silence is short: {silent:?} from {since:?} on")
            })?;
            (since, given) = (at, given_then);
        }
        Ok(())
    }

    /// Whether the beat of this case may and can be written behind the first frames that the inner body gave.
    fn takes_beat(&self, case: &Case, frames: usize) -> bool {
        let bytes = self.inner(frames);
        let beat = case.settings.beat.as_bytes();
        let is_line = beat.starts_with(b":") && beat.iter().filter(|&&byte| byte == b'\n').count() == 1;
        if case.settings.beat == Beat::none() {
            return false;
        }
        if case.settings.mid_event == MidEvent::CommentLine && is_line && bytes.ends_with(b"\n") {
            return true;
        }
        let mut cuts = Vec::new();
        let mut length = 0;
        for (_, frame) in &self.given[..frames] {
            cuts.push(length);
            length += frame.len();
        }
        let mut pending = false;
        let mut at = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
        while at < bytes.len() {
            let Some(line) = bytes[at..].iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
                return false;
            };
            let end = at + line;
            // Only what has come in one piece and is not too long is told from a field.
            let unknown = line > 200 || cuts.iter().any(|&cut| at < cut && cut <= end);
            pending = match bytes[at] {
                _ if line == 0 => false,
                b':' => pending || unknown,
                _ => true,
            };
            at = end + if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
        }
        !pending
    }
}

/// A law does not hold.
#[derive(Debug)]
pub(crate) struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

fn holds(law: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if law { Ok(()) } else { Err(Broken(format!("not so: {}", what()))) }
}

pub(crate) fn equal<T: PartialEq + fmt::Debug>(what: &str, got: &T, expected: &T) -> Result<(), Broken> {
    if got == expected {
        Ok(())
    } else {
        Err(Broken(format!("{what}:\n     got {got:?}\nexpected {expected:?}")))
    }
}
