//! A connection that several streams share.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::Request;
use http::header::CONTENT_TYPE;
use socket2::SockRef;
use tokio::time::{Instant, sleep, timeout};

use super::{ACCEPTS, HANG, Pace, connect, moment};
use crate::judge::{Outcome, Seen};
use crate::script::{Cut, Leaves, Reading, Script, Upload, When};

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
