//! Every setting, by flag and by variable: `--first-byte 60s` is `LIFELINE_FIRST_BYTE=60s`, and the flag wins.

use std::ffi::OsString;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use lexopt::{Arg, Parser, ValueExt};
use tower_lifeline::{Config, ConfigError, ConnectTimeoutLayer};

/// What all variables begin with.
const PREFIX: &str = "LIFELINE_";

/// This program's own, with what is taken when nothing is said.
const OWN: [(&str, &str, Option<&str>); 4] = [
    ("listen", "where clients come to", Some("127.0.0.1:8080")),
    ("upstream", "the server behind: http://HOST:PORT, or h2c://HOST:PORT for HTTP/2 alone", None),
    ("admin", "where /healthz and /metrics are", None),
    ("connect", "the longest that a connection to the upstream may take to be made", Some("5s")),
];

/// The stack's. What is not said is up to the preset.
const STACK: [(&str, &str); 16] = [
    ("preset", "where to start from: sse (if nothing is said), llm, mcp, grpc or plain"),
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

/// What was said: by which key, the name of the setting, and its value.
type Said = Vec<(String, String, String)>;

/// What is wanted.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: Authority,
    pub(crate) http2: bool,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) connect: ConnectTimeoutLayer,
    pub(crate) stack: Config,
}

impl Settings {
    /// `None` where help is wanted. An error is a sentence. The arguments are without the program's name.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Option<Self>, String> {
        let Some(mut said) = flags(arguments)? else { return Ok(None) };
        // Of a flag that is there twice the last one counts, as with most programs, and any of them before a variable.
        said.reverse();
        said.extend(variables(environment)?);
        let own = |wanted: &str| {
            let said = said.iter().find(|(_, name, _)| name == wanted);
            said.map(|(key, _, value)| (key.clone(), value.as_str())).or_else(|| {
                let (_, _, default) = OWN.iter().find(|(name, ..)| *name == wanted)?;
                default.map(|value| (flag_of(wanted), value))
            })
        };

        let Some((key, value)) = own("upstream") else {
            return Err(format!("--upstream is missing ({} does as well)", variable_of("upstream")));
        };
        let (http2, upstream) = upstream(value)
            .ok_or_else(|| wrong(&key, "http://HOST:PORT or h2c://HOST:PORT, and no path", value))?;
        let (listen, admin) = (address(own("listen"))?.ok_or("--listen is missing")?, address(own("admin"))?);
        if upstream.as_str() == listen.to_string() {
            return Err(format!(
                "--upstream and --listen are both {listen}: requests would go round for ever"
            ));
        }
        let connect = match own("connect") {
            Some((key, value)) => {
                let time = humantime::parse_duration(value);
                let time = time.map_err(|_| wrong(&key, "a duration like 15s or 250ms", value))?;
                ConnectTimeoutLayer::try_new(time).map_err(|error| format!("{key}: {error}"))?
            }
            None => ConnectTimeoutLayer::new(Duration::MAX),
        };
        let of_the_stack = said.iter().filter(|(_, name, _)| STACK.iter().any(|(stack, _)| stack == name));
        let stack = of_the_stack.map(|(key, name, value)| {
            // It knows the name, and its user the key.
            let own_name = |error: ConfigError| error.to_string().replacen(name.as_str(), key, 1);
            Config::from_pairs([(name, value)]).map_err(own_name)
        });
        let stack = stack.collect::<Result<Vec<_>, _>>()?.into_iter().fold(Config::default(), Config::or);
        Ok(Some(Self { listen, upstream, http2, admin, connect, stack }))
    }
}

fn flags(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Said>, String> {
    let mut parser = Parser::from_args(arguments);
    let mut said = Said::new();
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
        said.push((flag, name, value));
    }
    Ok(Some(said))
}

fn variables(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Said, String> {
    let ours = environment.into_iter().filter_map(|(key, value)| {
        let name = key.to_str()?.strip_prefix(PREFIX)?.to_ascii_lowercase();
        Some((name, value))
    });
    ours.map(|(name, value)| match value.into_string() {
        Ok(value) if is_known(&name) => Ok((variable_of(&name), name, value)),
        Ok(_) => Err(format!("there is no {}", variable_of(&name))),
        Err(value) => Err(wrong(&variable_of(&name), "text", &value.to_string_lossy())),
    })
    .collect()
}

fn address(said: Option<(String, &str)>) -> Result<Option<SocketAddr>, String> {
    let parsed = said.map(|(key, value)| value.parse().map_err(|_| wrong(&key, "IP:PORT", value)));
    parsed.transpose()
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
    let authority = uri.into_parts().authority.filter(|_| plain)?;
    // What is behind the colon has not been looked at.
    let port = authority.port_u16().is_some() || authority.host() == authority.as_str();
    port.then_some((http2, authority))
}

fn wrong(key: &str, wanted: &str, got: &str) -> String {
    format!("{key}: expected {wanted}, got {got:?}")
}

fn flag_of(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

fn variable_of(name: &str) -> String {
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
    text + "\nTimes are like 250ms, 15s or 1m 30s, and most can be off. Each flag is a variable, too: --first-byte is LIFELINE_FIRST_BYTE.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str, environment: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let environment = environment.iter().map(|(key, value)| (OsString::from(key), OsString::from(value)));
        Settings::read(arguments.split_whitespace().map(OsString::from), environment)
    }

    #[test]
    fn flags_win_over_variables_and_these_over_defaults() {
        let environment = [
            ("PATH", "/"),
            ("LIFELINE_UPSTREAM", "h2c://a:1"),
            ("LIFELINE_FIRST_BYTE", "1s"),
            ("LIFELINE_GATE_QUEUE", "6"),
        ];
        let said = read("--connect=250ms --gate-limit 5 --first-byte 2s --admin 127.0.0.1:1", &environment);
        let said = said.unwrap().unwrap();
        assert_eq!((said.http2, said.upstream.as_str()), (true, "a:1"));
        assert_eq!((said.listen.port(), said.admin.unwrap().port()), (8080, 1));
        let stack = [("gate_limit", "5"), ("first_byte", "2s"), ("gate_queue", "6")];
        assert_eq!(said.stack, Config::from_pairs(stack).unwrap());
        let said = read("--upstream http://a:1/ --upstream http://[::1]:2", &environment).unwrap().unwrap();
        assert_eq!((said.http2, said.upstream.as_str()), (false, "[::1]:2"));
        assert_eq!(said.stack, Config::from_pairs([("first_byte", "1s"), ("gate_queue", "6")]).unwrap());
    }

    #[test]
    fn there_is_a_flag_for_each_setting_of_the_stack() {
        let error = Config::from_pairs([("no", "")]).unwrap_err().to_string();
        let names: Vec<_> = error.rsplit("there are ").next().unwrap().split(", ").collect();
        assert_eq!(STACK.map(|(name, _)| name)[..], names);
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
        const WANTED: &str = "expected http://HOST:PORT or h2c://HOST:PORT, and no path, got";
        let check = |arguments: &str, environment: &[(&str, &str)], error: &str| {
            assert_eq!(read(arguments, environment).unwrap_err(), error, "{arguments} {environment:?}");
        };
        check("", &[], "--upstream is missing (LIFELINE_UPSTREAM does as well)");
        check("--upstrem http://a", &[], "there is no --upstrem");
        check("--upstream", &[], "missing argument for option '--upstream'");
        check("serve", &[], "unexpected argument \"serve\"");
        check("-v", &[], "invalid option '-v'");
        for bad in ["https://a", "a:80", "http://", "http://a/b", "http://b@a", "h2c://a?b", "http://a:b"] {
            check(&format!("--upstream {bad}"), &[], &format!("--upstream: {WANTED} {bad:?}"));
        }
        for (flags, error) in [
            ("--listen 80", "--listen: expected IP:PORT, got \"80\""),
            ("--admin a:1", "--admin: expected IP:PORT, got \"a:1\""),
            ("--connect 5", "--connect: expected a duration like 15s or 250ms, got \"5\""),
            ("--connect 0s", "--connect: the connect limit is at least 1ms, got 0ns"),
            ("--first-byte 5", "--first-byte: expected a duration like 15s or 250ms, or off, got \"5\""),
            ("--preset web", "--preset: expected one of sse, llm, mcp, grpc, plain, got \"web\""),
            ("--gate-limit -1", "--gate-limit: expected a whole number, or off, got \"-1\""),
        ] {
            check(&format!("--upstream http://a {flags}"), &[], error);
        }
        check(
            "--upstream http://127.0.0.1:8080",
            &[],
            "--upstream and --listen are both 127.0.0.1:8080: requests would go round for ever",
        );
        let upstream = ("LIFELINE_UPSTREAM", "http://a");
        check("", &[upstream, ("LIFELINE_FIRST_BITE", "1s")], "there is no LIFELINE_FIRST_BITE");
        check("", &[upstream, ("LIFELINE_LISTEN", "80")], "LIFELINE_LISTEN: expected IP:PORT, got \"80\"");
        let soon = "LIFELINE_FIRST_BYTE: expected a duration like 15s or 250ms, or off, got \"soon\"";
        check("", &[upstream, ("LIFELINE_FIRST_BYTE", "soon")], soon);
    }
}
