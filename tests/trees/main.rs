//! Real trees, built by the build systems that people use, through our client and server: what
//! comes out, and what is said meanwhile, is what a local build gives. All of it is long.

#[path = "../common/long.rs"]
mod long;
#[path = "../common/skip.rs"]
mod skip;

mod bench;
mod built;
mod cached;
mod recipes;
