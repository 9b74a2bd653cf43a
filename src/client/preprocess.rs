//! The local half of a distributed job: the compiler's preprocessor makes one self-contained text.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::command::Form;
use crate::wire::limits::MAX_EXPANDED;

use super::child::{Running, exit_code};

/// What is sent to a host.
#[derive(Debug, Default)]
pub(super) struct Payload {
    /// The preprocessed source.
    pub(super) source: Vec<u8>,
    /// Its form.
    pub(super) form: Form,
    /// What the preprocessor said, not yet shown: shown with the result, or not at all if the
    /// compiler is run here after all and says it again.
    pub(super) said: Vec<u8>,
}

/// What a preprocessor left.
#[derive(Debug)]
pub(super) struct Written {
    /// Its output.
    pub(super) text: Vec<u8>,
    /// [`Payload::said`].
    pub(super) said: Vec<u8>,
}

/// Why there is nothing to send.
#[derive(Debug)]
pub(super) enum PreprocessFailure {
    /// It found an error, or died.
    Failed {
        /// Its exit code, as a shell reports it.
        code: u8,
        /// It complains of `-fdirectives-only`, with which it cannot count (`__COUNTER__` in a
        /// condition).
        of_form: bool,
    },
    /// It could not be run, or its output not be kept.
    Io {
        /// While doing what.
        during: &'static str,
        /// Why.
        error: io::Error,
    },
    /// The text names a file that the assembler would read.
    ReadsFile,
    /// The text is larger than any server takes.
    TooLarge {
        /// Its length in bytes.
        len: u64,
    },
}

/// What gcc names when the form of the text is not to its liking.
const COMPLAINT: &[u8] = b"-fdirectives-only";

/// A preprocessor at work.
#[derive(Debug)]
pub(super) struct Preprocessor {
    running: Running,
    output: File,
    said: Option<File>,
}

/// Where the preprocessor's output is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workplace<'a> {
    /// `$TMPDIR`.
    pub(super) dir: &'a Path,
    /// `DISTCC_SAVE_TEMPS=1`: under a name, and not removed.
    pub(super) keep: bool,
    /// `.i` or `.ii`: the ending of that name.
    pub(super) suffix: &'a str,
}

impl Preprocessor {
    /// Starts `command`, a preprocessor that writes to its standard output.
    pub(super) fn start(
        mut command: Command,
        place: Workplace<'_>,
    ) -> Result<Self, PreprocessFailure> {
        let io_error = |during| move |error| PreprocessFailure::Io { during, error };
        let output = output_file(place).map_err(io_error("making a temporary file"))?;
        let for_child = output.try_clone().map_err(io_error("making a temporary file"))?;
        command.stdin(Stdio::null()).stdout(for_child);
        let said = hold_back_stderr(&mut command);
        let running =
            Running::start_apart(command).map_err(io_error("starting the preprocessor"))?;
        Ok(Self { running, output, said })
    }

    /// Waits for its end and reads what it wrote.
    pub(super) fn finish(self) -> Result<Written, PreprocessFailure> {
        let io_error = |during| move |error| PreprocessFailure::Io { during, error };
        let status = self.running.wait().map_err(io_error("waiting for the preprocessor"))?;
        let said = self.said.map_or(Ok(Vec::new()), read_back);
        let said = said.map_err(io_error("reading the preprocessor's messages"))?;
        if !status.success() {
            let of_form = said.windows(COMPLAINT.len()).any(|words| words == COMPLAINT);
            return Err(PreprocessFailure::Failed { code: exit_code(status), of_form });
        }
        let text = read_back(self.output).map_err(io_error("reading the preprocessed source"))?;
        if text.len() > MAX_EXPANDED {
            return Err(PreprocessFailure::TooLarge { len: text.len() as u64 });
        }
        Ok(Written { text, said })
    }
}

/// A source that is preprocessed already.
pub(super) fn read_preprocessed(source: &Path) -> Result<Payload, PreprocessFailure> {
    let source = fs::read(source)
        .map_err(|error| PreprocessFailure::Io { during: "reading the source", error })?;
    if source.len() > MAX_EXPANDED {
        return Err(PreprocessFailure::TooLarge { len: source.len() as u64 });
    }
    if makes_assembler_read(&source) {
        return Err(PreprocessFailure::ReadsFile);
    }
    Ok(Payload { source, said: Vec::new(), form: Form::Plain })
}

/// A file without a name, which vanishes with its last descriptor however we end.
fn output_file(place: Workplace<'_>) -> io::Result<File> {
    if place.keep {
        let named = tempfile::Builder::new()
            .prefix("distcc_")
            .suffix(place.suffix)
            .tempfile_in(place.dir)?;
        return named.keep().map(|(file, _)| file).map_err(|error| error.error);
    }
    tempfile::tempfile_in(place.dir)
}

/// Keeps what `command` will say until it is known whether it has to be said, from a terminal too:
/// what the compiler says when it is run here after all would stand there twice.
fn hold_back_stderr(command: &mut Command) -> Option<File> {
    let file = memory().ok()?;
    command.stderr(file.try_clone().ok()?);
    Some(file)
}

/// A file for words, in memory.
pub(super) fn memory() -> io::Result<File> {
    Ok(memfd_create(c"distcc-stderr", MFdFlags::MFD_CLOEXEC)?.into())
}

/// All of it, from its beginning.
pub(super) fn read_back(mut file: File) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Shows what was held back.
pub(super) fn show(said: &[u8]) {
    // Nothing can be done where standard error is closed.
    let _ = io::stderr().write_all(said);
}

/// Directives by which the assembler reads a file; it takes them in capitals as well.
const READING: [&[u8]; 2] = [b".incbin", b".include"];

/// True if the assembler may have to read a file: one of the directives anywhere, even in a
/// comment or a string, since inline assembly is a string.
pub(super) fn makes_assembler_read(text: &[u8]) -> bool {
    READING.iter().any(|directive| contains_word(text, directive))
}

/// True if `word`, in lower case, stands in the text and its last letter ends a name there:
/// `x.include_dirs` is no directive.
fn contains_word(text: &[u8], word: &[u8]) -> bool {
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    // Horspool: the window's last byte says how far the next match can be, mostly 7 bytes.
    let last = word.len() - 1;
    let mut at = last;
    while let Some(byte) = text.get(at) {
        let found = text[at - last..=at].eq_ignore_ascii_case(word);
        if found && !text.get(at + 1).is_some_and(goes_on) {
            return true;
        }
        let byte = byte.to_ascii_lowercase();
        let from_end = word[..last].iter().rev().position(|other| *other == byte);
        at += from_end.map_or(word.len(), |distance| distance + 1);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_directive_wherever_it_stands() {
        for text in [
            ".incbin",
            "a .incbin \"f\"",
            "..incbin",
            ".inc.incbin",
            "xxxxxx.incbin\n",
            "asm(\".include \\\"/etc/passwd\\\"\");",
            "asm(\"nop\\n.include\\t'f'\");",
            ".include_ .INCLUDE 'f'",
            ".IncBin",
        ] {
            assert!(makes_assembler_read(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            ".incbi",
            "incbin",
            "include",
            "#include <x>",
            "p.include_dirs = q.includes;",
            ".incbins",
            ".incbln .inc bin",
            "nnnnnnnnn",
        ] {
            assert!(!makes_assembler_read(text.as_bytes()), "{text}");
        }
        for directive in READING {
            for offset in 0..30 {
                let text = [&vec![b'i'; offset], directive, &[b' '; 5]].concat();
                assert!(makes_assembler_read(&text), "{offset}");
            }
        }
    }

    fn run(script: &str) -> Result<Written, PreprocessFailure> {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let place = Workplace { dir: dir.path(), keep: false, suffix: ".i" };
        let payload = Preprocessor::start(command, place).unwrap().finish();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        payload
    }

    #[test]
    fn yields_what_was_written() {
        assert_eq!(run("echo int x").unwrap().text, b"int x\n");
    }

    #[test]
    fn what_fails_has_nothing_to_say() {
        for (script, code) in [("kill -KILL $$", 137), ("echo bad >&2; exit 4", 4)] {
            let failure = run(script).unwrap_err();
            assert!(
                matches!(failure, PreprocessFailure::Failed { code: found, of_form: false } if found == code),
                "{script}: {failure:?}"
            );
        }
    }

    #[test]
    fn keeps_the_text_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo int x"]);
        let place = Workplace { dir: dir.path(), keep: true, suffix: ".ii" };
        Preprocessor::start(command, place).unwrap().finish().unwrap();
        let kept = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(kept.extension().unwrap(), "ii");
        assert_eq!(fs::read(kept).unwrap(), b"int x\n");
    }
}
