//! An HTTP/1.1 response as its bytes come in. Written by hand, so that nothing but these bytes is believed.

/// What came of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Came {
    pub status: Option<u16>,
    pub media_type: String,
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Wire {
    unread: Vec<u8>,
    at: At,
    pub came: Came,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Head,
    /// So many bytes are missing.
    Known(usize),
    ChunkSize,
    /// So many bytes of a chunk are missing, its line end included.
    Chunk(usize),
    Trailers,
    End,
}

impl Wire {
    pub fn is_over(&self) -> bool {
        self.at == At::End
    }

    /// More bytes. `Err`: they are no HTTP/1.1 response.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.unread.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(read) = self.step(used)? {
            used += read;
        }
        self.unread.drain(..used);
        Ok(())
    }

    /// How much was read, if there was enough.
    fn step(&mut self, from: usize) -> Result<Option<usize>, String> {
        let unread = &self.unread[from..];
        match self.at {
            At::Head => {
                let Some(end) = find(unread, b"\r\n\r\n") else {
                    return Ok(None);
                };
                let head = String::from_utf8_lossy(&unread[..end]).into_owned();
                self.head(&head)?;
                Ok(Some(end + 4))
            }
            At::Known(0) => self.goes(At::End, 0),
            At::Known(missing) => {
                let some = missing.min(unread.len());
                self.came.body.extend_from_slice(&self.unread[from..from + some]);
                self.at = At::Known(missing - some);
                Ok((some > 0 || missing == 0).then_some(some))
            }
            At::ChunkSize => {
                let Some(end) = find(unread, b"\r\n") else {
                    return Ok(None);
                };
                let line = String::from_utf8_lossy(&unread[..end]);
                let size =
                    usize::from_str_radix(&line, 16).map_err(|_| format!("a chunk of size {line:?}"))?;
                self.goes(if size == 0 { At::Trailers } else { At::Chunk(size + 2) }, end + 2)
            }
            At::Chunk(missing) => {
                let some = missing.min(unread.len());
                if missing <= 2 {
                    if unread.len() < missing {
                        return Ok(None);
                    }
                    return match &unread[..missing] {
                        b"\r\n" => self.goes(At::ChunkSize, missing),
                        other => Err(format!("{other:?} behind a chunk")),
                    };
                }
                let data = some.min(missing - 2);
                self.came.body.extend_from_slice(&self.unread[from..from + data]);
                self.at = At::Chunk(missing - data);
                Ok((data > 0).then_some(data))
            }
            At::Trailers => match find(unread, b"\r\n") {
                None => Ok(None),
                Some(0) => self.goes(At::End, 2),
                Some(end) => Ok(Some(end + 2)),
            },
            At::End if unread.is_empty() => Ok(None),
            At::End => Err("bytes behind the response".into()),
        }
    }

    fn goes(&mut self, to: At, used: usize) -> Result<Option<usize>, String> {
        self.at = to;
        Ok(Some(used))
    }

    fn head(&mut self, head: &str) -> Result<(), String> {
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status: u16 = status.ok_or_else(|| format!("no status line: {head:?}"))?;
        let mut at = None;
        for line in lines {
            let (name, value) = line.split_once(": ").ok_or_else(|| format!("no header: {line:?}"))?;
            match name {
                "content-type" => self.came.media_type = value.to_owned(),
                "content-length" => at = value.parse().ok().map(At::Known),
                "transfer-encoding" => at = (value == "chunked").then_some(At::ChunkSize),
                _ => {}
            }
        }
        self.came.status = Some(status);
        self.at = if matches!(status, 204 | 304) {
            At::End
        } else {
            at.ok_or_else(|| format!("no length: {head:?}"))?
        };
        Ok(())
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_the_same_however_it_is_cut() {
        let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
            3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
        let known = "HTTP/1.1 503 No\r\ncontent-length: 5\r\n\r\nhello";
        let none = "HTTP/1.1 204 No Content\r\n\r\n";
        for (text, body) in [(chunked, "abc0123456789abcdef"), (known, "hello"), (none, "")] {
            for size in [1, 2, 3, 7, 1_000] {
                let mut wire = Wire::default();
                for piece in text.as_bytes().chunks(size) {
                    assert!(!wire.is_over());
                    wire.push(piece).unwrap();
                }
                assert!(wire.is_over(), "{text} {size}");
                assert_eq!(String::from_utf8_lossy(&wire.came.body), body);
            }
            let mut wire = Wire::default();
            wire.push(&text.as_bytes()[..text.len() - 1]).unwrap();
            assert!(!wire.is_over(), "{text}");
        }
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for text in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
        ] {
            assert!(Wire::default().push(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
