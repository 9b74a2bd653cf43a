//! The agent's socket: one task per client, each a reader of frames and a writer of answers. A
//! closed socket is reported like any other message, because it gives the client's place back.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::books::ClientId;
use super::shell::Event;
use crate::wire::codec;
use crate::wire::control::{
    AGENT_PROTOCOL, AgentMessage, ClientMessage, FRAME_HEADER, frame, frame_len,
};

/// Answers that wait for one client; a client asks one question at a time.
const ANSWERS: usize = 8;

/// Accepts clients until the owner is gone.
pub(super) async fn listen(listener: UnixListener, events: mpsc::Sender<Event>) {
    let mut next = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                next += 1;
                tokio::spawn(serve(ClientId(next), stream, events.clone()));
            }
            Err(e) => {
                // Out of descriptors: one client's end frees one; nothing else can be done.
                warn!(error = %e, "cannot accept a client");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
        if events.is_closed() {
            return;
        }
    }
}

async fn serve(client: ClientId, stream: UnixStream, events: mpsc::Sender<Event>) {
    let (mut reader, mut writer) = stream.into_split();
    let (answers, mut to_write) = mpsc::channel::<AgentMessage>(ANSWERS);
    if events.send(Event::Came(client, answers)).await.is_err() {
        return;
    }
    let writing = tokio::spawn(async move {
        while let Some(message) = to_write.recv().await {
            let Ok(bytes) = frame(&message) else { return };
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut greeted = false;
    loop {
        let message = match read_message(&mut reader).await {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(e) => {
                debug!(client = client.0, error = %e, "client sent what cannot be read");
                break;
            }
        };
        let event = match message {
            ClientMessage::Hello { protocol } if protocol == AGENT_PROTOCOL => {
                greeted = true;
                Event::Said(client, ClientMessage::Hello { protocol })
            }
            ClientMessage::Hello { .. } => {
                // Closing tells it to start an agent of its own version.
                let _ = events.send(Event::Outdated).await;
                break;
            }
            _ if !greeted => break,
            message => Event::Said(client, message),
        };
        if events.send(event).await.is_err() {
            break;
        }
    }
    // The owner drops the sender of answers, which ends the writer.
    let _ = events.send(Event::Left(client)).await;
    let _ = writing.await;
}

/// `None` at a clean end.
async fn read_message(
    reader: &mut (impl AsyncReadExt + Unpin),
) -> io::Result<Option<ClientMessage>> {
    let mut header = [0; FRAME_HEADER];
    match reader.read_exact(&mut header).await {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let len = frame_len(header).map_err(|e| {
        io::Error::new(io::ErrorKind::InvalidData, format!("frame of {} bytes", e.len))
    })?;
    let mut body = vec![0; len];
    reader.read_exact(&mut body).await?;
    codec::decode(&body).map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}
