//! Our programs together with Debian's distcc 3.4, over static host lists. With `UNDER_TEST=theirs`
//! the original stands in for ours everywhere, which tests the tests.

#[path = "../common/long.rs"]
mod long;
#[path = "../common/skip.rs"]
mod skip;

mod forms;
mod lists;
mod matrix;
mod monitors;
mod naming;
mod pairs;
mod programs;
mod refusals;
