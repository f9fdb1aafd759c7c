//! Every setting, by flag and by variable: `--first-byte 60s` is `LIFELINE_FIRST_BYTE=60s`, and the flag wins.

use std::ffi::OsString;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use lexopt::{Arg, Parser, ValueExt};

/// What all variables begin with.
const PREFIX: &str = "LIFELINE_";

/// This program's own, with what is taken when nothing is said.
const OWN: [(&str, &str, Option<&str>); 5] = [
    ("listen", "where clients come to", Some("127.0.0.1:8080")),
    ("upstream", "the server behind: http://HOST:PORT, or h2c://HOST:PORT for HTTP/2 alone", None),
    ("admin", "where /healthz and /metrics are", None),
    ("preset", "what streams are, mostly: sse, llm, mcp, grpc or plain", Some("sse")),
    ("connect", "the longest that a connection to the upstream may take to be made", Some("5s")),
];

/// The stack's. What they are without being set is up to the preset.
const STACK: [(&str, &str); 15] = [
    ("heartbeat", "the longest silence on an event stream"),
    ("headers", "the longest time to the response head"),
    ("first_byte", "the longest time from there to the first content"),
    ("inter_chunk", "the longest time from content to content"),
    ("total", "the longest time for a request and its response"),
    ("request_body", "the longest silence of an upload"),
    ("stall", "how long a client may read nothing"),
    ("gate_limit", "how many requests are let in at a time"),
    ("gate_queue", "how many more may wait"),
    ("gate_wait", "and for how long"),
    ("early", "when a response begins without the upstream's"),
    ("max_age", "how old a stream may become"),
    ("drain_window", "the time over which streams leave when the server stops"),
    ("drain_deadline", "how long they have for that"),
    ("path_hops", "what is in front of this server, as in nginx,aws-alb"),
];

/// Names and values, in the order in which they were said.
pub(crate) type Pairs = Vec<(String, String)>;

/// What is wanted.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: Authority,
    pub(crate) http2: bool,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) preset: String,
    pub(crate) connect: Duration,
    /// For the stack, of the command line.
    pub(crate) flags: Pairs,
    /// For the stack, of the environment.
    pub(crate) variables: Pairs,
}

impl Settings {
    /// `None` where help is wanted. An error is a sentence. The arguments are without the program's name.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Option<Self>, String> {
        let Some(mut flags) = flags(arguments)? else { return Ok(None) };
        let mut variables = variables(environment)?;
        let (own_flags, own_variables) = (take_own(&mut flags), take_own(&mut variables));
        // Of a flag that is there twice the last one counts, as with most programs.
        let said = |wanted: &str| {
            let flag = own_flags.iter().rev().find(|(name, _)| name == wanted);
            let flag = flag.map(|(name, value)| (format!("--{name}"), value.as_str()));
            flag.or_else(|| {
                let variable = own_variables.iter().find(|(name, _)| name == wanted);
                variable.map(|(name, value)| (variable_of(name), value.as_str()))
            })
        };
        let said_or_default = |wanted: &str| {
            let default = OWN.iter().find(|(name, ..)| *name == wanted).and_then(|(.., default)| *default);
            said(wanted).or_else(|| default.map(|value| (format!("--{wanted}"), value)))
        };

        let (http2, upstream) = match said("upstream") {
            Some((key, value)) => upstream(value)
                .ok_or_else(|| wrong(&key, "http://HOST:PORT or h2c://HOST:PORT without a path", value))?,
            None => return Err(format!("--upstream is missing ({} does as well)", variable_of("upstream"))),
        };
        let address = |said: Option<(String, &str)>| {
            let parsed = said
                .map(|(key, value)| value.parse::<SocketAddr>().map_err(|_| wrong(&key, "IP:PORT", value)));
            parsed.transpose()
        };
        let (key, value) = said_or_default("connect").unwrap_or_default();
        let connect = duration(value).ok_or_else(|| wrong(&key, "a time like 250ms, 15s or 2m", value))?;
        let (key, preset) = said_or_default("preset").unwrap_or_default();
        if !["sse", "llm", "mcp", "grpc", "plain"].contains(&preset) {
            return Err(wrong(&key, "sse, llm, mcp, grpc or plain", preset));
        }
        let preset = preset.to_owned();
        let listen = address(said_or_default("listen"))?.ok_or("--listen is missing")?;
        let admin = address(said("admin"))?;
        if upstream.as_str() == listen.to_string() {
            return Err(format!(
                "--upstream and --listen are both {listen}: requests would go round for ever"
            ));
        }
        Ok(Some(Self { listen, upstream, http2, admin, preset, connect, flags, variables }))
    }
}

fn flags(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Pairs>, String> {
    let mut parser = Parser::from_args(arguments);
    let mut pairs = Pairs::new();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let name = match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long(flag) => flag.replace('-', "_"),
            other @ (Arg::Short(_) | Arg::Value(_)) => return Err(other.unexpected().to_string()),
        };
        let flag = flag_of(&name);
        if !is_known(&name) {
            return Err(format!("there is no {flag}"));
        }
        let value = parser.value().and_then(ValueExt::string).map_err(|error| error.to_string())?;
        pairs.push((name, value));
    }
    Ok(Some(pairs))
}

fn variables(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Pairs, String> {
    let ours = environment.into_iter().filter_map(|(key, value)| {
        let name = key.to_str()?.strip_prefix(PREFIX)?.to_ascii_lowercase();
        Some((name, value))
    });
    ours.map(|(name, value)| match value.into_string() {
        Ok(value) if is_known(&name) => Ok((name, value)),
        Ok(_) => Err(format!("there is no {}", variable_of(&name))),
        Err(value) => Err(wrong(&variable_of(&name), "text", &value.to_string_lossy())),
    })
    .collect()
}

fn take_own(pairs: &mut Pairs) -> Pairs {
    let (own, stack) = pairs.drain(..).partition(|(name, _)| OWN.iter().any(|(own, ..)| own == name));
    *pairs = stack;
    own
}

fn is_known(name: &str) -> bool {
    OWN.iter().map(|(own, ..)| own).chain(STACK.iter().map(|(stack, _)| stack)).any(|known| *known == name)
}

fn upstream(value: &str) -> Option<(bool, Authority)> {
    let (http2, rest) = match value.split_once("://")? {
        ("http", rest) => (false, rest),
        ("h2c", rest) => (true, rest),
        _ => return None,
    };
    let uri = format!("http://{rest}").parse::<Uri>().ok()?;
    let plain = uri.path_and_query().is_none_or(|path| path == "/") && !rest.contains('@');
    uri.into_parts().authority.filter(|_| plain).map(|authority| (http2, authority))
}

fn duration(value: &str) -> Option<Duration> {
    let unit = value.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let number: u64 = value.strip_suffix(unit)?.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return None,
    };
    number.checked_mul(millis).filter(|millis| *millis > 0).map(Duration::from_millis)
}

fn wrong(key: &str, wanted: &str, got: &str) -> String {
    format!("{key} is {wanted}, got {got:?}")
}

pub(crate) fn flag_of(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

pub(crate) fn variable_of(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

pub(crate) fn help() -> String {
    let mut text = String::from(
        "A reverse proxy that keeps the long responses of one upstream alive, bounded and explainable.\n\n\
         sidecar --listen 127.0.0.1:8080 --upstream http://127.0.0.1:9000 --admin 127.0.0.1:9901\n\n",
    );
    let mut line = |name: &str, what: &str, default: Option<&str>| {
        let default = default.map(|value| format!(" ({value})")).unwrap_or_default();
        let _ = writeln!(text, "  {:<18} {what}{default}", flag_of(name));
    };
    for (name, what, default) in OWN {
        line(name, what, default);
    }
    for (name, what) in STACK {
        line(name, what, None);
    }
    text + "\nTimes are like 250ms, 15s or 2m. Each flag is a variable, too: --first-byte is LIFELINE_FIRST_BYTE.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str, environment: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let environment = environment.iter().map(|(key, value)| (OsString::from(key), OsString::from(value)));
        Settings::read(arguments.split_whitespace().map(OsString::from), environment)
    }

    fn pairs(of: &[(&str, &str)]) -> Pairs {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn flags_win_over_variables_and_these_over_defaults() {
        let environment = [
            ("PATH", "/"),
            ("LIFELINE_UPSTREAM", "h2c://a:1"),
            ("LIFELINE_FIRST_BYTE", "1s"),
            ("LIFELINE_CONNECT", "2m"),
        ];
        let said = read("--connect=250ms --gate-limit 5 --first-byte 2s --admin 127.0.0.1:1", &environment);
        let said = said.unwrap().unwrap();
        assert_eq!(
            (said.http2, said.upstream.as_str(), said.connect),
            (true, "a:1", Duration::from_millis(250))
        );
        assert_eq!((said.listen.port(), said.admin.unwrap().port(), &*said.preset), (8080, 1, "sse"));
        assert_eq!(said.flags, pairs(&[("gate_limit", "5"), ("first_byte", "2s")]));
        assert_eq!(said.variables, pairs(&[("first_byte", "1s")]));
        let said = read("--upstream http://a:1/ --upstream http://[::1]:2", &environment).unwrap().unwrap();
        assert_eq!(
            (said.http2, said.upstream.as_str(), said.connect),
            (false, "[::1]:2", Duration::from_secs(120))
        );
    }

    #[test]
    fn help_says_all() {
        assert!(read("--first-byte 3s --help", &[]).unwrap().is_none());
        let help = help();
        for name in OWN.iter().map(|(name, ..)| name).chain(STACK.iter().map(|(name, _)| name)) {
            assert!(help.contains(&format!("  {} ", flag_of(name))), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (arguments, error) in [
            ("", "--upstream is missing (LIFELINE_UPSTREAM does as well)"),
            ("--upstrem http://a", "there is no --upstrem"),
            ("--upstream", "missing argument for option '--upstream'"),
            (
                "--upstream https://a",
                "--upstream is http://HOST:PORT or h2c://HOST:PORT without a path, got \"https://a\"",
            ),
            (
                "--upstream a:80",
                "--upstream is http://HOST:PORT or h2c://HOST:PORT without a path, got \"a:80\"",
            ),
            (
                "--upstream http://",
                "--upstream is http://HOST:PORT or h2c://HOST:PORT without a path, got \"http://\"",
            ),
            (
                "--upstream http://a/b",
                "--upstream is http://HOST:PORT or h2c://HOST:PORT without a path, got \"http://a/b\"",
            ),
            (
                "--upstream http://b@a",
                "--upstream is http://HOST:PORT or h2c://HOST:PORT without a path, got \"http://b@a\"",
            ),
            ("--upstream http://a --listen 80", "--listen is IP:PORT, got \"80\""),
            ("--upstream http://a --admin a:1", "--admin is IP:PORT, got \"a:1\""),
            ("--upstream http://a --connect 5", "--connect is a time like 250ms, 15s or 2m, got \"5\""),
            ("--upstream http://a --connect 0s", "--connect is a time like 250ms, 15s or 2m, got \"0s\""),
            (
                "--upstream http://a --connect 99999999999999999999s",
                "--connect is a time like 250ms, 15s or 2m, got \"99999999999999999999s\"",
            ),
            ("--upstream http://a --preset web", "--preset is sse, llm, mcp, grpc or plain, got \"web\""),
            (
                "--upstream http://127.0.0.1:8080",
                "--upstream and --listen are both 127.0.0.1:8080: requests would go round for ever",
            ),
            ("serve", "unexpected argument \"serve\""),
            ("-v", "invalid option '-v'"),
        ] {
            assert_eq!(read(arguments, &[]).unwrap_err(), error, "{arguments}");
        }
        for (key, value, error) in [
            ("LIFELINE_FIRST_BITE", "1s", "there is no LIFELINE_FIRST_BITE"),
            ("LIFELINE_LISTEN", "80", "LIFELINE_LISTEN is IP:PORT, got \"80\""),
        ] {
            assert_eq!(read("--upstream http://a", &[(key, value)]).unwrap_err(), error);
        }
    }
}
