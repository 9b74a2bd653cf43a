//! Hostile clients against Debian's distccd and ours. Each attack has to succeed against the
//! original, in protocols 1 and 2, before its failure against ours counts for anything.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a helper fails its test")]

#[path = "../common/long.rs"]
mod long;
#[path = "../common/skip.rs"]
mod skip;

mod attack;
mod cases;
mod documented;
mod processes;
mod run;
mod table;
mod victim;
mod wire;
