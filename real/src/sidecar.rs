//! The example `sidecar` as a process, in front of an upstream.

use std::fs;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use http::Version;
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::{Client, Reading};
use crate::process::{find, output};

/// Runs until dropped, which fails when anything in it has panicked.
#[derive(Debug)]
pub struct Sidecar {
    pub at: SocketAddr,
    pub admin: SocketAddr,
    child: Child,
    errors: NamedTempFile,
}

impl Sidecar {
    /// `program` is where cargo has built it. `upstream` is without the scheme unless it is `h2c://`.
    pub async fn start(program: &str, upstream: &str, flags: &[&str]) -> Self {
        let upstream =
            if upstream.contains("://") { upstream.to_owned() } else { format!("http://{upstream}") };
        let errors = NamedTempFile::new().expect("a file");
        let mut child = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--upstream", &upstream])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors.reopen().expect("a file"))
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut address = async |what: &str| {
            let line = lines.next_line().await.expect("a line").expect("it has not ended");
            line.strip_prefix(what)
                .unwrap_or_else(|| panic!("{what}, got {line}"))
                .parse()
                .expect("an address")
        };
        let at = address("listening on ").await;
        let admin = address("admin on ").await;
        Self { at, admin, child, errors }
    }

    /// Sends SIGTERM.
    pub async fn terminate(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        let kill = find(&["kill"]).expect("kill");
        assert_eq!(output(&kill, &["-TERM", &pid]).await.code, Some(0));
    }

    pub async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.expect("its status")
    }

    /// Status and text of a page at its admin address.
    pub async fn asked(&self, path: &str) -> (u16, String) {
        let mut client = Client::connect(self.admin, Version::HTTP_11).await;
        let response = client.get(path).await;
        let status = response.status().as_u16();
        let mut reading = Reading::new(response);
        reading.to_end().await;
        (status, String::from_utf8(reading.bytes).expect("text"))
    }

    /// Asks for its metrics until this is among them.
    pub async fn reports(&self, text: &str) {
        while !self.asked("/metrics").await.1.contains(text) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let errors = fs::read_to_string(self.errors.path()).unwrap_or_default();
        if std::thread::panicking() {
            eprintln!("it said:\n{errors}");
        } else {
            assert!(!errors.contains("panicked"), "{errors}");
        }
    }
}
