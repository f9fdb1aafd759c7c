//! What a header says about time, against a reading with text functions of the standard library; and what is written
//! reads back, and never gives more time.
//!
//! The first byte chooses the field, the rest is its value; `FF` begins another field of the same name.

#![no_main]

#[path = "../../src/deadline/header.rs"]
#[allow(dead_code)]
mod header;
#[path = "../../src/deadline/prefer.rs"]
mod prefer;

use std::time::Duration;

use header::{DeadlineHeader, Malformed, read_timeout};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some((choice, value)) = bytes.split_first() else {
        return Corpus::Reject;
    };
    let own = HeaderName::from_static("x-own");
    let header = match choice % 7 {
        0 => DeadlineHeader::GrpcTimeout,
        1 => DeadlineHeader::ConnectTimeoutMs,
        2 => DeadlineHeader::RequestTimeout,
        3 => DeadlineHeader::Seconds(own),
        4 => DeadlineHeader::Millis(own),
        5 => return other(value, "prefer", |headers| prefer::wait(headers).is_ok()),
        _ => return other(value, "x-stainless-read-timeout", |headers| read_timeout(headers).is_ok()),
    };
    let Some(headers) = fields(header.name(), value) else {
        return Corpus::Reject;
    };
    let read = header.read(&headers);
    assert_eq!(read, expected(&header, value), "{header:?}: \"{}\"", value.escape_ascii());
    if let Ok(Some(left)) = read {
        let written = HeaderMap::from_iter([(header.name().clone(), header.write(left))]);
        let back = header.read(&written).expect("well formed").expect("there");
        let least = Duration::from_nanos(if header == DeadlineHeader::GrpcTimeout { 1 } else { 1_000_000 });
        assert!(back <= left.max(least), "{header:?}: {left:?} came back as {back:?}");
    }
    Corpus::Keep
});

fn fields(name: &HeaderName, value: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for value in value.split(|byte| *byte == 0xFF) {
        headers.append(name.clone(), HeaderValue::from_bytes(value).ok()?);
    }
    Some(headers)
}

/// Here it is enough that nothing panics.
fn other(value: &[u8], name: &'static str, read: impl Fn(&HeaderMap) -> bool) -> Corpus {
    match fields(&HeaderName::from_static(name), value) {
        None => Corpus::Reject,
        Some(headers) => {
            read(&headers);
            Corpus::Keep
        }
    }
}

fn expected(header: &DeadlineHeader, value: &[u8]) -> Result<Option<Duration>, Malformed> {
    // Two fields have an `FF` between them, which is no digit; and so is no text.
    let text = std::str::from_utf8(value).map_err(|_| Malformed)?;
    let number = |text: &str, most: usize| {
        let digits = !text.is_empty() && text.len() <= most && text.chars().all(|c| c.is_ascii_digit());
        digits.then(|| text.parse::<u64>().expect("so few digits fit")).ok_or(Malformed)
    };
    let duration = match header {
        DeadlineHeader::GrpcTimeout => {
            let unit = text.chars().next_back().ok_or(Malformed)?;
            let each: u128 = match unit {
                'H' => 3_600_000_000_000,
                'M' => 60_000_000_000,
                'S' => 1_000_000_000,
                'm' => 1_000_000,
                'u' => 1_000,
                'n' => 1,
                _ => return Err(Malformed),
            };
            let nanos = u128::from(number(&text[..text.len() - 1], 8)?) * each;
            Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
        }
        DeadlineHeader::ConnectTimeoutMs | DeadlineHeader::Millis(_) => {
            Duration::from_millis(number(text, 10)?)
        }
        _ => match text.split_once('.') {
            None => Duration::from_secs(number(text, 10)?),
            Some((whole, part)) => {
                number(part, 3)?;
                Duration::from_secs(number(whole, 10)?)
                    + Duration::from_millis(number(&format!("{part:0<3}"), 3)?)
            }
        },
    };
    Ok(Some(duration))
}
