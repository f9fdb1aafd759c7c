//! Asks every hop not to hold the response back, and tells the client what to expect.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, Entry, HeaderName, HeaderValue};

use super::settings::Heartbeat;

const WISHES: [(HeaderName, HeaderValue); 3] = [
    // nginx and those that follow it.
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    // RFC 9111, section 5.2.2; `no-transform` keeps compressors away that would not flush.
    (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
    // RFC 10036.
    (HeaderName::from_static("incremental"), HeaderValue::from_static("?1")),
];

/// What the handler has set stays.
pub(crate) fn ask_not_to_buffer(headers: &mut HeaderMap) {
    for (name, value) in WISHES {
        if let Entry::Vacant(vacant) = headers.entry(name) {
            vacant.insert(value);
        }
    }
}

const INTERVAL: HeaderName = HeaderName::from_static("heartbeat-interval");

/// A decimal of RFC 9651, section 3.3.2: at most three digits behind the point, and twelve before it.
pub(crate) fn declare_interval(headers: &mut HeaderMap, heartbeat: &Heartbeat) {
    // Without a beat there is nothing to promise.
    if heartbeat.beat.is_none() {
        return;
    }
    if let (Entry::Vacant(vacant), Some(value)) = (headers.entry(INTERVAL), seconds(heartbeat.interval)) {
        vacant.insert(value);
    }
}

fn seconds(interval: Duration) -> Option<HeaderValue> {
    // Up, because a client must not take for silence what is none.
    let millis = interval.as_nanos().div_ceil(1_000_000);
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    let text = match millis {
        _ if seconds >= 1_000_000_000_000 => return None,
        0 => seconds.to_string(),
        millis => format!("{seconds}.{millis:03}"),
    };
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_in_a_header() {
        let check = |interval, text: Option<&str>| {
            assert_eq!(
                seconds(interval),
                text.map(|text| HeaderValue::from_str(text).unwrap()),
                "{interval:?}"
            );
        };
        check(Duration::from_secs(15), Some("15"));
        check(Duration::from_millis(250), Some("0.250"));
        check(Duration::from_micros(1_000_001), Some("1.001"));
        check(Duration::MAX, None);
    }
}
