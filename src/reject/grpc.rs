//! A status as gRPC writes it, into trailers or into the head of a response that has nothing else ("trailers-only").

use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::code::Code;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

pub(super) fn write(headers: &mut HeaderMap, code: Code, message: &str) {
    headers.insert(STATUS, code.grpc_status());
    if let Ok(message) = HeaderValue::try_from(percent_encoded(message)) {
        headers.insert(MESSAGE, message);
    }
}

/// When to try again (gRFC A6). Clients read a signed number of 32 bits, and take a negative one for "never".
pub(super) fn write_pushback(headers: &mut HeaderMap, after: Duration) {
    let millis = i32::try_from(after.as_millis()).unwrap_or(i32::MAX);
    headers.insert(PUSHBACK, HeaderValue::from(millis));
}

/// Visible ASCII and the space stay, but for the percent sign; all else is written as UTF-8, byte by byte.
fn percent_encoded(message: &str) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_percent_encoded() {
        let check = |message, encoded: &str| assert_eq!(percent_encoded(message), encoded);
        check("", "");
        check("No response within 30s.", "No response within 30s.");
        check("100%", "100%25");
        check("a\r\nb\0", "a%0D%0Ab%00");
        check("é~\u{7f}", "%C3%A9~%7F");
    }

    #[test]
    fn pushback_is_never_negative() {
        let check = |after, text: &str| {
            let mut headers = HeaderMap::new();
            write_pushback(&mut headers, after);
            assert_eq!(headers[PUSHBACK], text);
        };
        check(Duration::ZERO, "0");
        check(Duration::from_millis(1_500), "1500");
        check(Duration::MAX, "2147483647");
    }

    proptest! {
        #[test]
        fn any_message_is_a_header_that_says_it(message in ".*|[\\x00-\\xff%]*") {
            let mut headers = HeaderMap::new();
            write(&mut headers, Code::Unavailable, &message);
            prop_assert_eq!(&headers[STATUS], "14");
            let mut coded = headers[MESSAGE].as_bytes().iter();
            let mut back = Vec::new();
            while let Some(&byte) = coded.next() {
                prop_assert!((b' '..=b'~').contains(&byte));
                back.push(if byte == b'%' {
                    let pair = [*coded.next().unwrap(), *coded.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap()
                } else {
                    byte
                });
            }
            prop_assert_eq!(back, message.into_bytes());
        }
    }
}
