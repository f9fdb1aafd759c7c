//! One hop and its limits.

use std::borrow::Cow;
use std::time::Duration;

/// A proxy, load balancer, platform or client, and what it does to streams.
///
/// ```
/// use std::time::Duration;
/// use tower_lifeline::Hop;
///
/// let ours = Hop::AWS_ALB.named("internal ALB").idle(Duration::from_secs(300));
/// assert_eq!(ours.idle_limit(), Some(Duration::from_secs(300)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    name: Cow<'static, str>,
    idle: Option<Duration>,
    first_byte: Option<Duration>,
    lifetime: Option<Duration>,
    buffers: bool,
    source: &'static str,
}

const fn s(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

const fn preset(
    name: &'static str,
    idle: Option<Duration>,
    first_byte: Option<Duration>,
    lifetime: Option<Duration>,
    source: &'static str,
) -> Hop {
    Hop { name: Cow::Borrowed(name), idle, first_byte, lifetime, buffers: false, source }
}

/// One that holds bytes back unless it is told not to.
const fn buffering(
    name: &'static str,
    idle: Option<Duration>,
    lifetime: Option<Duration>,
    source: &'static str,
) -> Hop {
    Hop { name: Cow::Borrowed(name), idle, first_byte: None, lifetime, buffers: true, source }
}

macro_rules! presets {
    ($($(#[$doc:meta])* $name:ident = $hop:expr;)*) => {
        impl Hop {
            $($(#[$doc])* pub const $name: Self = $hop;)*

            /// All presets, for a table or a test.
            pub const PRESETS: &[Self] = &[$(Self::$name),*];
        }
    };
}

presets! {
    /// nginx: 60 s between two reads (`proxy_read_timeout`); buffers unless the response says `X-Accel-Buffering: no`.
    NGINX = buffering("nginx", s(60), None, "nginx.org, ngx_http_proxy_module");
    /// HAProxy: no default of its own, 30 s in most sample configurations (`timeout server`, `timeout client`).
    HAPROXY = preset("HAProxy", s(30), None, None, "HAProxy configuration manual, timeout server");
    /// Envoy: 15 s for a whole response by default (`route.timeout`), to be turned off for streams; 5 min idle.
    ENVOY = preset("Envoy", s(300), None, s(15), "Envoy documentation, How do I configure timeouts");
    /// AWS Application Load Balancer: 60 s idle. HTTP/2 PINGs do not count.
    AWS_ALB = preset("AWS ALB", s(60), None, None, "AWS, Edit attributes for your Application Load Balancer");
    /// AWS Network Load Balancer: 350 s idle.
    AWS_NLB = preset("AWS NLB", s(350), None, None, "AWS, Network Load Balancers, connection idle timeout");
    /// AWS API Gateway, REST, buffered: 29 s for the whole response, of which nothing comes before its end.
    AWS_API_GATEWAY = buffering("AWS API Gateway", None, s(29), "AWS, API Gateway quotas");
    /// AWS API Gateway, REST, response transfer mode `STREAM`, regional: 5 min idle, 15 min in all.
    AWS_API_GATEWAY_STREAM =
        preset("AWS API Gateway (stream)", s(300), None, s(900), "AWS, API Gateway response transfer mode");
    /// The same, edge-optimised: 30 s idle, 15 min in all.
    AWS_API_GATEWAY_EDGE_STREAM =
        preset("AWS API Gateway (edge, stream)", s(30), None, s(900), "AWS, API Gateway response transfer mode");
    /// Amazon CloudFront: 30 s for each read from the origin.
    CLOUDFRONT = preset("CloudFront", s(30), None, None, "AWS, CloudFront origin settings, response timeout");
    /// Cloudflare's proxy: 120 s between two reads, then a 524.
    CLOUDFLARE = preset("Cloudflare", s(120), None, None, "Cloudflare, Connection limits");
    /// Fastly: 15 s to the first byte, 10 s between bytes. What is late is taken for the end, silently.
    FASTLY = preset("Fastly", s(10), s(15), None, "Fastly, VCL backend reference");
    /// Heroku's router: 30 s to the first byte (H12), then 55 s idle (H15).
    HEROKU = preset("Heroku", s(55), s(30), None, "Heroku Dev Center, Request timeout");
    /// Fly.io's proxy: 60 s idle.
    FLY = preset("Fly.io", s(60), None, None, "Fly.io, Fly Proxy");
    /// Railway's edge: 60 s idle, 15 min in all.
    RAILWAY = preset("Railway", s(60), None, s(900), "Railway, Public networking, specs and limits");
    /// Vercel's edge functions: 25 s to the first byte, 300 s in all.
    VERCEL_EDGE = preset("Vercel edge", None, s(25), s(300), "Vercel, Edge runtime");
    /// Vercel's functions: 300 s in all.
    VERCEL_FUNCTIONS = preset("Vercel functions", None, None, s(300), "Vercel, Function duration");
    /// Google Cloud Run: 300 s in all.
    CLOUD_RUN = preset("Cloud Run", None, None, s(300), "Google Cloud, Cloud Run request timeout");
    /// Google's external Application Load Balancer: 30 s for a whole response (backend service timeout), not idle time.
    GOOGLE_ALB = preset("Google ALB", None, None, s(30), "Google Cloud, Backend services overview");
    /// Azure App Service: 230 s idle.
    AZURE_APP_SERVICE = preset("Azure App Service", s(230), None, None, "Microsoft, App Service FAQ");
    /// Azure Load Balancer: 4 min idle.
    AZURE_LOAD_BALANCER = preset("Azure Load Balancer", s(240), None, None, "Microsoft, TCP reset and idle timeout");
    /// Azure Container Apps: 4 min idle.
    AZURE_CONTAINER_APPS = preset("Azure Container Apps", s(240), None, None, "Microsoft, Container Apps ingress");
    /// Azure Front Door: 30 s for the response to begin and to go on.
    AZURE_FRONT_DOOR = preset("Azure Front Door", s(30), s(30), None, "Microsoft, Front Door origin timeout");
    /// Azure Application Gateway: 20 s idle; buffers responses unless told not to.
    AZURE_APPLICATION_GATEWAY =
        buffering("Azure Application Gateway", s(20), None, "Microsoft, Use server-sent events");
    /// Oracle Cloud's load balancer, HTTP: 60 s idle.
    ORACLE_LB = preset("Oracle LB", s(60), None, None, "Oracle Cloud, Load Balancer timeouts");
    /// Bun's HTTP server: 10 s idle.
    BUN = preset("Bun", s(10), None, None, "Bun, Bun.serve, idleTimeout");
    /// ngrok: 5 min idle.
    NGROK = preset("ngrok", s(300), None, None, "ngrok documentation");
    /// Clients on Node.js' fetch (undici): 300 s to the head, 300 s between chunks.
    NODE_FETCH = preset("Node fetch", s(300), s(300), None, "undici, Client options");
    /// Browsers with Yaffle's `EventSource` polyfill: 45 s idle.
    EVENTSOURCE_POLYFILL = preset("EventSource polyfill", s(45), None, None, "Yaffle/EventSource, heartbeatTimeout");
}

impl Hop {
    /// A hop of your own, without limits.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        Self { name, idle: None, first_byte: None, lifetime: None, buffers: false, source: "" }
    }

    /// The preset of this [`name`](Self::name): `nginx`, `aws_alb`, `fly-io`; only letters and digits count, in either case.
    #[must_use]
    pub fn named_preset(name: &str) -> Option<Self> {
        let plain = |text: &str| {
            text.chars()
                .filter(|c| c.is_ascii_alphanumeric())
                .map(|c| c.to_ascii_lowercase())
                .collect::<String>()
        };
        let wanted = plain(name);
        Self::PRESETS.iter().find(|hop| plain(&hop.name) == wanted).cloned()
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// It cuts what has been silent for so long.
    #[must_use]
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    /// It cuts what has given no byte after so long. Without this the [idle](Self::idle) limit counts.
    #[must_use]
    pub fn first_byte(mut self, limit: Duration) -> Self {
        self.first_byte = Some(limit);
        self
    }

    /// It cuts what is so old, whatever it does.
    #[must_use]
    pub fn lifetime(mut self, limit: Duration) -> Self {
        self.lifetime = Some(limit);
        self
    }

    /// It holds bytes back unless it is told not to.
    #[must_use]
    pub fn buffers(mut self) -> Self {
        self.buffers = true;
        self
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// See [`idle`](Self::idle).
    #[must_use]
    pub fn idle_limit(&self) -> Option<Duration> {
        self.idle
    }

    /// See [`first_byte`](Self::first_byte).
    #[must_use]
    pub fn first_byte_limit(&self) -> Option<Duration> {
        self.first_byte
    }

    /// See [`lifetime`](Self::lifetime).
    #[must_use]
    pub fn lifetime_limit(&self) -> Option<Duration> {
        self.lifetime
    }

    /// Whether it holds bytes back unless it is told not to.
    #[must_use]
    pub fn is_buffering(&self) -> bool {
        self.buffers
    }

    /// Where a preset's numbers stand. Empty for a hop of your own.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_limit_a_source_and_a_name_of_its_own() {
        for hop in Hop::PRESETS {
            assert!(hop.idle.or(hop.first_byte).or(hop.lifetime).is_some(), "{hop:?}");
            assert!(!hop.source.is_empty(), "{hop:?}");
            assert_eq!(Hop::named_preset(&hop.name).as_ref(), Some(hop));
        }
        assert_eq!(Hop::named_preset("AWS_alb"), Some(Hop::AWS_ALB));
        assert_eq!(Hop::named_preset("fly-io"), Some(Hop::FLY));
        assert_eq!(Hop::named_preset("nginy"), None);
    }
}
