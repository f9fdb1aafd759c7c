//! What can be wrong: a setting, or (boxed) anything below us.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The error type of everything that can fail in more than one way.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A setting that cannot work.
///
/// Its message says what was wanted and what was given. Constructors and setters panic with it; each has a `try_` twin
/// that returns it instead, for settings that come from a file or the environment.
///
/// ```
/// use std::time::Duration;
/// use tower_lifeline::Heartbeat;
///
/// let error = Heartbeat::try_every(Duration::ZERO).unwrap_err();
/// assert_eq!(error.to_string(), "a heartbeat interval is at least 1ms, got 0ns");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    message: Cow<'static, str>,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// The shortest that a timer tells apart, and so the shortest that a limit may be.
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// `what` has to be an end that can come at all: no limit is `None`, never zero.
pub(crate) fn at_least_a_millisecond(what: &str, limit: Duration) -> Result<Duration, ConfigError> {
    if limit < MILLISECOND {
        return Err(ConfigError::new(format!("{what} is at least {MILLISECOND:?}, got {limit:?}")));
    }
    Ok(limit)
}

/// The panicking half of every `x` / `try_x` pair; the panic points at the caller's line.
#[track_caller]
pub(crate) fn valid<T>(result: Result<T, ConfigError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// The source of an error that resets an HTTP/2 stream with `CANCEL`: hyper takes the code of the first `h2::Error` among
/// the sources.
#[cfg(feature = "h2")]
pub(crate) fn cancel() -> &'static h2::Error {
    static CANCEL: std::sync::LazyLock<h2::Error> = std::sync::LazyLock::new(|| h2::Reason::CANCEL.into());
    &CANCEL
}
