//! Sleep until something happens to a job on its way: its sockets are ready, its time is over, or
//! the agent knows that its host is lost.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::monitor::record::Phase;

use super::agent_link::AgentLink;
use super::state::State;

/// What ends a wait without the sockets that were waited for.
#[derive(Debug)]
pub(super) enum Interruption {
    /// The host is lost, says the agent: why, a lowercase fragment.
    Recalled(String),
    /// Nothing happened for as long as was allowed.
    Late,
    /// One cannot wait.
    Io(io::Error),
}

/// The eyes of a job at one host.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    /// None without an agent, and once it has gone: what it granted can go on without it.
    agent: Option<&'a mut AgentLink>,
    /// The placement that its words may be about.
    key: u64,
    /// What monitors see of the job.
    state: Option<&'a State>,
}

impl<'a> Watch<'a> {
    /// Of a place that the agent granted as `key`.
    pub(super) fn with_agent(agent: &'a mut AgentLink, key: u64) -> Self {
        Self { agent: Some(agent), key, state: None }
    }

    /// Of a place without an agent.
    pub(super) fn alone() -> Self {
        Self { agent: None, key: 0, state: None }
    }

    /// The same, which tells monitors too how far the job is.
    pub(super) fn telling(self, state: &'a State) -> Self {
        Self { state: Some(state), ..self }
    }

    /// The job has come so far.
    pub(super) fn enter(&self, phase: Phase) {
        if let Some(state) = self.state {
            state.enter(phase);
        }
    }

    /// Sleeps until one of `sockets` is ready for what is wanted of it, or has failed: the answer
    /// says which ones. `patience` is how long that may take.
    pub(super) fn wait(
        &mut self,
        sockets: &[(BorrowedFd<'_>, PollFlags)],
        patience: Duration,
    ) -> Result<Vec<bool>, Interruption> {
        let deadline = Instant::now() + patience;
        let mut left = patience;
        loop {
            let agent = self.agent.as_ref().map(|agent| (agent.fd(), PollFlags::POLLIN));
            let watched = sockets.iter().copied().chain(agent);
            let mut fds: Vec<_> = watched.map(|(fd, wanted)| PollFd::new(fd, wanted)).collect();
            match poll(&mut fds, timeout(left)) {
                Ok(0) => return Err(Interruption::Late),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Interruption::Io(errno.into())),
            }
            let mut ready: Vec<bool> = fds.iter().map(|fd| fd.any() == Some(true)).collect();
            if ready.len() > sockets.len() && ready.pop() == Some(true) {
                self.hear_agent()?;
            }
            if ready.contains(&true) {
                return Ok(ready);
            }
            left = deadline.saturating_duration_since(Instant::now());
        }
    }

    fn hear_agent(&mut self) -> Result<(), Interruption> {
        let Some(agent) = &mut self.agent else { return Ok(()) };
        match agent.recalled() {
            Ok((key, reason)) if key == self.key => Err(Interruption::Recalled(reason)),
            // It is about a place that this job has left.
            Ok(_) => Ok(()),
            Err(_) => {
                self.agent = None;
                Ok(())
            }
        }
    }
}

/// As poll(2) counts, never less than asked for: it would be called again and again in the last
/// millisecond.
fn timeout(duration: Duration) -> PollTimeout {
    let millis = duration.as_micros().div_ceil(1000);
    i32::try_from(millis).ok().and_then(|millis| millis.try_into().ok()).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use crate::wire::control::{AgentMessage, frame};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    fn recall(key: u64) -> Vec<u8> {
        frame(&AgentMessage::Recalled { key, reason: "gone".to_owned() }).unwrap()
    }

    fn is_late<T>(waited: &Result<T, Interruption>) -> bool {
        matches!(waited, Err(Interruption::Late))
    }

    #[test]
    fn a_recall_of_this_place_ends_the_wait_and_of_another_does_not() {
        let (ours, mut agents) = UnixStream::pair().unwrap();
        let mut link = AgentLink::over(ours).unwrap();
        let (socket, _host) = UnixStream::pair().unwrap();
        let wanted = [(socket.as_fd(), PollFlags::POLLIN)];
        let mut watch = Watch::with_agent(&mut link, 7);
        agents.write_all(&recall(6)).unwrap();
        assert!(is_late(&watch.wait(&wanted, SOON)));
        agents.write_all(&recall(7)).unwrap();
        let ended = watch.wait(&wanted, LONG);
        assert!(matches!(&ended, Err(Interruption::Recalled(why)) if why == "gone"), "{ended:?}");
    }

    #[test]
    fn the_end_of_the_agent_is_not_the_end_of_the_job() {
        let (ours, agents) = UnixStream::pair().unwrap();
        let mut link = AgentLink::over(ours).unwrap();
        drop(agents);
        let (socket, mut host) = UnixStream::pair().unwrap();
        let wanted = [(socket.as_fd(), PollFlags::POLLIN)];
        let mut watch = Watch::with_agent(&mut link, 7);
        assert!(is_late(&watch.wait(&wanted, SOON)));
        host.write_all(b"x").unwrap();
        assert_eq!(watch.wait(&wanted, LONG).unwrap(), [true]);
    }

    #[test]
    fn only_the_sockets_that_are_ready_are_named() {
        let (idle, _other) = UnixStream::pair().unwrap();
        let wanted = [(idle.as_fd(), PollFlags::POLLIN), (idle.as_fd(), PollFlags::POLLOUT)];
        assert_eq!(Watch::alone().wait(&wanted, LONG).unwrap(), [false, true]);
    }
}
