//! Clients that do as their scripts say.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::Request;
use http::header::CONTENT_TYPE;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::judge::{Outcome, Seen};
use crate::script::{Cut, How, Leaves, Reading, Script, Upload, When};
use crate::wire::Wire;

/// Far longer than any of them takes.
const HANG: Duration = Duration::from_secs(40);

const ACCEPTS: [&str; 2] = ["*/*", "text/event-stream, */*"];

async fn connect(at: SocketAddr, slow: bool) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    if slow {
        let _ = socket.set_recv_buffer_size(4 * 1024);
    }
    let tcp = socket.connect(at).await.ok()?;
    let _ = tcp.set_nodelay(true);
    Some(tcp)
}

/// Waits until the reader may read again.
#[derive(Debug)]
struct Pace {
    reading: Reading,
    stalled: bool,
}

impl Pace {
    fn new(reading: Reading) -> Self {
        Self { reading, stalled: false }
    }

    /// How much to read next.
    async fn next(&mut self, read: usize) -> usize {
        match self.reading {
            Reading::Slow(bytes, silence) => {
                sleep(silence).await;
                bytes
            }
            Reading::Stalls(behind, time) if read >= behind && !self.stalled => {
                sleep(time).await;
                self.stalled = true;
                16 * 1024
            }
            Reading::Stalls(behind, _) if !self.stalled => (behind - read).max(1),
            Reading::Eager | Reading::Stalls(..) => 16 * 1024,
        }
    }
}

/// When it leaves, as far as the time decides that.
fn moment(leaves: Option<Leaves>, begun: Instant) -> impl Future<Output = ()> {
    let at = match leaves.map(|leaves| leaves.when) {
        Some(When::After(time)) => Some(begun + time),
        _ => None,
    };
    async move {
        match at {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }
}

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

/// All of a family on one connection.
pub async fn http2(at: SocketAddr, scripts: &[Script]) -> Vec<Outcome> {
    let none = || scripts.iter().map(|_| Outcome::of(Seen::NoConnection)).collect();
    let slow = scripts.iter().any(|script| script.reading != Reading::Eager);
    let Some(tcp) = connect(at, false).await else {
        return none();
    };
    let cut = scripts[0].connection;
    if cut.is_some_and(|cut| cut.rst) {
        let _ = SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
    }
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 20);
    if slow {
        builder.initial_window_size(4 * 1024);
    }
    let Ok((sender, connection)) = builder.handshake(tcp).await else {
        return none();
    };
    let mut connection = tokio::spawn(connection);
    let mut streams = std::pin::pin!(join_all(scripts.iter().map(|script| {
        let sender = sender.clone();
        async move {
            sleep(script.comes).await;
            timeout(HANG, stream(sender, script)).await.unwrap_or_else(|_| Outcome::of(Seen::Hung))
        }
    })));
    let outcomes = match cut {
        None => streams.await,
        Some(Cut { at, .. }) => {
            tokio::select! {
                outcomes = &mut streams => outcomes,
                () = sleep(at) => {
                    connection.abort();
                    // The socket is closed when the task has gone.
                    let _ = (&mut connection).await;
                    let mut outcomes = streams.await;
                    for outcome in &mut outcomes {
                        if outcome.seen == Seen::Cut {
                            outcome.seen = Seen::Left;
                        }
                    }
                    return outcomes;
                }
            }
        }
    };
    drop(sender);
    if timeout(Duration::from_secs(5), &mut connection).await.is_err() {
        connection.abort();
    }
    outcomes
}

async fn stream(sender: SendRequest<Bytes>, script: &Script) -> Outcome {
    let Ok(mut sender) = sender.ready().await else {
        return Outcome::of(Seen::Cut);
    };
    let Script { index, upload, leaves, .. } = *script;
    let method = if upload == Upload::Nothing { "GET" } else { "POST" };
    let request = Request::builder()
        .method(method)
        .uri(format!("http://chaos/{index}"))
        .header("accept", ACCEPTS[usize::from(script.accepts_events)]);
    let request = match upload {
        Upload::Known(count) | Upload::Stuck(count) => request.header("content-length", count),
        _ => request,
    };
    let request = request.body(()).expect("a request");
    let Ok((answer, mut sender)) = sender.send_request(request, upload == Upload::Nothing) else {
        return Outcome::of(Seen::Cut);
    };
    let begun = Instant::now();
    let mut outcome = Outcome::of(Seen::Cut);
    let mut sent = false;
    let left = {
        let mut sending = std::pin::pin!(async {
            let bytes = upload.bytes();
            let _ = match upload {
                Upload::Nothing => Ok(()),
                Upload::Stuck(count) => sender.send_data(bytes.slice(..count / 2), false),
                Upload::Slow(_, silence) => {
                    for piece in bytes.chunks(bytes.len().div_ceil(Upload::PIECES)) {
                        let _ = sender.send_data(Bytes::copy_from_slice(piece), false);
                        sleep(silence).await;
                    }
                    sender.send_data(Bytes::new(), true)
                }
                _ => sender.send_data(bytes, true),
            };
        });
        let mut reading = std::pin::pin!(read(answer, script, &mut outcome));
        let mut moment = std::pin::pin!(moment(leaves, begun));
        loop {
            tokio::select! {
                () = &mut sending, if !sent => {
                    sent = true;
                    if leaves.is_some_and(|leaves| leaves.when == When::Sent) {
                        break true;
                    }
                }
                () = &mut moment => break true,
                wants = &mut reading => break wants,
            }
        }
    };
    if left {
        sender.send_reset(Reason::CANCEL);
        outcome.seen = Seen::Left;
    }
    outcome.sent = sent;
    outcome
}

/// `true`: it has read enough and leaves.
async fn read(answer: h2::client::ResponseFuture, script: &Script, outcome: &mut Outcome) -> bool {
    let Ok(answer) = answer.await else {
        return false;
    };
    let (head, mut body): (_, RecvStream) = answer.into_parts();
    outcome.came.status = Some(head.status.as_u16());
    let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    outcome.came.media_type = media_type.unwrap_or_default().to_owned();
    let mut pace = Pace::new(script.reading);
    let mut window = 0;
    loop {
        let read = outcome.came.body.len();
        if matches!(script.leaves, Some(Leaves { when: When::Read(most), .. }) if read >= most) && read > 0 {
            return true;
        }
        // Room is given for what is about to be read.
        let most = pace.next(read).await;
        let _ = body.flow_control().release_capacity(window);
        window = 0;
        let mut some = 0;
        while some < most {
            match body.data().await {
                Some(Ok(data)) => {
                    some += data.len();
                    window += data.len();
                    outcome.came.body.extend_from_slice(&data);
                    if script.reading == Reading::Eager {
                        break;
                    }
                }
                Some(Err(_)) => return false,
                None => {
                    outcome.seen = Seen::Finished;
                    return false;
                }
            }
            if window > 2_000 {
                break;
            }
        }
    }
}
