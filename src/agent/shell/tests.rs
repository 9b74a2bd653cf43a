//! The agent on its socket, with clients of its own and of another version.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use nix::fcntl::FlockArg;
use tempfile::TempDir;

use super::*;
use crate::wire::codec;
use crate::wire::control::{AGENT_PROTOCOL, FRAME_HEADER, LocalPurpose, frame, frame_len};

fn say(stream: &mut UnixStream, message: &ClientMessage) {
    stream.write_all(&frame(message).unwrap()).unwrap();
}

/// `None`: closed.
fn answer(stream: &mut UnixStream) -> Option<AgentMessage> {
    let mut header = [0; FRAME_HEADER];
    stream.read_exact(&mut header).ok()?;
    let mut body = vec![0; frame_len(header).unwrap()];
    stream.read_exact(&mut body).unwrap();
    Some(codec::decode(&body).unwrap())
}

/// An agent on a thread of its own, and the path of its socket.
fn agent(dir: &TempDir) -> (PathBuf, thread::JoinHandle<io::Result<()>>) {
    let socket = dir.path().join("sock");
    let listener = StdListener::bind(&socket).unwrap();
    let lock = File::create(dir.path().join("lock")).unwrap();
    let alive = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let setting = Setting {
        distcc_dir: dir.path().to_owned(),
        dir: dir.path().to_owned(),
        socket: socket.clone(),
        idle: Duration::from_secs(600),
    };
    let running = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(setting, listener, alive))
    });
    (socket, running)
}

#[test]
fn an_outdated_agent_serves_its_clients_to_their_end() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, running) = agent(&dir);
    let mut client = UnixStream::connect(&socket).unwrap();
    say(&mut client, &ClientMessage::Hello { protocol: AGENT_PROTOCOL });
    assert!(answer(&mut client).is_some());
    let mut newer = UnixStream::connect(&socket).unwrap();
    say(&mut newer, &ClientMessage::Hello { protocol: AGENT_PROTOCOL + 1 });
    assert_eq!(answer(&mut newer), None, "closed");
    while socket.exists() {
        thread::yield_now();
    }
    // The event of the socket's removal comes in among these; it must not end the agent.
    let slot = ClientMessage::LocalPlace { purpose: LocalPurpose::Compile, limit: None };
    for _ in 0..2000 {
        say(&mut client, &slot);
        assert!(matches!(answer(&mut client), Some(AgentMessage::Local(_))));
    }
    drop(client);
    running.join().unwrap().unwrap();
}
