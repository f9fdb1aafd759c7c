//! A client with a connection for one request, made of its bytes.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::{ACCEPTS, HANG, Pace, connect, moment};
use crate::judge::{Outcome, Seen};
use crate::script::{How, Reading, Script, Upload, When};
use crate::wire::Wire;

pub async fn http1(at: [SocketAddr; 2], script: &Script) -> Outcome {
    sleep(script.comes).await;
    timeout(HANG, exchange(at, script)).await.unwrap_or_else(|_| Outcome::of(Seen::Hung))
}

async fn exchange(at: [SocketAddr; 2], script: &Script) -> Outcome {
    let half_close = script.leaves.is_some_and(|leaves| leaves.how == How::HalfClose(true));
    let Some(mut tcp) = connect(at[usize::from(half_close)], script.reading != Reading::Eager).await else {
        return Outcome::of(Seen::NoConnection);
    };
    let leaves = script.leaves;
    if leaves.is_some_and(|leaves| leaves.how == How::Rst) {
        let _ = SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
    }
    let begun = Instant::now();
    let (mut reader, mut writer) = tcp.split();
    let is = |when| leaves.is_some_and(|leaves| leaves.when == when);
    if is(When::InHead) {
        let head = head(script);
        let _ = writer.write_all(&head[..head.len() / 2]).await;
        return Outcome::of(Seen::Left);
    }
    let mut wire = Wire::default();
    let mut pace = Pace::new(script.reading);
    let mut buffer = vec![0; 16 * 1024];
    let mut read = 0;
    let (mut sent, mut left) = (false, false);
    let mut end = Seen::Cut;
    {
        let mut sending = std::pin::pin!(send(&mut writer, script));
        let mut moment = std::pin::pin!(moment(leaves, begun));
        while !wire.is_over() {
            let now = tokio::select! {
                () = &mut sending, if !sent => {
                    sent = true;
                    is(When::Sent)
                }
                () = &mut moment, if !left => true,
                count = async {
                    let most = pace.next(read).await;
                    reader.read(&mut buffer[..most]).await
                } => match count {
                    Ok(0) | Err(_) => break,
                    Ok(count) => {
                        read += count;
                        if let Err(wrong) = wire.push(&buffer[..count]) {
                            end = Seen::Nonsense(wrong);
                            break;
                        }
                        leaves.is_some_and(|leaves| matches!(leaves.when, When::Read(most) if read >= most))
                    }
                },
            };
            if now && !left {
                left = true;
                match leaves.map(|leaves| leaves.how) {
                    // What it has not sent it does not send any more.
                    Some(How::HalfClose(_)) => break,
                    _ => return Outcome { came: wire.came, seen: Seen::Left, sent },
                }
            }
        }
    }
    if left {
        let _ = writer.shutdown().await;
        while !wire.is_over() {
            let most = pace.next(read).await;
            match reader.read(&mut buffer[..most]).await {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    read += count;
                    if let Err(wrong) = wire.push(&buffer[..count]) {
                        end = Seen::Nonsense(wrong);
                        break;
                    }
                }
            }
        }
    }
    if wire.is_over() {
        end = Seen::Finished;
    }
    Outcome { came: wire.came, seen: end, sent }
}

fn head(script: &Script) -> Vec<u8> {
    let Script { index, upload, accepts_events, .. } = script;
    let method = if *upload == Upload::Nothing { "GET" } else { "POST" };
    let accept = ACCEPTS[usize::from(*accepts_events)];
    let length = match *upload {
        Upload::Nothing => String::new(),
        Upload::Known(count) | Upload::Stuck(count) => format!("content-length: {count}\r\n"),
        _ => "transfer-encoding: chunked\r\n".to_owned(),
    };
    format!("{method} /{index} HTTP/1.1\r\nhost: chaos\r\naccept: {accept}\r\n{length}\r\n").into_bytes()
}

/// Whatever becomes of it, it is seen in what is read.
async fn send(writer: &mut (impl AsyncWrite + Unpin), script: &Script) {
    let upload = script.upload;
    let bytes = upload.bytes();
    let mut all = head(script);
    match upload {
        Upload::Nothing => {}
        Upload::Known(_) => all.extend(&bytes),
        Upload::Chunked(_) => {
            bytes.chunks(700).for_each(|piece| chunk(&mut all, piece));
            all.extend(b"0\r\n\r\n");
        }
        Upload::Stuck(count) => all.extend(&bytes[..count / 2]),
        Upload::Malformed => all.extend(b"5\r\nhello\r\nxyz\r\nhello\r\n"),
        Upload::Garbage => {
            all = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 nobody speaks this\r\n\r\n".into()
        }
        Upload::Slow(_, silence) => {
            for piece in bytes.chunks(bytes.len().div_ceil(Upload::PIECES)) {
                chunk(&mut all, piece);
                if writer.write_all(&all).await.is_err() {
                    return;
                }
                all.clear();
                sleep(silence).await;
            }
            all.extend(b"0\r\n\r\n");
        }
    }
    let _ = writer.write_all(&all).await;
}

fn chunk(all: &mut Vec<u8>, piece: &[u8]) {
    all.extend(format!("{:x}\r\n", piece.len()).as_bytes());
    all.extend(piece);
    all.extend(b"\r\n");
}
