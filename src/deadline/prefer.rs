//! Decides: how long a caller prefers to wait for the response (RFC 7240, sections 2 and 4.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderName;

use super::header::{Malformed, whole_seconds};

static PREFER: HeaderName = HeaderName::from_static("prefer");

/// The `wait` preference. Only the first one counts, in the first field that has one; what else is preferred is skipped.
pub(super) fn wait(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    for field in headers.get_all(&PREFER) {
        let mut list = Some(field.as_bytes());
        while let Some(rest) = list {
            let (preference, after) = cut(rest, b',')?;
            list = after;
            let (preference, _parameters) = cut(preference, b';')?;
            let mut halves = preference.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            if halves.next().is_some_and(|name| name.eq_ignore_ascii_case(b"wait")) {
                return halves.next().and_then(whole_seconds).map(Some).ok_or(Malformed);
            }
        }
    }
    Ok(None)
}

/// What stands before a separator and behind it. Inside of a quoted string (RFC 9110, section 5.6.4) none separates.
fn cut(value: &[u8], separator: u8) -> Result<(&[u8], Option<&[u8]>), Malformed> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == separator && !quoted => return Ok((&value[..at], Some(&value[at + 1..]))),
            _ => {}
        }
    }
    // A quoted string that never ends may have swallowed anything.
    if quoted { Err(Malformed) } else { Ok((value, None)) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(fields: &[&'static str], wanted: Result<Option<u64>, Malformed>) {
        let fields = fields.iter().map(|field| (PREFER.clone(), HeaderValue::from_static(field)));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        assert_eq!(wait(&headers), wanted.map(|seconds| seconds.map(Duration::from_secs)), "{headers:?}");
    }

    #[test]
    fn the_examples_of_the_rfc() {
        check(&["respond-async, wait=10"], Ok(Some(10)));
        check(&["respond-async, wait=100"], Ok(Some(100)));
        check(&["Lenient"], Ok(None));
        check(&["return=minimal; foo=\"some parameter\""], Ok(None));
        check(&["respond-async, wait=100", "handling=lenient"], Ok(Some(100)));
        check(&["respond-async", "wait=100", "handling=lenient"], Ok(Some(100)));
    }

    #[test]
    fn only_the_first_wait_counts() {
        check(&["wait=1, wait=2"], Ok(Some(1)));
        check(&["foo", "wait=1", "wait=2"], Ok(Some(1)));
        check(&["wait=x, wait=2"], Err(Malformed));
        check(&["wait=1, foo=\"never closed"], Ok(Some(1)));
    }

    #[test]
    fn white_space_case_and_parameters() {
        check(&["WAIT = 5 ; a=b"], Ok(Some(5)));
        check(&[",, ;, \twait\t=\t5\t,"], Ok(Some(5)));
        check(&["wait=5;a=\"x;y,z\""], Ok(Some(5)));
        check(&[], Ok(None));
        check(&[""], Ok(None));
    }

    #[test]
    fn what_stands_inside_something_else_is_no_preference() {
        check(&["foo=\"a, wait=5\", wait=6"], Ok(Some(6)));
        check(&["foo=\"a\\\", wait=5\", wait=6"], Ok(Some(6)));
        // Outside of a quoted string a backslash escapes nothing.
        check(&["foo=a\\, wait=5"], Ok(Some(5)));
        check(&["foo; wait=5"], Ok(None));
        check(&["await=5, wait-for=6, foo=wait"], Ok(None));
    }

    #[test]
    fn malformed_waits() {
        let values =
            ["wait", "wait=", "wait=\"\"", "wait=\"5\"", "wait=-1", "wait=+1", "wait=1.5", "wait=1 2"];
        for value in values.into_iter().chain(["wait=5s", "wait==5", "wait=12345678901", "foo=\"a, wait=5"]) {
            check(&[value], Err(Malformed));
        }
    }
}
