//! Whose words the user reads: after a success that had something to say, those of a compiler that
//! had the files before it.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::command::{Compile, Form};

use super::preprocess::Payload;
use super::remote::Reply;

/// True if what preprocessor and compiler said of a success is what the compiler here would say.
pub(super) fn are_as_here(payload: &Payload, compile: &Compile, reply: &Reply) -> bool {
    let silent_there = reply.stderr.is_empty() && reply.stdout.is_empty();
    match (payload.said.is_empty(), silent_there) {
        (true, true) => true,
        // Words for a terminal have colours, and lines as long as it is wide. gcc's preprocessor
        // warns of what pragmas forbid as well, and tells of unused macros at another place.
        (false, true) => {
            let of_macros = || compile.options().iter().any(|word| word == b"-Wunused-macros");
            let by_compiler = || has_pragma(&payload.source) || of_macros();
            !io::stderr().is_terminal() && (compile.is_clang() || !by_compiler())
        }
        // clang shows lines of the text itself, where gcc reads the files.
        (true, false) => {
            let has_lines = matches!(payload.form, Form::Rewritten { .. })
                || (compile.preprocessed && compile.is_clang());
            has_lines && !tells_of_the_text(compile) && !io::stderr().is_terminal()
        }
        // Some of it may be there twice, and in another order.
        (false, false) => false,
    }
}

/// With these options clang names lines of the text that it got, or its path.
fn tells_of_the_text(compile: &Compile) -> bool {
    let telling: [&[u8]; 3] = [
        b"-fdiagnostics-parseable-fixits",
        b"-fdiagnostics-print-source-range-info",
        b"-fdiagnostics-absolute-paths",
    ];
    compile.options().iter().any(|word| telling.contains(&word.as_slice()))
}

/// A pragma, or the string of one, about what to warn of.
fn has_pragma(text: &[u8]) -> bool {
    const PRAGMA: &[u8] = b"GCC diagnostic";
    text.windows(PRAGMA.len()).any(|words| words == PRAGMA)
}

/// The warnings at the beginning of `said` that carry the driver's name, not a source's. clang's
/// driver has one name whatever it was called by, `clang++-14` for one.
pub(super) fn driver_lines<'a>(compiler: &OsStr, said: &'a [u8]) -> &'a [u8] {
    let name = Path::new(compiler).file_name().unwrap_or(compiler).as_bytes();
    let is_of = |line: &[u8], name: &[u8]| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(b": warning: "))
    };
    let is_of_driver = |line: &&[u8]| is_of(line, name) || is_of(line, b"clang");
    let lines = said.split_inclusive(|&byte| byte == b'\n').take_while(is_of_driver);
    &said[..lines.map(<[u8]>::len).sum()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_the_driver_are_told_from_those_about_a_source() {
        let said =
            "clang: warning: one\nclang: warning: two\na.c:1:1: warning: x\nclang: warning: y\n";
        for compiler in ["clang", "/usr/bin/clang", "clang++-14"] {
            let lines = driver_lines(OsStr::new(compiler), said.as_bytes());
            assert_eq!(lines, b"clang: warning: one\nclang: warning: two\n", "{compiler}");
        }
        assert_eq!(driver_lines(OsStr::new("g++"), b"g++: warning: x\n"), b"g++: warning: x\n");
        assert_eq!(driver_lines(OsStr::new("g++"), b"gcc: warning: x\n"), b"");
    }
}
