//! Programs that are installed on this machine.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

/// Where one of these programs is. `None` means that the test has nothing to say here; in CI that is a failure.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Servers are often outside of the search path of ordinary users.
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found =
        folders.flat_map(|folder| names.iter().map(move |name| folder.join(name))).find(|p| p.is_file());
    if found.is_none() {
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{} is not installed", names[0]);
        println!("skipped: {} is not installed", names[0]);
    }
    found
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a program to its end, or until this is dropped.
pub async fn output(program: &Path, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = output.await.expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Output { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A running program with a folder of its own. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    /// `arguments` is told the new folder.
    pub fn start(program: &Path, arguments: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = TempDir::new().expect("a folder");
        let errors = File::create(folder.path().join("stderr")).expect("a file");
        let child = Command::new(program)
            .args(arguments(folder.path()))
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("the program starts");
        Self { child, folder }
    }

    /// Waits until the program accepts connections.
    pub async fn accepts(&mut self, at: SocketAddr) {
        while TcpStream::connect(at).await.is_err() {
            let over = self.child.try_wait().expect("its state");
            assert!(over.is_none(), "it ended: {over:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let errors = fs::read(self.folder.path().join("stderr")).unwrap_or_default();
            eprintln!("it said:\n{}", String::from_utf8_lossy(&errors));
        }
        // Chromium's helpers outlive it by a moment and still write.
        for _ in 0..50 {
            if fs::remove_dir_all(self.folder.path()).is_ok() {
                return;
            }
            pause();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a drop cannot wait in any other way, and its test is over")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// An address that nobody listens on, and that nobody else in this test binary is given. Below the ports that the
/// system hands out by itself, so that no connection takes it before the program does.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    // Test runs at the same time begin at different places.
    let offset = (process::id() * 97 % u32::from(COUNT)) as u16;
    let addresses = std::iter::repeat_with(|| {
        let place = (u32::from(offset) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % u32::from(COUNT);
        SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + place as u16))
    });
    addresses.take(usize::from(COUNT)).find(|at| TcpListener::bind(at).is_ok()).expect("a free port")
}
