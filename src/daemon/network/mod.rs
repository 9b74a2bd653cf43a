//! What reaches the network: the port, who is connected to it, one connection, and what this machine
//! says of itself.

pub(crate) mod advert;
pub(crate) mod connection;
pub(crate) mod descriptors;
pub(crate) mod guests;
pub(crate) mod hello;
pub(crate) mod listener;
