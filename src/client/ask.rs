//! What a compiler says of itself, asked once and remembered below `DISTCC_DIR`, since a start of
//! it costs more than all else that we do. An answer holds for the file that gave it; whatever is
//! damaged, or cannot be kept, is asked again.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::sys::locks;

use super::child::{Running, exit_code};
use super::compiler::Compiler;
use super::local::shown;
use super::session::Session;

/// First words of a remembered answer; another number whenever we read answers otherwise.
const HEADER: &str = "distcc compiler answer 1";
/// Its last line: the file is whole.
const FOOTER: &str = "end\n";

/// A question to a compiler.
pub(super) struct Question<'a> {
    /// The options that ask it.
    pub(super) words: Vec<OsString>,
    /// What else the answer depends on, beside the compiler's file.
    pub(super) depends_on: String,
    /// What to keep of all that it says, as one line; the error is a lowercase fragment.
    pub(super) read: &'a dyn Fn(&[u8]) -> Result<String, String>,
}

/// The compiler's answer, as `read` has it; the error is a lowercase fragment.
///
/// Many clients may have the same question at once: one asks, the others wait for what it learns.
pub(super) fn ask(
    session: &Session<'_>,
    compiler: &Compiler,
    question: &Question<'_>,
) -> Result<String, String> {
    let put =
        || put(session, compiler, question).map_err(|error| format!("it cannot be asked: {error}"));
    let remembered = memory(session, compiler, question);
    let Some((path, key)) = remembered else { return put()?.read(question) };
    if let Some(answer) = recall(&path, &key) {
        return answer;
    }
    let _lock = path.parent().and_then(|dir| locks::lock(&dir.join("lock")).ok());
    if let Some(answer) = recall(&path, &key) {
        return answer;
    }
    let said = put()?;
    let answer = said.read(question);
    // A compiler that failed may do better the next time.
    if said.code == 0
        && let Err(error) = remember(&path, &key, &answer)
    {
        session.log.info(format_args!("cannot write {}: {error}", path.display()));
    }
    answer
}

/// The file that remembers the answer, and what must stand in it; none where nothing may be.
fn memory(
    session: &Session<'_>,
    compiler: &Compiler,
    question: &Question<'_>,
) -> Option<(PathBuf, String)> {
    if !compiler.is_program() {
        return None;
    }
    let file = fs::metadata(&compiler.path).ok()?;
    let mut key = format!("{HEADER}\n{:?}\n", compiler.path);
    let (seconds, nanoseconds) = (file.mtime(), file.mtime_nsec());
    let (dev, ino, size) = (file.dev(), file.ino(), file.size());
    let _ = writeln!(key, "{dev} {ino} {size} {seconds}.{nanoseconds:09}");
    let _ = writeln!(key, "{:?}\n{:?}", question.words, question.depends_on);
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let distcc_dir = session.env.distcc_dir.as_ref()?;
    let dir = distcc_dir.join("compilers");
    for dir in [distcc_dir, &dir] {
        // Where it cannot be made nothing is remembered, which is all.
        let _ = fs::create_dir(dir);
    }
    Some((dir.join(format!("{:016x}", hasher.finish())), key))
}

fn recall(path: &Path, key: &str) -> Option<Result<String, String>> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.strip_prefix(key)?.strip_suffix(FOOTER)?.strip_suffix('\n')?;
    if line.contains('\n') {
        return None;
    }
    let (kind, answer) = line.split_once(' ')?;
    match kind {
        "answer" => Some(Ok(answer.to_owned())),
        "problem" => Some(Err(answer.to_owned())),
        _ => None,
    }
}

fn remember(path: &Path, key: &str, answer: &Result<String, String>) -> io::Result<()> {
    let line = match answer {
        Ok(answer) => format!("answer {answer}"),
        Err(problem) => format!("problem {problem}"),
    };
    let temporary = path.with_extension(process::id().to_string());
    let mut file = File::create(&temporary)?;
    let written = file
        .write_all(format!("{key}{}\n{FOOTER}", line.replace('\n', " ")).as_bytes())
        .and_then(|()| fs::rename(&temporary, path));
    written.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// What a compiler wrote to both its outputs, and its exit code.
struct Said {
    code: u8,
    text: Vec<u8>,
}

impl Said {
    fn read(&self, question: &Question<'_>) -> Result<String, String> {
        match self.code {
            0 => (question.read)(&self.text),
            code => Err(format!("asked, the compiler exits with {code}")),
        }
    }
}

fn put(session: &Session<'_>, compiler: &Compiler, question: &Question<'_>) -> io::Result<Said> {
    let name = session.compiler_name().to_owned();
    let argv: Vec<OsString> = [name].into_iter().chain(question.words.iter().cloned()).collect();
    session.log.info(format_args!("asking: {}", shown(&argv)));
    let mut command = session.command(compiler, &argv);
    let mut said = File::from(memfd_create(c"distcc-answer", MFdFlags::MFD_CLOEXEC)?);
    // It is read by us; its user may have another language.
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command.stdout(said.try_clone()?).stderr(said.try_clone()?);
    let code = exit_code(Running::start(command)?.wait()?);
    let mut text = Vec::new();
    said.rewind()?;
    said.read_to_end(&mut text)?;
    Ok(Said { code, text })
}

#[cfg(test)]
mod tests;
