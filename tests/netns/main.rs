//! Real networks: several hosts on one bridge, each in namespaces of its own.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a helper fails its test")]

#[path = "../common/skip.rs"]
mod skip;

mod access;
mod agent_life;
mod complaints;
mod daemon_life;
mod farm;
mod hostile;
mod lab;
mod lab_test;
mod left_behind;
mod trouble;
