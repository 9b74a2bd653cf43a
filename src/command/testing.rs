//! What several modules' tests share.

use std::ffi::OsString;
use std::path::Path;

use super::scan::{Compile, Plan, scan};

/// The words of a command line without quotes.
pub(crate) fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(Into::into).collect()
}

/// The plan of a command line that can be distributed.
pub(crate) fn compile_of(line: &str) -> Compile {
    let argv = words(line);
    match scan(&argv, Path::new(&argv[0])) {
        Plan::Distribute(compile) => *compile,
        Plan::Split(singles) => panic!("{line}: {singles:?}"),
        Plan::Local(reason) => panic!("{line}: {reason}"),
    }
}
