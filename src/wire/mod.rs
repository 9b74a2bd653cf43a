//! Bytes on the wire to values and back, nothing else: wire never sees a socket, a clock or a
//! logger. `token` and `job` are distcc's protocols 1 and 2, `body` its bulk bodies, `control` our
//! own messages (hello; client and agent), `codec` the one file that names the codec crate.

pub(crate) mod codec;
pub(crate) mod control;
