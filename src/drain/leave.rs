//! Decides: when does a stream leave, and when is it cut?

use std::time::Instant;

use crate::StreamEnd;

/// One stream's way out.
#[derive(Debug)]
pub(super) struct Leave {
    /// From then on it leaves at the first boundary, and why.
    from: Option<(Instant, StreamEnd)>,
    /// Then it goes, wherever it stands.
    by: Option<Instant>,
}

/// Where a stream stands between its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Between,
    /// Inside a message that will have an end.
    Inside,
    /// In bytes of which nobody knows where they could end.
    Nowhere,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this instant, if there is one.
    At(Option<Instant>),
    /// The message is to be ended; to be asked with every frame, and at this instant if there is one.
    Boundary(Option<Instant>),
    /// It leaves, with a word.
    Leaves(StreamEnd),
    /// It is cut inside a message.
    Cut,
}

impl Leave {
    /// At this age, if there is one.
    pub(super) fn at_age(at: Option<Instant>) -> Self {
        Self { from: at.map(|at| (at, StreamEnd::Aged)), by: None }
    }

    /// The drain has begun: it leaves from this instant on, if it does not rather finish, and has to be gone by that one,
    /// if there is one.
    pub(super) fn drain(&mut self, from: Option<Instant>, by: Option<Instant>) {
        let drained = from.map(|from| (from, StreamEnd::Drained));
        self.from = self.from.into_iter().chain(drained).min_by_key(|(from, _)| *from);
        self.by = by;
    }

    /// Bytes only ever move the answer later, but for [`Due::Boundary`].
    pub(super) fn due(&self, stands: Stands, now: Instant) -> Due {
        let over = self.by.is_some_and(|by| by <= now);
        let leaves = self.from.filter(|(from, _)| *from <= now);
        match (stands, leaves) {
            // Whoever was to go long ago says why that was.
            (Stands::Between, Some((_, why))) => Due::Leaves(why),
            (Stands::Between, None) if over => Due::Leaves(StreamEnd::Drained),
            _ if over => Due::Cut,
            (Stands::Inside, Some(_)) => Due::Boundary(self.by),
            (Stands::Nowhere, _) => Due::At(self.by),
            (_, None) => Due::At(self.from.map(|(from, _)| from).into_iter().chain(self.by).min()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn any_instant() -> Instant {
        Instant::now()
    }

    /// A stream with these seconds to leave by age, and to leave and be gone by the drain, asked at a second.
    #[track_caller]
    fn check(age: Option<u64>, drain: Option<(Option<u64>, u64)>, stands: Stands, asked: u64, due: &str) {
        let zero = any_instant();
        let at = |second| zero + Duration::from_secs(second);
        let mut leave = Leave::at_age(age.map(at));
        if let Some((from, by)) = drain {
            leave.drain(from.map(at), Some(at(by)));
        }
        let until =
            |at: Option<Instant>| at.map_or("ever".to_owned(), |at| (at - zero).as_secs().to_string());
        let answer = match leave.due(stands, at(asked)) {
            Due::At(at) => format!("at {}", until(at)),
            Due::Boundary(at) => format!("boundary, or {}", until(at)),
            Due::Leaves(why) => format!("leaves: {why:?}"),
            Due::Cut => "cut".to_owned(),
        };
        assert_eq!(answer, due, "{age:?} {drain:?} {stands:?} at {asked}");
    }

    use Stands::{Between, Inside, Nowhere};

    #[test]
    fn nobody_who_was_not_asked_to_leaves() {
        for stands in [Between, Inside, Nowhere] {
            check(None, None, stands, 1_000, "at ever");
        }
    }

    #[test]
    fn an_old_stream_leaves_at_the_next_boundary_and_is_never_cut() {
        check(Some(10), None, Between, 9, "at 10");
        check(Some(10), None, Inside, 9, "at 10");
        check(Some(10), None, Between, 10, "leaves: Aged");
        check(Some(10), None, Inside, 10, "boundary, or ever");
        check(Some(10), None, Inside, 1_000, "boundary, or ever");
        check(Some(10), None, Nowhere, 1_000, "at ever");
    }

    #[test]
    fn a_drained_stream_leaves_when_its_moment_has_come() {
        check(None, Some((Some(3), 30)), Between, 2, "at 3");
        check(None, Some((Some(3), 30)), Between, 3, "leaves: Drained");
        check(None, Some((Some(3), 30)), Inside, 3, "boundary, or 30");
        check(None, Some((Some(3), 30)), Inside, 30, "cut");
        check(None, Some((Some(3), 30)), Between, 31, "leaves: Drained");
    }

    #[test]
    fn what_cannot_leave_or_would_rather_finish_has_until_the_deadline() {
        check(None, Some((Some(3), 30)), Nowhere, 3, "at 30");
        check(None, Some((Some(3), 30)), Nowhere, 30, "cut");
        check(None, Some((None, 30)), Between, 3, "at 30");
        check(None, Some((None, 30)), Inside, 3, "at 30");
        check(None, Some((None, 30)), Between, 30, "leaves: Drained");
        check(None, Some((None, 30)), Inside, 30, "cut");
    }

    #[test]
    fn the_earlier_of_two_reasons_counts() {
        check(Some(2), Some((Some(3), 30)), Between, 1, "at 2");
        check(Some(2), Some((Some(3), 30)), Between, 3, "leaves: Aged");
        check(Some(5), Some((Some(3), 30)), Between, 5, "leaves: Drained");
        check(Some(5), Some((None, 30)), Between, 5, "leaves: Aged");
        check(Some(50), Some((None, 30)), Between, 5, "at 30");
    }
}
