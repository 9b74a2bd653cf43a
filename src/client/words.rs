//! Whose words the user reads: after a success that had something to say, those of a compiler that
//! had the files before it.

use std::io::{self, IsTerminal};

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
