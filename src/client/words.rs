//! Whose words the user reads: after a success that had something to say, those of a compiler that
//! had the files before it.
//!
//! gcc there shows no lines of the source, and where what it says is all that a parser says, gcc
//! here says the same, with the lines, at a fraction of the cost: by `-fsyntax-only`.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::command::{Compile, Form, syntax_argv};
use crate::wire::control::LocalPurpose;

use super::child::Running;
use super::compiler::Compiler;
use super::place::Places;
use super::preprocess::{Payload, memory, read_back, show};
use super::remote::Reply;
use super::session::Session;

/// What is shown of a success.
#[derive(Debug)]
pub(super) enum Words {
    /// What preprocessor and compiler said: a compiler here would say the same.
    AsThere,
    /// This instead.
    Full(Vec<u8>),
    /// What this command says on the terminal.
    OfCommand(Command),
    /// Only a compile here can tell.
    Unclear,
}

/// Decides on what preprocessor and compiler said of a success.
pub(super) fn judge(
    session: &Session<'_>,
    places: &mut Places<'_>,
    (compiler, compile): (&Compiler, &Compile),
    payload: &Payload,
    reply: &Reply,
) -> Words {
    if are_as_here(payload, compile, reply) {
        return Words::AsThere;
    }
    let of_source = payload.form == Form::Directives || compile.preprocessed;
    if compile.is_clang() || !of_source || !reply.stdout.is_empty() {
        return Words::Unclear;
    }
    let Some(argv) = syntax_argv(compile) else { return Words::Unclear };
    places.local(LocalPurpose::Compile);
    match words_of(session.command(compiler, &argv)) {
        Ok(Some(full)) if only_adds_excerpts(&full, &payload.said, &reply.stderr) => {
            session.log.info(format_args!("what it warned of is shown in full by a parser here"));
            if io::stderr().is_terminal() {
                Words::OfCommand(session.command(compiler, &argv))
            } else {
                Words::Full(full)
            }
        }
        Ok(_) => Words::Unclear,
        Err(error) => {
            session.log.info(format_args!("cannot run a parser here: {error}"));
            Words::Unclear
        }
    }
}

/// Shows what a command says, whose result is known.
pub(super) fn show_those_of(command: Command) {
    // It has run before; what it says is all that could be missing.
    let _ = Running::start(command).and_then(Running::wait);
}

/// What a compiler says; none if it fails.
fn words_of(mut command: Command) -> io::Result<Option<Vec<u8>>> {
    let said = memory()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
    if !Running::start_apart(command)?.wait()?.success() {
        return Ok(None);
    }
    read_back(said).map(Some)
}

/// True if what preprocessor and compiler said of a success is what the compiler here would say.
fn are_as_here(payload: &Payload, compile: &Compile, reply: &Reply) -> bool {
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

/// True if `full` is made of the lines of `said` and `there`, each in their order, and of lines of
/// the source with their marks. A server may quote in another character set.
fn only_adds_excerpts(full: &[u8], said: &[u8], there: &[u8]) -> bool {
    let [full, said, there] = [full, said, there].map(with_plain_quotes);
    let [mut said, mut there] = [&said, &there].map(|words| lines(words).peekable());
    lines(&full).all(|line| {
        said.next_if_eq(&line).is_some()
            || there.next_if_eq(&line).is_some()
            || is_excerpt(&without_colours(line))
    }) && said.next().is_none()
        && there.next().is_none()
}

fn with_plain_quotes(words: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(words.len());
    let mut rest = words;
    while let Some((&byte, behind)) = rest.split_first() {
        let quote = rest.strip_prefix("‘".as_bytes()).or_else(|| rest.strip_prefix("’".as_bytes()));
        plain.push(if quote.is_some() { b'\'' } else { byte });
        rest = quote.unwrap_or(behind);
    }
    plain
}

fn lines(words: &[u8]) -> impl Iterator<Item = &[u8]> {
    words.split_inclusive(|&byte| byte == b'\n')
}

/// `   12 | int a;`, `      |     ^`, `  +++ |+#include <x>`, or, without numbers, a blank before
/// the line. The trace of includes begins with blanks, too.
fn is_excerpt(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    let number = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_indented = text.len() < line.len() && !text.starts_with(b"from ");
    is_indented || (number > 0 && text[number..].starts_with(b" |"))
}

/// The line without what sets colours: `ESC [ ... m` and `ESC [ K`.
fn without_colours(line: &[u8]) -> Vec<u8> {
    let mut parts = line.split(|&byte| byte == 0x1b);
    let mut plain = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let end = part.iter().position(|byte| byte.is_ascii_alphabetic());
        plain.extend_from_slice(end.map_or(part, |end| &part[end + 1..]));
    }
    plain
}

/// Shows what is to be shown of a success.
pub(super) fn tell(words: Words, payload: &Payload, speak: impl FnOnce()) {
    match words {
        Words::AsThere | Words::Unclear => {
            show(&payload.said);
            speak();
        }
        Words::Full(words) => show(&words),
        Words::OfCommand(command) => show_those_of(command),
    }
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

    const THERE: &str = "x.c: In function 'f':\nx.c:4:9: warning: unused variable 'u'\n\
        In file included from a.h:1,\n                 from x.c:2:\nb.h:1:2: warning: b\n";
    const FULL: &str = "x.c: In function 'f':\nx.c:4:9: warning: unused variable 'u'\n\
        \x20   4 |     int u;\n      |         ^\n\
        In file included from a.h:1,\n                 from x.c:2:\nb.h:1:2: warning: b\n\
        \x20   1 | b\n  +++ |+#include <b.h>\n12345 | b\n";

    #[test]
    fn lines_of_the_source_may_be_added() {
        assert!(only_adds_excerpts(FULL.as_bytes(), b"", THERE.as_bytes()));
        let (said, there) = THERE.split_at(THERE.find("In file").unwrap());
        assert!(only_adds_excerpts(FULL.as_bytes(), said.as_bytes(), there.as_bytes()));
        let quoted = FULL.replace("'f'", "‘f’");
        assert!(only_adds_excerpts(quoted.as_bytes(), b"", THERE.as_bytes()));
        let coloured = FULL.replace("    4 |", "\x1b[01m\x1b[K    4\x1b[m\x1b[K |");
        assert!(only_adds_excerpts(coloured.as_bytes(), b"", THERE.as_bytes()));
    }

    #[test]
    fn nothing_else_may_differ() {
        for (full, there) in [
            (FULL.replace("unused", "used"), THERE.to_owned()),
            (FULL.to_owned(), format!("{THERE}x.c:9:1: warning: of the optimizer\n")),
            (format!("{FULL}x.c:9:1: warning: of the parser\n"), THERE.to_owned()),
            (FULL.replace("a.h:1,\n", "a.h:1,\n                 from c.h:1,\n"), THERE.to_owned()),
        ] {
            assert!(!only_adds_excerpts(full.as_bytes(), b"", there.as_bytes()), "{full}");
        }
    }

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
