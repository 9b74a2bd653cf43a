//! What the kernel tells of by itself: each is waited for on a thread of its own, which ends with
//! the process.

use std::ffi::OsStr;
use std::io;
use std::thread;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::mpsc;

use super::shell::{Event, Setting};
use crate::sys::links::LinkWatch;

/// Reports the end of the agent's directory or socket.
pub(super) fn directory(setting: &Setting, events: mpsc::Sender<Event>) -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    let ends = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
    // The removal of its own socket ends an agent too: nobody could reach it any more.
    inotify.add_watch(&setting.dir, ends | AddWatchFlags::IN_DELETE)?;
    let socket = setting.socket.file_name().map(OsStr::to_os_string);
    thread::Builder::new().name("directory".to_owned()).spawn(move || {
        while let Ok(seen) = inotify.read_events() {
            let over = seen.iter().any(|event| event.mask.intersects(ends) || event.name == socket);
            if over {
                let _ = events.blocking_send(Event::Vanished);
                return;
            }
        }
    })?;
    Ok(())
}

/// Reports changes of links, addresses and routes.
pub(super) fn links(events: mpsc::Sender<Event>) -> io::Result<()> {
    let mut links = LinkWatch::start()?;
    thread::Builder::new().name("links".to_owned()).spawn(move || {
        loop {
            let Ok(change) = links.next() else { return };
            if events.blocking_send(Event::Moved(change)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
