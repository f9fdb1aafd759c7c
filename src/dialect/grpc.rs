//! gRPC's length-prefixed messages: one byte of flags, four bytes of length (big-endian), and so many bytes.

/// Whether a media type, without its parameters, is gRPC's own. gRPC-Web is not: its trailers are in the body.
pub(crate) fn is_media_type(essence: &str) -> bool {
    const NAME: &str = "application/grpc";
    let (Some(name), Some(rest)) = (essence.get(..NAME.len()), essence.get(NAME.len()..)) else {
        return false;
    };
    name.eq_ignore_ascii_case(NAME) && (rest.is_empty() || rest.starts_with('+'))
}

/// Where a stream of messages stands. Numbers are kept as bytes, so that no body is aligned for their sake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// Trailers may follow. Bytes never may: gRPC has none that a reader would skip.
    Between,
    /// Behind the byte of flags.
    Length0,
    Length1([u8; 1]),
    Length2([u8; 2]),
    Length3([u8; 3]),
    /// So many bytes of a message are to come, at least one.
    Message([u8; 4]),
}

impl Boundary {
    pub(crate) fn is_between(self) -> bool {
        self == Self::Between
    }

    /// Where the stream stands after one more chunk, however the stream was cut.
    pub(crate) fn advance(mut self, mut chunk: &[u8]) -> Self {
        while let [byte, rest @ ..] = chunk {
            let next = match self {
                Self::Between => Self::Length0,
                Self::Length0 => Self::Length1([*byte]),
                Self::Length1([a]) => Self::Length2([a, *byte]),
                Self::Length2([a, b]) => Self::Length3([a, b, *byte]),
                Self::Length3([a, b, c]) => Self::left(u32::from_be_bytes([a, b, c, *byte])),
                Self::Message(left) => {
                    let left = u32::from_be_bytes(left);
                    let taken = chunk.len().min(left as usize);
                    chunk = &chunk[taken..];
                    // Not more than `left`, so it fits.
                    self = Self::left(left - taken as u32);
                    continue;
                }
            };
            (self, chunk) = (next, rest);
        }
        self
    }

    fn left(bytes: u32) -> Self {
        if bytes == 0 { Self::Between } else { Self::Message(bytes.to_be_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(chunks: &[&[u8]]) -> Boundary {
        chunks.iter().fold(Boundary::Between, |at, chunk| at.advance(chunk))
    }

    #[test]
    fn between_messages_only_after_the_last_byte_of_one() {
        let check = |chunks: &[&[u8]], between| {
            assert_eq!(after(chunks).is_between(), between, "{chunks:?}");
        };
        check(&[], true);
        check(&[b""], true);
        check(&[b"\0"], false);
        check(&[b"\0\0\0\0"], false);
        check(&[b"\0\0\0\0\0"], true);
        check(&[b"\0\0\0\0\x01"], false);
        check(&[b"\0\0\0\0\x01a"], true);
        check(&[b"\x01\0\0\0\x02a", b"", b"b"], true);
        check(&[b"\0\0\0\0\x01a\0\0\0\0\x02bc"], true);
        check(&[b"\0\0\0\0\x01a\0\0\0\0\x02b"], false);
        check(&[b"\0\0\0\0\x01a\0"], false);
        check(&[b"\0\0\0\0\0\0\0\0\0\0"], true);
        check(&[b"\0\0\0", b"\x01", b"\0", &[b'a'; 256]], true);
        check(&[b"\0\0\0", b"\x01", b"\0", &[b'a'; 255]], false);
        check(&[b"\0\xff\xff\xff\xff", &[b'a'; 4096]], false);
    }

    #[test]
    fn the_longest_message_is_counted_to_its_end() {
        let at = after(&[b"\0\xff\xff\xff\xff"]);
        assert_eq!(at, Boundary::left(u32::MAX));
        assert_eq!(at.advance(b"ab"), Boundary::left(u32::MAX - 2));
        assert_eq!(Boundary::left(2).advance(b"ab"), Boundary::Between);
    }

    #[test]
    fn media_types() {
        let check = |essence, expected| assert_eq!(is_media_type(essence), expected, "{essence}");
        check("application/grpc", true);
        check("Application/GRPC+proto", true);
        check("application/grpc+", true);
        check("application/grpc-web", false);
        check("application/grpc-web-text+proto", false);
        check("application/grpcs", false);
        check("application/grp", false);
        check("application/gr\u{fc}\u{fc}", false);
        check("", false);
    }

    proptest! {
        #[test]
        fn no_cutting_changes_where_the_stream_stands(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
            lost in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for message in &messages {
                bytes.push(1);
                bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(message);
                ends.push(bytes.len());
            }
            let bytes = &bytes[..lost.index(bytes.len() + 1)];
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(after(&chunks), after(&[bytes]));
            prop_assert_eq!(after(&chunks).is_between(), ends.contains(&bytes.len()));
        }
    }
}
