//! The official MCP clients, which CI installs into `target/`.

use std::env;
use std::path::{Path, PathBuf};

use crate::process::{find, output};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    Python,
    TypeScript,
}

/// A client that is installed.
#[derive(Debug)]
pub struct Client {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Client {
    /// `None` means that the test has nothing to say here; in CI that is a failure.
    pub fn find(sdk: Sdk) -> Option<Self> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        let (program, needs, script) = match sdk {
            Sdk::Python => {
                let python = target.join("mcp-python/bin/python");
                (python.clone(), python, vec!["-c".to_owned(), include_str!("mcp.py").to_owned()])
            }
            Sdk::TypeScript => {
                let sdk = target.join("mcp-node/node_modules/@modelcontextprotocol/sdk/dist/esm");
                let script = [
                    "--input-type=module",
                    "--eval",
                    include_str!("mcp.mjs"),
                    sdk.to_str().expect("a path of text"),
                ];
                (find(&["node"])?, sdk.clone(), script.map(str::to_owned).into())
            }
        };
        if !needs.exists() {
            assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{sdk:?}'s MCP SDK is not installed");
            println!("skipped: {sdk:?}'s MCP SDK is not installed ({})", needs.display());
            return None;
        }
        Some(Self { program, arguments: script })
    }

    /// Calls the tool `think`, and gives what it said, or how it failed.
    pub async fn think(&self, url: &str, millis: u64) -> Result<String, String> {
        let millis = millis.to_string();
        let mut arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        arguments.extend([url, &millis]);
        let output = output(&self.program, &arguments).await;
        let last = output.out.lines().last().unwrap_or_default();
        let said: serde_json::Value =
            serde_json::from_str(last).unwrap_or_else(|_| panic!("it says how it went: {output:?}"));
        match (&said["text"], &said["error"]) {
            (serde_json::Value::String(text), _) => Ok(text.clone()),
            (_, error) => Err(error.as_str().unwrap_or_default().to_owned()),
        }
    }
}
