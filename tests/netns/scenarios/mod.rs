//! Machines that come, go, sleep and move while somebody builds: each test is named by what people
//! do, and prints how long the list of hosts took to be right after it.
//!
//! With `COMPARE=1` in the environment Debian's client and servers take part in place of ours,
//! wherever they can run the scenario. Of them nothing is asserted but that the build is right;
//! their times are printed (`make compare`).

mod addresses;
mod cables;
mod docks;
mod families6;
mod idle;
mod membership;
mod sleep;
mod story;
mod traffic;

use std::time::Duration;

/// Between the jobs of a build, in a scenario of seconds.
const BRISK: Duration = Duration::from_millis(20);
/// In one of minutes.
const CALM: Duration = Duration::from_millis(300);
/// The servers of most scenarios.
const A: &str = "10.77.0.2";
const B: &str = "10.77.0.3";
