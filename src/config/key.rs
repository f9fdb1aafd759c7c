//! Decides: what is each setting called, and which values can it have?

use std::time::Duration;

use super::settings::Value;
use crate::Hop;
use crate::stack::Preset;

/// The name of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Preset,
    Heartbeat,
    Headers,
    FirstByte,
    InterChunk,
    Total,
    RequestBody,
    Stall,
    GateLimit,
    GateQueue,
    GateWait,
    Early,
    MaxAge,
    DrainWindow,
    DrainDeadline,
    PathHops,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Preset,
    Time,
    TimeOrOff,
    Count,
    CountOrOff,
    Hops,
}

impl Key {
    const ALL: [(&'static str, Self, Kind); 16] = [
        ("preset", Self::Preset, Kind::Preset),
        ("heartbeat", Self::Heartbeat, Kind::TimeOrOff),
        ("headers", Self::Headers, Kind::TimeOrOff),
        ("first_byte", Self::FirstByte, Kind::TimeOrOff),
        ("inter_chunk", Self::InterChunk, Kind::TimeOrOff),
        ("total", Self::Total, Kind::TimeOrOff),
        ("request_body", Self::RequestBody, Kind::TimeOrOff),
        ("stall", Self::Stall, Kind::TimeOrOff),
        ("gate_limit", Self::GateLimit, Kind::CountOrOff),
        ("gate_queue", Self::GateQueue, Kind::Count),
        ("gate_wait", Self::GateWait, Kind::Time),
        ("early", Self::Early, Kind::TimeOrOff),
        ("max_age", Self::MaxAge, Kind::TimeOrOff),
        ("drain_window", Self::DrainWindow, Kind::Time),
        ("drain_deadline", Self::DrainDeadline, Kind::Time),
        ("path_hops", Self::PathHops, Kind::Hops),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(other, ..)| *other == name).map(|(_, key, _)| *key)
    }

    pub(super) fn names() -> String {
        Self::ALL.map(|(name, ..)| name).join(", ")
    }

    pub(crate) fn name(self) -> &'static str {
        self.entry().0
    }

    fn entry(self) -> (&'static str, Self, Kind) {
        // In the order of the variants, which a test holds.
        Self::ALL[self as usize]
    }

    /// What was expected, when it cannot be read.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let (_, _, kind) = self.entry();
        let off = text.eq_ignore_ascii_case("off");
        match kind {
            Kind::TimeOrOff | Kind::CountOrOff if off => Ok(Value::Off),
            Kind::Time => time(text).ok_or_else(|| "a duration like 15s or 250ms".to_owned()),
            Kind::TimeOrOff => time(text).ok_or_else(|| "a duration like 15s or 250ms, or off".to_owned()),
            Kind::Count => count(text).ok_or_else(|| "a whole number".to_owned()),
            Kind::CountOrOff => count(text).ok_or_else(|| "a whole number, or off".to_owned()),
            Kind::Hops => hops(text),
            Kind::Preset => match Preset::named(text) {
                Some(preset) => Ok(Value::Preset(preset)),
                None => Err(format!("one of {}", Preset::names())),
            },
        }
    }
}

fn time(text: &str) -> Option<Value> {
    // A bare zero is a duration for the parser, but nobody knows what was meant by it.
    let time: Duration = humantime::parse_duration(text).ok()?;
    text.ends_with(|c: char| c.is_ascii_alphabetic()).then_some(Value::Time(time))
}

fn count(text: &str) -> Option<Value> {
    text.parse().ok().map(Value::Count)
}

fn hops(text: &str) -> Result<Value, String> {
    let preset = |name: &str| Hop::named_preset(name).ok_or_else(|| unknown_hop(name));
    text.split(',').map(preset).collect::<Result<_, _>>().map(Value::Hops)
}

fn unknown_hop(name: &str) -> String {
    let known: Vec<_> = Hop::PRESETS.iter().map(Hop::name).collect();
    format!("hops from {} ({:?} is none)", known.join(", "), name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_that_of_its_key() {
        for (place, (name, key, _)) in Key::ALL.into_iter().enumerate() {
            assert_eq!((key as usize, Key::named(name), key.name()), (place, Some(key), name));
        }
    }

    #[test]
    fn all_names() {
        let names = Key::names();
        assert_eq!(names.split(", ").count(), Key::ALL.len());
        assert!(names.split(", ").all(|name| Key::named(name).is_some()), "{names}");
    }

    #[test]
    fn values() {
        let check = |key: Key, text, value| assert_eq!(key.read(text), Ok(value), "{text}");
        let millis = |millis| Value::Time(Duration::from_millis(millis));
        check(Key::Headers, "250ms", millis(250));
        check(Key::Headers, " 15s ", millis(15_000));
        check(Key::Headers, "1m 30s", millis(90_000));
        check(Key::Headers, "off", Value::Off);
        check(Key::Headers, "Off", Value::Off);
        check(Key::GateLimit, "512", Value::Count(512));
        check(Key::GateLimit, "off", Value::Off);
        check(Key::GateQueue, "0", Value::Count(0));
        check(Key::Preset, "llm", Value::Preset(Preset::Llm));
        check(Key::PathHops, "nginx, aws-alb", Value::Hops(vec![Hop::NGINX, Hop::AWS_ALB]));
        let error = Key::PathHops.read("nginx, a-hop").expect_err("there is no such hop");
        assert!(error.starts_with("hops from nginx") && error.contains("AWS ALB"), "{error}");
        assert!(error.ends_with(r#"("a-hop" is none)"#), "{error}");
    }
}
