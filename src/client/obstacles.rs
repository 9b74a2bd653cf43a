//! What only the file system tells of a job that may travel by its command.

use std::ffi::OsStr;
use std::fs;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::command::{Compile, Form, Language, may_mislead};

use super::preprocess::Payload;

/// Why the files of this machine keep a job here, if they do.
pub(super) fn before_preprocessing(compile: &Compile) -> Option<&'static str> {
    // What stands in a pipe can be read once; preprocessor, compiler and we read it again.
    let mut read = compile.forced_includes.iter().chain([&compile.source]);
    if read.any(|file| {
        file != Path::new("/dev/null") && fs::metadata(file).is_ok_and(|meta| !meta.is_file())
    }) {
        return Some("what is to be read is no regular file");
    }
    let mut forced = compile.forced_includes.iter();
    if forced.any(|header| is_precompiled(header) || is_precompiled_among(compile, header)) {
        return Some("a precompiled header is included");
    }
    // The preprocessor writes it, and would again with a compile here.
    if compile.dependency_file.as_deref().is_some_and(|file| !is_plain(file)) {
        return Some("the dependency file is no regular file");
    }
    None
}

/// True where the compiler would have read a header of this text in a compiled form: gcc does so
/// with the first one, if no code stands before it.
pub(super) fn includes_precompiled(compile: &Compile, text: &[u8]) -> bool {
    if compile.clang || compile.preprocessed {
        return false;
    }
    let mut depth = 0_u32;
    let mut in_comment = false;
    let mut continued = false;
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        let was_continued = mem::replace(&mut continued, line.ends_with(b"\\"));
        if in_comment || line.starts_with(b"/*") {
            in_comment = !line.ends_with(b"*/");
        } else if let Some(marker) = Marker::read(line) {
            depth = match marker.step {
                Step::In => depth + 1,
                Step::Out => depth.saturating_sub(1),
                Step::None => depth,
            };
            let header = Path::new(OsStr::from_bytes(marker.file));
            if (marker.step, depth) == (Step::In, 1)
                && (is_precompiled(header) || is_precompiled_among(compile, header))
            {
                return true;
            }
        } else if !(was_continued
            || line.is_empty()
            || line.starts_with(b"#")
            || line.starts_with(b"//"))
        {
            return false;
        }
    }
    false
}

/// True if the text has a pragma that gives a C function other options. Up to version 12 gcc's
/// preprocessor does not know that macros (`__AVX2__`) change there; a C++ compiler does not either.
pub(super) fn changes_options(compile: &Compile, text: &[u8]) -> bool {
    if compile.clang || compile.preprocessed || compile.language != Language::C {
        return false;
    }
    let mut in_system_header = false;
    for line in text.split(|&byte| byte == b'\n') {
        let Some(directive) = line.trim_ascii_start().strip_prefix(b"#") else { continue };
        if directive.get(1).is_some_and(u8::is_ascii_digit) {
            let flags = directive.rsplit(|&byte| byte == b'"').next().unwrap_or_default();
            in_system_header = flags.contains(&b'3');
            continue;
        }
        let mut words = directive.split(|byte| !byte.is_ascii_alphanumeric());
        let mut word = || words.find(|word| !word.is_empty()).unwrap_or_default();
        if !in_system_header
            && (word(), word()) == (b"pragma", b"GCC")
            && matches!(word(), b"target" | b"optimize")
        {
            return true;
        }
    }
    false
}

/// True if gcc here might warn of the indentation: of a text that names files it looks at these, and
/// so is silent elsewhere. It never warns of a source that is preprocessed already.
pub(super) fn misleads(compile: &Compile, payload: &Payload) -> bool {
    if compile.clang || compile.preprocessed {
        return false;
    }
    match payload.form {
        // Macros and blanks are not those of the source.
        Form::Plain => {
            fs::read(&compile.source).is_ok_and(|text| may_mislead(&text, compile.options()))
        }
        Form::Directives | Form::Rewritten { .. } => {
            may_mislead(&payload.source, compile.options())
        }
    }
}

/// Is a header of this name precompiled in a directory in which headers are looked for?
fn is_precompiled_among(compile: &Compile, header: &Path) -> bool {
    let Some(name) = header.file_name() else { return false };
    compile.include_dirs.iter().any(|dir| is_precompiled(&dir.join(name)))
}

/// A header that the compiler would read in a compiled form, which no preprocessor shows.
fn is_precompiled(header: &Path) -> bool {
    ["gch", "pch"].iter().any(|suffix| {
        let mut compiled = header.as_os_str().to_os_string();
        compiled.push(".");
        compiled.push(suffix);
        Path::new(&compiled).exists()
    })
}

/// Can this file be written again? What is written to a pipe or to standard output is gone.
fn is_plain(path: &Path) -> bool {
    if path == Path::new("/dev/null") {
        return true;
    }
    let is_special = path == Path::new("-")
        || ["/dev", "/proc"].iter().any(|directory| path.starts_with(directory));
    // What cannot be looked at is left to the one who writes it.
    !is_special && fs::symlink_metadata(path).map_or(true, |meta| meta.is_file())
}

/// A line that tells where the text after it is from.
struct Marker<'a> {
    file: &'a [u8],
    step: Step,
}

/// What a line marker's first flag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    In,
    Out,
    None,
}

impl<'a> Marker<'a> {
    /// `# 12 "file" 1 3`
    fn read(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"# ")?;
        let quote = rest.iter().position(|&byte| byte == b'"')?;
        let is_number = rest[..quote].iter().all(|&byte| byte.is_ascii_digit() || byte == b' ');
        let end = rest.iter().rposition(|&byte| byte == b'"').filter(|&end| end > quote)?;
        let step = match rest[end + 1..].trim_ascii().first() {
            Some(b'1') => Step::In,
            Some(b'2') => Step::Out,
            _ => Step::None,
        };
        is_number.then_some(Self { file: &rest[quote + 1..end], step })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::command::testing::compile_of;

    #[test]
    fn the_first_header_may_be_precompiled() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display();
        fs::write(dir.path().join("p.h.gch"), "").unwrap();
        let enters = |file: &str| format!("# 0 \"<built-in>\"\n# 1 \"{file}\" 1\n");
        let compile = compile_of("gcc -c a.c");
        let among = compile_of(&format!("gcc -I src -I {root} -c a.c"));
        let precompiled = format!("{root}/p.h");
        let cases = [
            (enters(&precompiled), true),
            (
                enters("x.h")
                    + "#define A \\\n b\n/* a\nb */\n\n# 2 \"a.c\" 2\n"
                    + &enters(&precompiled),
                true,
            ),
            (enters("x.h") + "int x;\n# 2 \"a.c\" 2\n" + &enters(&precompiled), false),
            (enters("x.h") + &enters(&precompiled), false),
            (enters(&format!("{root}/q.h")), false),
        ];
        for (text, expected) in cases {
            assert_eq!(includes_precompiled(&compile, text.as_bytes()), expected, "{text}");
        }
        assert!(!includes_precompiled(&compile, enters("src/p.h").as_bytes()));
        assert!(includes_precompiled(&among, enters("src/p.h").as_bytes()));
        let clang = compile_of("clang -c a.c");
        assert!(!includes_precompiled(&clang, enters(&precompiled).as_bytes()));
    }

    #[test]
    fn options_of_functions_are_seen_where_they_are_the_users() {
        let marker = |flags: &str| format!("# 1 \"x.h\" {flags}\n");
        for (text, expected) in [
            (marker("1") + "#pragma GCC target(\"avx2\")\n", true),
            (marker("1") + " # pragma  GCC optimize \"O3\"\n", true),
            (marker("1 3 4") + "#pragma GCC target(\"avx2\")\n", false),
            (marker("1") + "#pragma GCC diagnostic push\n#define pragma GCC target\n", false),
        ] {
            let found = |line: &str| changes_options(&compile_of(line), text.as_bytes());
            assert_eq!(found("gcc -c a.c"), expected, "{text}");
            assert!(!found("g++ -c a.cc") && !found("clang -c a.c"));
        }
    }

    #[test]
    fn what_can_be_read_once_stays_here() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display();
        fs::write(dir.path().join("a.c"), "").unwrap();
        symlink("a.c", dir.path().join("link.c")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe.c"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (line, expected) in [
            (format!("gcc -c {root}/a.c"), true),
            (format!("gcc -c {root}/link.c"), true),
            (format!("gcc -c {root}/none.c"), true),
            (format!("gcc -c {root}/pipe.c"), false),
            (format!("gcc -include {root}/pipe.c -c {root}/a.c"), false),
            ("gcc -x c -c /dev/null".to_owned(), true),
        ] {
            assert_eq!(before_preprocessing(&compile_of(&line)).is_none(), expected, "{line}");
        }
    }

    #[test]
    fn dependency_files_are_regular_ones() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display();
        symlink("/dev/null", dir.path().join("link")).unwrap();
        fs::write(dir.path().join("old.d"), "").unwrap();
        for (line, expected) in [
            (format!("gcc -c a.c -MD -MF {root}/new.d"), true),
            (format!("gcc -c a.c -MD -MF {root}/old.d"), true),
            (format!("gcc -c a.c -MD -MF {root}/none/x.d"), true),
            (format!("gcc -c a.c -MD -MF {root}/link"), false),
            (format!("gcc -c a.c -MF {root}/link"), true),
            ("gcc -c a.c -MD -MF -".to_owned(), false),
            ("gcc -c a.c -MD -MF /dev/stdout".to_owned(), false),
            ("gcc -c a.c -MD -MF /dev/null".to_owned(), true),
        ] {
            assert_eq!(before_preprocessing(&compile_of(&line)).is_none(), expected, "{line}");
        }
    }
}
