//! What request and answer share: the protocol and the compiler's wait status.

use std::fmt::{self, Display, Formatter};

use super::error::DecodeError;

/// A distcc protocol in which a job may travel. Pump mode, 3, is not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// Protocol 1: bodies as they are.
    Plain = 1,
    /// Protocol 2, `,lzo` in a host list: each body one LZO block.
    Lzo = 2,
}

impl Protocol {
    /// The number in `DIST` and `DONE`.
    pub(crate) const fn version(self) -> u32 {
        self as u32
    }

    /// The protocol with this number.
    pub(crate) const fn from_version(version: u32) -> Result<Self, DecodeError> {
        match version {
            1 => Ok(Self::Plain),
            2 => Ok(Self::Lzo),
            _ => Err(DecodeError::UnsupportedVersion { version }),
        }
    }
}

/// How the compiler ended, as `wait` reports it: what `STAT` carries. Only statuses that an ended
/// process can have exist, so a value never has both a signal and an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitStatus(u16);

impl WaitStatus {
    /// Ended with exit code 0.
    pub(crate) const SUCCESS: Self = Self(0);

    /// Ended by itself with this code.
    pub(crate) const fn exited(code: u8) -> Self {
        Self((code as u16) << 8)
    }

    /// The status with these bits, if a process can end with it: either an exit code in bits 8-15,
    /// or a signal in bits 0-6 with the mark of a core dump in bit 7.
    pub(crate) fn from_raw(raw: u32) -> Result<Self, DecodeError> {
        let error = DecodeError::BadStatus { status: raw };
        let Ok(bits) = u16::try_from(raw) else { return Err(error) };
        // 0x7f marks a stopped process; 64 is the highest signal of Linux.
        match (bits >> 8, bits & 0x80 != 0, bits & 0x7f) {
            (_, false, 0) | (0, _, 1..=64) => Ok(Self(bits)),
            _ => Err(error),
        }
    }

    /// The bits, as in `STAT`.
    pub(crate) const fn raw(self) -> u32 {
        self.0 as u32
    }

    /// Whether the compiler succeeded, and so an object follows.
    pub(crate) const fn success(self) -> bool {
        self.0 == 0
    }

    /// The exit code, unless a signal ended it.
    pub(crate) const fn code(self) -> Option<u8> {
        match self.0.to_le_bytes() {
            [0, code] => Some(code),
            _ => None,
        }
    }

    /// The signal that ended it, if one did.
    pub(crate) const fn signal(self) -> Option<u8> {
        match self.0 & 0x7f {
            0 => None,
            signal => Some(signal as u8),
        }
    }

    /// Whether a core was dumped.
    pub(crate) const fn core_dumped(self) -> bool {
        self.0 & 0x80 != 0
    }
}

impl Display for WaitStatus {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.code(), self.signal()) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) if self.core_dumped() => {
                write!(f, "signal {signal}, core dumped")
            }
            (None, signal) => write!(f, "signal {}", signal.unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_ended_process_can_have_is_a_status() {
        for (raw, code, signal) in
            [(0, Some(0), None), (0x100, Some(1), None), (0xff00, Some(255), None)]
                .into_iter()
                .chain([(9, None, Some(9)), (0x8b, None, Some(11)), (64, None, Some(64))])
        {
            let status = WaitStatus::from_raw(raw).unwrap();
            assert_eq!((status.raw(), status.code(), status.signal()), (raw, code, signal));
        }
        for raw in [0x7f, 0x137f, 0x80, 0x10b, 65, 0xffff, 0x1_0000, u32::MAX] {
            assert_eq!(WaitStatus::from_raw(raw), Err(DecodeError::BadStatus { status: raw }));
        }
    }

    #[test]
    fn versions_other_than_one_and_two_are_refused() {
        for protocol in [Protocol::Plain, Protocol::Lzo] {
            assert_eq!(Protocol::from_version(protocol.version()), Ok(protocol));
        }
        for version in [0, 3, 4, 0xc1, u32::MAX] {
            assert!(Protocol::from_version(version).is_err());
        }
    }
}
