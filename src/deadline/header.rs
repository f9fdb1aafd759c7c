//! Decides: what a header field says about time, and how time is said in one. Strict, and without a clock.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// A request header that says how much time a whole exchange has left: queue, head and body.
///
/// Each has one format. What is not exactly that (a sign, white space, another unit, a digit too many, the same field
/// twice) is malformed. Zero is not malformed: some clients send it when their time is already over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadlineHeader {
    /// `grpc-timeout: 1S`: 1 to 8 digits and one of `H`, `M`, `S`, `m`, `u`, `n` (gRPC over HTTP/2, "Requests").
    GrpcTimeout,
    /// `Connect-Timeout-Ms: 1000`: 1 to 10 digits, milliseconds (Connect protocol, "Unary-Request").
    ConnectTimeoutMs,
    /// `Request-Timeout: 1.5`: seconds, 1 to 10 digits, and optionally a point and 1 to 3 digits. No standard: the name
    /// and the whole seconds are those of the expired draft-thomson-hybi-http-timeout.
    RequestTimeout,
    /// A header of your own, in the format of [`RequestTimeout`](Self::RequestTimeout).
    Seconds(HeaderName),
    /// A header of your own, in the format of [`ConnectTimeoutMs`](Self::ConnectTimeoutMs), like Envoy's
    /// `x-envoy-expected-rq-timeout-ms`.
    Millis(HeaderName),
}

/// A field is there, and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
static CONNECT_TIMEOUT_MS: HeaderName = HeaderName::from_static("connect-timeout-ms");
static REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("request-timeout");
static READ_TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-read-timeout");

const MILLI: Duration = Duration::from_millis(1);
const NANO: Duration = Duration::from_nanos(1);

/// Finest first.
const GRPC_UNITS: [(u8, Duration); 6] = [
    (b'n', NANO),
    (b'u', Duration::from_micros(1)),
    (b'm', MILLI),
    (b'S', Duration::from_secs(1)),
    (b'M', Duration::from_secs(60)),
    (b'H', Duration::from_secs(3_600)),
];
const GRPC_DIGITS: usize = 8;
const GRPC_MOST: u128 = 99_999_999;

const DIGITS: usize = 10;
const MOST: u64 = 9_999_999_999;

/// Python writes a float as shortly as it can; 17 digits are enough for every one.
const FLOAT_DIGITS: usize = 17;

impl DeadlineHeader {
    /// The field's name.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        match self {
            Self::GrpcTimeout => &GRPC_TIMEOUT,
            Self::ConnectTimeoutMs => &CONNECT_TIMEOUT_MS,
            Self::RequestTimeout => &REQUEST_TIMEOUT,
            Self::Seconds(name) | Self::Millis(name) => name,
        }
    }

    pub(super) fn read(&self, headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
        let Some(value) = only(headers, self.name())? else {
            return Ok(None);
        };
        let read = match self {
            Self::GrpcTimeout => grpc(value),
            Self::ConnectTimeoutMs | Self::Millis(_) => digits(value, DIGITS).map(Duration::from_millis),
            Self::RequestTimeout | Self::Seconds(_) => seconds(value, 3),
        };
        read.map(Some).ok_or(Malformed)
    }

    /// Rounded down, so that nobody has more time than there is; but never to zero, which is no value in gRPC and
    /// Connect.
    pub(super) fn write(&self, left: Duration) -> HeaderValue {
        let text = match self {
            Self::GrpcTimeout => write_grpc(left.max(NANO)),
            Self::ConnectTimeoutMs | Self::Millis(_) => {
                left.max(MILLI).as_millis().min(MOST.into()).to_string()
            }
            Self::RequestTimeout | Self::Seconds(_) => write_seconds(left.max(MILLI)),
        };
        HeaderValue::from_str(&text).expect("digits, a point and a letter are a header value")
    }
}

/// `x-stainless-read-timeout`: seconds as Python writes a float, or `NOT_GIVEN`, which its client sends by mistake and
/// which says nothing.
pub(super) fn read_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    match only(headers, &READ_TIMEOUT)? {
        None | Some(b"NOT_GIVEN") => Ok(None),
        Some(value) => seconds(value, FLOAT_DIGITS).map(Some).ok_or(Malformed),
    }
}

/// `1*10DIGIT` seconds.
pub(super) fn whole_seconds(value: &[u8]) -> Option<Duration> {
    digits(value, DIGITS).map(Duration::from_secs)
}

/// Two fields of one name contradict each other, or somebody on the way has smuggled one in.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, Malformed> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(value.as_bytes())),
        (Some(_), Some(_)) => Err(Malformed),
    }
}

fn grpc(value: &[u8]) -> Option<Duration> {
    let (unit, number) = value.split_last()?;
    let (_, unit) = GRPC_UNITS.iter().find(|(letter, _)| letter == unit)?;
    unit.checked_mul(digits(number, GRPC_DIGITS)?.try_into().ok()?)
}

fn write_grpc(left: Duration) -> String {
    let said = GRPC_UNITS.iter().map(|(letter, unit)| (left.as_nanos() / unit.as_nanos(), *letter));
    let (number, letter) = said.clone().find(|(number, _)| *number <= GRPC_MOST).unwrap_or((GRPC_MOST, b'H'));
    format!("{number}{}", char::from(letter))
}

/// `1*10DIGIT [ "." 1*most_fraction DIGIT ]`; what is finer than a nanosecond is dropped.
fn seconds(value: &[u8], most_fraction: usize) -> Option<Duration> {
    let Some(point) = value.iter().position(|byte| *byte == b'.') else {
        return whole_seconds(value);
    };
    let (whole, fraction) = (&value[..point], &value[point + 1..]);
    digits(fraction, most_fraction)?;
    let nanos = fraction.iter().chain([b'0'; 9].iter()).take(9);
    let nanos = nanos.fold(0, |nanos, digit| nanos * 10 + u64::from(digit - b'0'));
    whole_seconds(whole)?.checked_add(Duration::from_nanos(nanos))
}

fn write_seconds(left: Duration) -> String {
    let left = left.min(Duration::from_secs(MOST));
    match left.subsec_millis() {
        0 => left.as_secs().to_string(),
        millis => format!("{}.{millis:03}", left.as_secs()),
    }
}

/// `1*most DIGIT`
fn digits(value: &[u8], most: usize) -> Option<u64> {
    if value.is_empty() || value.len() > most {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own() -> HeaderName {
        HeaderName::from_static("x-own")
    }

    fn all() -> [DeadlineHeader; 5] {
        use DeadlineHeader::*;
        [GrpcTimeout, ConnectTimeoutMs, RequestTimeout, Seconds(own()), Millis(own())]
    }

    fn read(header: &DeadlineHeader, value: &str) -> Result<Option<Duration>, Malformed> {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        header.read(&HeaderMap::from_iter([(header.name().clone(), value)]))
    }

    #[track_caller]
    fn reads(header: &DeadlineHeader, value: &str, wanted: Duration) {
        assert_eq!(read(header, value), Ok(Some(wanted)), "{header:?}: {value:?}");
    }

    #[track_caller]
    fn refuses(header: &DeadlineHeader, values: &[&str]) {
        for value in values {
            assert_eq!(read(header, value), Err(Malformed), "{header:?}: {value:?}");
        }
    }

    const GARBAGE: [&str; 14] =
        ["", " ", "S", "-1", "+1", " 1", "1 ", "1 S", "1e3", "0x1", "1_0", "١", "inf", "99999999999"];

    #[test]
    fn grpc_timeout_has_up_to_eight_digits_and_a_unit() {
        let header = DeadlineHeader::GrpcTimeout;
        reads(&header, "1H", Duration::from_secs(3_600));
        reads(&header, "2M", Duration::from_secs(120));
        reads(&header, "3S", Duration::from_secs(3));
        reads(&header, "4m", Duration::from_millis(4));
        reads(&header, "5u", Duration::from_micros(5));
        reads(&header, "6n", Duration::from_nanos(6));
        reads(&header, "0n", Duration::ZERO);
        reads(&header, "00000001S", Duration::from_secs(1));
        reads(&header, "99999999H", Duration::from_secs(99_999_999 * 3_600));
        refuses(&header, &GARBAGE);
        refuses(&header, &["100000000n", "1", "1s", "1h", "1SS", "S1", "1.5S", "-1S", "1 S", " 1S", "1S "]);
    }

    #[test]
    fn milliseconds_have_up_to_ten_digits() {
        for header in [DeadlineHeader::ConnectTimeoutMs, DeadlineHeader::Millis(own())] {
            reads(&header, "0", Duration::ZERO);
            reads(&header, "1500", Duration::from_millis(1_500));
            reads(&header, "9999999999", Duration::from_millis(9_999_999_999));
            refuses(&header, &GARBAGE);
            refuses(&header, &["1.5", "1ms", "00000000001"]);
        }
    }

    #[test]
    fn seconds_may_have_three_digits_behind_a_point() {
        for header in [DeadlineHeader::RequestTimeout, DeadlineHeader::Seconds(own())] {
            reads(&header, "0", Duration::ZERO);
            reads(&header, "30", Duration::from_secs(30));
            reads(&header, "1.5", Duration::from_millis(1_500));
            reads(&header, "0.05", Duration::from_millis(50));
            reads(&header, "9999999999.999", Duration::from_millis(9_999_999_999_999));
            refuses(&header, &GARBAGE);
            refuses(&header, &["1.", ".5", ".", "1.2345", "1.5.5", "1,5", "1.-5", "1s"]);
        }
    }

    #[test]
    fn a_field_that_comes_twice_is_malformed_even_when_both_agree() {
        for header in all() {
            let mut headers = HeaderMap::new();
            headers.append(header.name().clone(), header.write(Duration::from_secs(1)));
            headers.append(header.name().clone(), header.write(Duration::from_secs(1)));
            assert_eq!(header.read(&headers), Err(Malformed), "{header:?}");
            assert_eq!(header.read(&HeaderMap::new()), Ok(None), "{header:?}");
        }
    }

    #[test]
    fn a_read_timeout_is_a_python_float_or_says_nothing() {
        let check = |value: &'static str, wanted| {
            let headers = HeaderMap::from_iter([(READ_TIMEOUT.clone(), HeaderValue::from_static(value))]);
            assert_eq!(read_timeout(&headers), wanted, "{value:?}");
        };
        check("600", Ok(Some(Duration::from_secs(600))));
        check("600.0", Ok(Some(Duration::from_secs(600))));
        check("0.1", Ok(Some(Duration::from_millis(100))));
        check("29.999999999999996", Ok(Some(Duration::new(29, 999_999_999))));
        check("NOT_GIVEN", Ok(None));
        check("not_given", Err(Malformed));
        check("None", Err(Malformed));
        check("inf", Err(Malformed));
        check("1e-05", Err(Malformed));
        check("1.000000000000000000", Err(Malformed));
        assert_eq!(read_timeout(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn what_is_written() {
        let check = |header: DeadlineHeader, left: Duration, wanted: &str| {
            assert_eq!(header.write(left), wanted, "{header:?}: {left:?}");
        };
        check(DeadlineHeader::GrpcTimeout, Duration::ZERO, "1n");
        check(DeadlineHeader::GrpcTimeout, Duration::from_nanos(99_999_999), "99999999n");
        check(DeadlineHeader::GrpcTimeout, Duration::from_nanos(100_000_999), "100000u");
        check(DeadlineHeader::GrpcTimeout, Duration::from_secs(10), "10000000u");
        check(DeadlineHeader::GrpcTimeout, Duration::from_secs(100), "100000m");
        check(DeadlineHeader::GrpcTimeout, Duration::from_secs(100_000), "100000S");
        check(DeadlineHeader::GrpcTimeout, Duration::from_secs(6_000_000_059), "1666666H");
        check(DeadlineHeader::GrpcTimeout, Duration::MAX, "99999999H");
        check(DeadlineHeader::ConnectTimeoutMs, Duration::ZERO, "1");
        check(DeadlineHeader::ConnectTimeoutMs, Duration::from_micros(1_999), "1");
        check(DeadlineHeader::ConnectTimeoutMs, Duration::MAX, "9999999999");
        check(DeadlineHeader::RequestTimeout, Duration::ZERO, "0.001");
        check(DeadlineHeader::RequestTimeout, Duration::from_micros(1_050_999), "1.050");
        check(DeadlineHeader::RequestTimeout, Duration::from_secs(30), "30");
        check(DeadlineHeader::RequestTimeout, Duration::MAX, "9999999999");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_never_gives_more_time(secs in 0_u64..9_999_999, nanos in 0_u32..1_000_000_000, scale in 0_u32..24) {
            let left = Duration::new(secs >> scale, nanos);
            for header in all() {
                let value = header.write(left);
                let mut headers = HeaderMap::new();
                headers.insert(header.name().clone(), value.clone());
                let back = header.read(&headers).expect("well formed").expect("there");
                let least = if header == DeadlineHeader::GrpcTimeout { NANO } else { MILLI };
                prop_assert!(back <= left.max(least), "{header:?}: {left:?} as {value:?}");
                // The next coarser unit is taken only for a number that still has five digits in it.
                let lost = left.saturating_sub(back);
                prop_assert!(lost <= MILLI || lost <= left / 10_000, "{header:?}: {left:?} as {value:?}");
            }
        }
    }
}
