//! Skipping that nobody overlooks.

/// Says on stderr that a test did not run and why. Under `CI=true` that is a failure: the machine
/// that decides whether a change is good must be able to run everything.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "skipped under CI: {reason}");
}
