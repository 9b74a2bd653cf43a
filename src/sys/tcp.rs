//! What the kernel knows of a TCP connection (`TCP_INFO`, linux/tcp.h), and finds out when asked.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::libc;
use socket2::{SockRef, TcpKeepalive};

/// Where `struct tcp_info` has these numbers of 8 bits, and these of 64. It only ever grows at its
/// end.
const RETRANSMITS: usize = 2;
const PROBES: usize = 3;
const BYTES_ACKED: usize = 120;
const DELIVERY_RATE: usize = 160;
const BUSY_TIME: usize = 168;
const RWND_LIMITED: usize = 176;
/// As much of it as is read: up to the last of them, which Linux 4.10 brought.
const LEN: usize = RWND_LIMITED + 8;

/// The kernel counts busy times in ticks, mostly of this length.
const TICK: Duration = Duration::from_millis(4);

/// How the sent bytes of a connection fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    /// Bytes that the other end has acknowledged.
    pub(crate) acked: u64,
    /// For how long there were bytes that it had not.
    busy: Duration,
    /// For how long of this it had no room for more.
    no_room: Duration,
    /// Bytes a second at which the last ones arrived; 0 if the kernel cannot tell.
    rate: u64,
}

impl Sending {
    /// For how long the network, not the other end, held bytes back.
    ///
    /// Neither figure alone will do. The kernel counts only about half of the time in which a
    /// server does not read as time without room; and the rate, which knows nothing of such
    /// pauses, is that of one round trip, often too low by half.
    pub(crate) fn time_on_wire(&self) -> Duration {
        let held = self.busy.saturating_sub(self.no_room);
        if self.rate == 0 {
            return held;
        }
        let micros = u128::from(self.acked) * 1_000_000 / u128::from(self.rate);
        let by_rate = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        by_rate.min(held + TICK)
    }
}

/// Asks about a connected socket; `None` from a kernel that does not tell.
pub(crate) fn sending(socket: &impl AsFd) -> io::Result<Option<Sending>> {
    let (info, len) = info(socket)?;
    Ok((len >= LEN).then(|| Sending {
        acked: number(&info, BYTES_ACKED),
        busy: Duration::from_micros(number(&info, BUSY_TIME)),
        no_room: Duration::from_micros(number(&info, RWND_LIMITED)),
        rate: number(&info, DELIVERY_RATE),
    }))
}

/// Makes the kernel ask the other end's kernel every `interval` whether it is there, while nothing
/// else is on its way.
pub(crate) fn keep_asking(socket: &impl AsFd, interval: Duration) -> io::Result<()> {
    let asking = TcpKeepalive::new().with_time(interval).with_interval(interval);
    SockRef::from(socket).set_tcp_keepalive(&asking)
}

/// How many packets in a row the other end's kernel has left unanswered, of whatever kind. One that
/// is there answers each, however busy its programs are.
pub(crate) fn unanswered(socket: &impl AsFd) -> io::Result<u8> {
    let (info, _) = info(socket)?;
    Ok(info[RETRANSMITS].max(info[PROBES]))
}

/// The first bytes of `struct tcp_info`, and how many of them the kernel knows.
fn info(socket: &impl AsFd) -> io::Result<([u8; LEN], usize)> {
    let mut info = [0; LEN];
    let mut len = libc::socklen_t::try_from(LEN).expect("a few hundred bytes");
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `len` bytes to `info`, which has that many, and the
    // number that it wrote to `len`; the descriptor is borrowed for the call.
    #[expect(unsafe_code, reason = "neither nix nor socket2 reads TCP_INFO")]
    let outcome = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((info, usize::try_from(len).unwrap_or(LEN)))
}

fn number(info: &[u8; LEN], offset: usize) -> u64 {
    info[offset..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn counts_the_bytes_that_arrived() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = listener.accept().unwrap().0;
        client.write_all(&[7; 5000]).unwrap();
        server.read_exact(&mut [0; 5000]).unwrap();
        server.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
        let sending = sending(&client).unwrap().unwrap();
        // The connection's own beginning counts as one.
        assert_eq!(sending.acked, 5001);
    }

    #[test]
    fn a_host_that_is_there_leaves_nothing_unanswered() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Nobody accepts, but its kernel is there.
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(&[7; 5000]).unwrap();
        keep_asking(&client, Duration::from_secs(1)).unwrap();
        assert_eq!(unanswered(&client).unwrap(), 0);
        assert!(SockRef::from(&client).keepalive().unwrap());
    }

    #[test]
    fn a_server_that_does_not_read_is_not_a_slow_network() {
        let millis = Duration::from_millis;
        let sending = |busy, no_room, rate| {
            let (busy, no_room) = (millis(busy), millis(no_room));
            Sending { acked: 1_000_000, busy, no_room, rate }.time_on_wire()
        };
        assert_eq!(sending(440, 40, 0), millis(400));
        assert_eq!(sending(440, 40, 2_500_000), millis(400));
        // One round trip was slower than the rest.
        assert_eq!(sending(440, 40, 1_250_000), millis(404));
        // It was busy for 100 ms, of which the kernel counts half.
        assert_eq!(sending(104, 56, 100_000_000), millis(10));
        // Too fast for the kernel's clock.
        assert_eq!(sending(0, 0, 1_000_000_000), millis(1));
        assert_eq!(sending(0, 4, 0), millis(0));
    }
}
