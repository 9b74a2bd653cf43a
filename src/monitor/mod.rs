//! How the picture that agent and server publish is shown to people: pure functions from values
//! to characters. They show what they are given and find out nothing themselves; the client, which
//! has neither runtime nor parsers, may use them too.

pub(crate) mod hosts;
pub(crate) mod networks;
