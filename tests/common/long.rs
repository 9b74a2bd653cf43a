//! The long suites, which `make test-all` adds.

/// True when the long suites are wanted (`LONG=1`); a long test returns at once otherwise. No
/// list of them has to be kept anywhere.
pub(crate) fn wanted() -> bool {
    let wanted = std::env::var_os("LONG").is_some_and(|long| long == "1");
    if !wanted {
        eprintln!("not run: a long test, `make test-all` runs it (LONG=1)");
    }
    wanted
}
