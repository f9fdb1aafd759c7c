//! Servers that were not written in Rust, and that know nothing of this crate.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::process::{Process, find, free_address};

/// What `.ci/run` has installed below `target/`. `None` means that the test has nothing to say here; in CI that is a
/// failure.
pub fn installed(what: &str) -> Option<PathBuf> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(what);
    if !at.exists() {
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{what} is not installed");
        println!("skipped: {what} is not installed ({})", at.display());
        return None;
    }
    Some(at)
}

/// Python with `mcp`, sse-starlette, uvicorn and websockets.
pub fn python() -> Option<PathBuf> {
    installed("mcp-python/lib")?;
    // In that environment for its tests alone, and added later.
    installed("mcp-python/bin/websockets")?;
    installed("mcp-python/bin/python")
}

/// Where the TypeScript SDK is.
pub fn sdk() -> Option<PathBuf> {
    installed("mcp-node/node_modules/@modelcontextprotocol/sdk/dist/esm")
}

/// Runs until dropped.
#[derive(Debug)]
pub struct Upstream {
    pub at: SocketAddr,
    /// The same by HTTP/2, where it has that.
    pub http2: SocketAddr,
    _process: Process,
}

const WEB_PY: &str = include_str!("web.py");
const WEB_MJS: &str = include_str!("web.mjs");
const MCP_PY: &str = include_str!("mcp.py");
const MCP_MJS: &str = include_str!("mcp.mjs");

/// starlette, sse-starlette and uvicorn.
pub async fn starlette() -> Option<Upstream> {
    let python = python()?;
    Some(start(&python, |at, _, folder| words(&["-c", WEB_PY, &at.port().to_string(), folder])).await)
}

/// Node's own, HTTP/1.1 and HTTP/2.
pub async fn node() -> Option<Upstream> {
    let node = find(&["node"])?;
    Some(
        start(&node, |at, http2, _| module(WEB_MJS, &[&at.port().to_string(), &http2.port().to_string()]))
            .await,
    )
}

/// MCP's Python SDK. `format` of responses is `json` or `events`.
pub async fn mcp_python(format: &str) -> Option<Upstream> {
    let python = python()?;
    Some(start(&python, |at, _, _| words(&["-c", MCP_PY, &at.port().to_string(), format])).await)
}

/// MCP's TypeScript SDK.
pub async fn mcp_node(format: &str) -> Option<Upstream> {
    let (node, sdk) = (find(&["node"])?, sdk()?);
    let sdk = sdk.to_str().expect("a path of text");
    Some(start(&node, |at, _, _| module(MCP_MJS, &[sdk, &at.port().to_string(), format])).await)
}

async fn start(
    program: &Path,
    arguments: impl FnOnce(SocketAddr, SocketAddr, &str) -> Vec<String>,
) -> Upstream {
    let (at, http2) = (free_address(), free_address());
    let mut process =
        Process::start(program, |folder| arguments(at, http2, folder.to_str().expect("a path of text")));
    process.accepts(at).await;
    Upstream { at, http2, _process: process }
}

/// The arguments by which Node runs such a text.
pub fn module(text: &str, arguments: &[&str]) -> Vec<String> {
    words(&[&["--input-type=module", "--eval", text], arguments].concat())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
