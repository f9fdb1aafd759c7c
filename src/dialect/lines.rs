//! Newline-delimited JSON: one value a line, and nothing may be written inside a line.

use super::Place;

/// Where a stream of lines stands. CR is white space in JSON, so only LF ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    LineStart,
    Inside,
}

impl Boundary {
    pub(crate) fn advance(self, chunk: &[u8]) -> Self {
        match chunk.last() {
            None => self,
            Some(b'\n') => Self::LineStart,
            Some(_) => Self::Inside,
        }
    }

    pub(crate) fn place(self) -> Place {
        match self {
            Self::LineStart => Place::Between,
            Self::Inside => Place::Inside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_values_only_after_a_line_feed() {
        let check = |chunks: &[&str], place| {
            let end = chunks.iter().fold(Boundary::LineStart, |at, chunk| at.advance(chunk.as_bytes()));
            assert_eq!(end.place(), place, "{chunks:?}");
        };
        check(&[], Place::Between);
        check(&["{}"], Place::Inside);
        check(&["{}\n"], Place::Between);
        check(&["{}\n", ""], Place::Between);
        check(&["{}\r"], Place::Inside);
        check(&["{}\r", "\n"], Place::Between);
        check(&["{}\n{\"a\":"], Place::Inside);
    }
}
