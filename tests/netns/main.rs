//! Real networks: several hosts on one bridge, each in namespaces of its own.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a helper fails its test")]

#[path = "../common/long.rs"]
mod long;
#[path = "../common/skip.rs"]
mod skip;

mod access;
mod agent_life;
mod agents;
mod complaints;
mod daemon_life;
mod families;
mod farm;
mod farm_forms;
mod farm_mid_build;
mod flood;
mod forger;
mod hostile;
mod identity;
mod jobs;
mod joining;
mod lab;
mod lab_test;
mod left_behind;
mod links;
mod lost_hosts;
mod mixed_farm;
mod networks;
mod policies;
mod policy_edits;
mod policy_farm;
mod processes;
mod project;
mod scenarios;
mod ssh;
mod stock_clients;
mod stock_restarts;
mod stock_servers;
mod trouble;
mod why;
