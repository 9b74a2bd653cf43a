//! The codec of everything our own programs say to each other or keep on disk. No other file names
//! the codec crate.

use std::fmt::{self, Display, Formatter};

use bincode::config::{self, Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No message or cache file of ours is larger; a length beyond it is refused before allocation.
pub(crate) const MAX_MESSAGE: usize = 4 << 20;

/// Bytes that are not a value of the type asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodecError(String);

impl Display for CodecError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

const fn configuration() -> Configuration<LittleEndian, Fixint, Limit<MAX_MESSAGE>> {
    config::standard().with_fixed_int_encoding().with_limit::<MAX_MESSAGE>()
}

/// The bytes of `value`.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(value, configuration()).map_err(|e| CodecError(e.to_string()))
}

/// The value that `bytes` hold, all of them: trailing bytes are an error.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, read) = bincode::serde::decode_from_slice(bytes, configuration())
        .map_err(|e| CodecError(e.to_string()))?;
    if read != bytes.len() {
        return Err(CodecError(format!("{} bytes left over", bytes.len() - read)));
    }
    Ok(value)
}
