//! Decides: what a request's headers ask for, as far as they are trusted.

use std::time::Duration;

use http::HeaderMap;

use super::header::{self, DeadlineHeader, Malformed};
use super::prefer;

/// Which headers are believed.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    pub(super) deadlines: Vec<DeadlineHeader>,
    pub(super) prefer_wait: bool,
    pub(super) read_timeout: bool,
}

/// What a caller asks for, not clamped yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) deadline: Option<Duration>,
    pub(super) head: Option<Duration>,
    pub(super) silence: Option<Duration>,
    /// How many headers were there and could not be read.
    pub(super) malformed: u64,
}

impl Trust {
    pub(super) fn read(&self, headers: &HeaderMap) -> Asked {
        let mut asked = Asked::default();
        for header in &self.deadlines {
            let said = asked.count(header.read(headers));
            // Whoever says two things has waited long enough after the shorter one.
            asked.deadline = asked.deadline.into_iter().chain(said).min();
        }
        if self.prefer_wait {
            asked.head = asked.count(prefer::wait(headers));
        }
        if self.read_timeout {
            asked.silence = asked.count(header::read_timeout(headers));
        }
        asked
    }
}

impl Asked {
    fn count(&mut self, said: Result<Option<Duration>, Malformed>) -> Option<Duration> {
        said.unwrap_or_else(|Malformed| {
            self.malformed += 1;
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers<const N: usize>(fields: [(&'static str, &'static str); N]) -> HeaderMap {
        let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        HeaderMap::from_iter(fields.map(field))
    }

    #[test]
    fn each_header_is_read_only_when_it_is_trusted() {
        let headers = headers([
            ("grpc-timeout", "9S"),
            ("connect-timeout-ms", "8000"),
            ("prefer", "wait=7"),
            ("x-stainless-read-timeout", "6.0"),
        ]);
        assert_eq!(Trust::default().read(&headers), Asked::default());

        let s = |seconds| Some(Duration::from_secs(seconds));
        let mut trust = Trust { deadlines: vec![DeadlineHeader::GrpcTimeout], ..Trust::default() };
        assert_eq!(trust.read(&headers), Asked { deadline: s(9), ..Asked::default() });
        trust.deadlines.push(DeadlineHeader::ConnectTimeoutMs);
        assert_eq!(trust.read(&headers).deadline, s(8), "the shorter one");
        trust.prefer_wait = true;
        trust.read_timeout = true;
        let all = Asked { deadline: s(8), head: s(7), silence: s(6), malformed: 0 };
        assert_eq!(trust.read(&headers), all);
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_says_nothing() {
        let trust = Trust {
            deadlines: vec![DeadlineHeader::GrpcTimeout, DeadlineHeader::RequestTimeout],
            prefer_wait: true,
            read_timeout: true,
        };
        let garbage = headers([
            ("grpc-timeout", "soon"),
            ("request-timeout", "5"),
            ("prefer", "wait=soon"),
            ("x-stainless-read-timeout", "soon"),
        ]);
        let wanted = Asked { deadline: Some(Duration::from_secs(5)), malformed: 3, ..Asked::default() };
        assert_eq!(trust.read(&garbage), wanted);
    }
}
