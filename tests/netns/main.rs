//! Real networks: several hosts on one bridge, each in namespaces of its own.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a helper fails its test")]

#[path = "../common/long.rs"]
mod long;
#[path = "../common/skip.rs"]
mod skip;

mod agents;
mod families;
mod farm;
mod farm_forms;
mod farm_mid_build;
mod lab;
mod lab_test;
mod policies;
mod policy_edits;
mod policy_farm;
mod project;
