//! How the picture that agent, clients and server publish is shown to people: pure functions from
//! values to characters, beside `feed`, which reads what clients publish. They show what they are
//! given and find out nothing themselves; the client, which has neither runtime nor parsers, may
//! use them too.

pub(crate) mod feed;
pub(crate) mod hosts;
pub(crate) mod networks;
pub(crate) mod record;
pub(crate) mod text;
