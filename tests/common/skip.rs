//! Skipping that nobody overlooks.

use std::env;
use std::fs::File;
use std::io::Write;

/// Says on stderr that a test did not run and why, and in the file `$TEST_SKIPS`, which `make test`
/// shows at its end. Under `CI=true` that is a failure: the machine that decides whether a change
/// is good must be able to run everything.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    if let Some(path) = env::var_os("TEST_SKIPS") {
        let file = File::options().append(true).create(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{reason}"));
        assert!(written.is_ok(), "cannot write to $TEST_SKIPS: {written:?}");
    }
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "skipped under CI: {reason}");
}
