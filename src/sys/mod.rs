//! The operating system: processes, limits, clocks, locks. The only folder where `unsafe` may
//! stand; raw file descriptors never leave it.
