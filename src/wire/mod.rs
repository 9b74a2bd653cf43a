//! Bytes on the wire to values and back, nothing else: wire never sees a socket, a clock or a
//! logger. `request` and `reply` are distcc's protocols 1 and 2 with `token`, `body`, `lzo` and
//! the `limits` they keep; `hello`, `refusal` and `control` are our own messages (hello; no; client
//! and agent); `codec` is the one file that names the codec crate.
//!
//! Decoders take what arrives, `feed(&mut self, &mut &[u8])`, and never wait: "not enough yet" is
//! a step, not an error. No length is believed before it is checked, and memory grows with what
//! has arrived.

pub(crate) mod body;
pub(crate) mod codec;
pub(crate) mod control;
pub(crate) mod error;
pub(crate) mod hello;
pub(crate) mod job;
pub(crate) mod limits;
pub(crate) mod lzo;
pub(crate) mod refusal;
pub(crate) mod reply;
pub(crate) mod request;
mod scoped;
pub(crate) mod token;

#[cfg(test)]
mod against_original;
#[cfg(test)]
pub(crate) mod testing;
