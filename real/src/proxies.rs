//! Reverse proxies that wait for their upstream for 2 s and no longer, where nothing else is said.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::process::{Process, free_address};

/// Runs until dropped.
#[derive(Debug)]
pub struct Proxy {
    pub at: SocketAddr,
    _process: Process,
}

/// `more` are further directives of the location.
pub async fn nginx(program: &Path, upstream: SocketAddr, more: &str) -> Proxy {
    patient_nginx(program, upstream, 2, more).await
}

/// One that waits for so many seconds.
pub async fn patient_nginx(program: &Path, upstream: SocketAddr, seconds: u64, more: &str) -> Proxy {
    let at = free_address();
    let config = format!(
        "daemon off;
        master_process off;
        pid nginx.pid;
        error_log stderr;
        events {{ worker_connections 256; }}
        http {{
            access_log off;
            client_body_temp_path body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            server {{
                listen {at};
                location / {{
                    proxy_pass http://{upstream};
                    proxy_read_timeout {seconds}s;
                    {more}
                }}
            }}
        }}"
    );
    start(program, at, |folder| {
        fs::write(folder.join("nginx.conf"), config).expect("written");
        ["-e", "stderr", "-p", &folder.to_string_lossy(), "-c", "nginx.conf"].map(str::to_owned).into()
    })
    .await
}

pub async fn haproxy(program: &Path, upstream: SocketAddr) -> Proxy {
    patient_haproxy(program, upstream, 2).await
}

/// One that waits for so many seconds.
pub async fn patient_haproxy(program: &Path, upstream: SocketAddr, seconds: u64) -> Proxy {
    let at = free_address();
    let config = format!(
        "defaults
            mode http
            timeout connect 1m
            timeout client 5m
            timeout server {seconds}s
        listen front
            bind {at}
            server upstream {upstream}\n"
    );
    start(program, at, |folder| {
        let file = folder.join("haproxy.cfg");
        fs::write(&file, config).expect("written");
        ["-db", "-f", &file.to_string_lossy()].map(str::to_owned).into()
    })
    .await
}

async fn start(program: &Path, at: SocketAddr, arguments: impl FnOnce(&Path) -> Vec<String>) -> Proxy {
    let mut process = Process::start(program, arguments);
    process.accepts(at).await;
    Proxy { at, _process: process }
}
