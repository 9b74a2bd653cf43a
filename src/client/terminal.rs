//! A word to the person at the terminal. Standard error is no way to reach one: make, ninja and
//! configure keep it, and some builds fail on any output.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc::{O_NOCTTY, O_NONBLOCK};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// Writes `distcc: TEXT` on the terminal of this session. An error if there is none, if it is
/// stopped, or if writing would stop this command (in the background after `stty tostop`).
pub(super) fn tell(text: &str) -> io::Result<()> {
    let mut terminal =
        OpenOptions::new().write(true).custom_flags(O_NOCTTY | O_NONBLOCK).open("/dev/tty")?;
    // ninja gives every command a process group of its own, which is in the background.
    let stops_writers = tcgetattr(&terminal)?.local_flags.contains(LocalFlags::TOSTOP);
    if stops_writers && tcgetpgrp(&terminal)? != getpgrp() {
        return Err(io::Error::other("this command runs in the background of its terminal"));
    }
    // A terminal in raw mode, as under a full-screen build, needs the carriage return.
    terminal.write_all(format!("distcc: {text}\r\n").as_bytes())
}
