//! The end of a child, waited for with a deadline.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits for the end of the child `pid`, which is not reaped by it, for at most `patience`.
#[expect(unsafe_code, reason = "nix has no descriptors of processes")]
pub(crate) fn wait_for_end(pid: u32, patience: Duration) -> io::Result<()> {
    // SAFETY: takes and returns plain numbers; the kernel sets close-on-exec by itself.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the descriptor is new and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let millis = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    loop {
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], millis) {
            // By the alarm that keeps a state file fresh, which comes rarely.
            Err(Errno::EINTR) => {}
            polled => return Ok(polled.map(drop)?),
        }
    }
}
