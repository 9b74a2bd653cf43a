//! In which form a source travels.
//!
//! A text whose macros are expanded and whose comments are gone is not what the user wrote: gcc
//! misses `/* fall through */`, warns of what a system's macro stands for, and places a statement
//! of a macro elsewhere. So a text travels with its macros and comments where the compiler has a
//! form for that, and is compiled there as it would be here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::comments::{Scope, thin_out};
use super::directives::may_be_obeyed;
use super::options::{Item, Known, items};
use super::scan::Compile;
use super::sources::{Language, base_name};
use super::wp;

/// Since this version gcc finds comments and raw strings for `-fdirectives-only` as in a compile.
const FIRST_GCC: u32 = 11;

/// Who made a compiler, as far as forms go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    /// gcc of this major version.
    Gcc {
        /// `12` of `12.2.0`.
        major: u32,
    },
    /// clang.
    Clang,
    /// Anything else, or not known.
    Other,
}

impl Maker {
    /// Of a toolchain of this family and version, `gcc 12.2.0`.
    pub(crate) fn of(toolchain: &str) -> Self {
        let (family, version) = toolchain.split_once(' ').unwrap_or((toolchain, ""));
        match family {
            "gcc" => Self::gcc(version),
            "clang" => Self::Clang,
            _ => Self::Other,
        }
    }

    fn gcc(version: &str) -> Self {
        let major = version.split('.').next().and_then(|major| major.parse().ok());
        major.map_or(Self::Other, |major| Self::Gcc { major })
    }

    /// As the name of the compiler's file tells, links followed: `x86_64-linux-gnu-gcc-12`,
    /// `clang`.
    pub(crate) fn of_file(file: &Path) -> Self {
        let name = base_name(file.as_os_str().as_bytes());
        let Ok(name) = str::from_utf8(name) else { return Self::Other };
        let (stem, version) = match name.rsplit_once('-') {
            Some((stem, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
                (stem, version)
            }
            _ => (name, ""),
        };
        match stem.rsplit('-').next() {
            Some("gcc" | "g++") => Self::gcc(version),
            Some("clang" | "clang++") => Self::Clang,
            _ => Self::Other,
        }
    }
}

/// The form of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// `-E`: macros expanded, no comments.
    #[default]
    Plain,
    /// gcc's `-E -fdirectives-only`: included files and conditions are dealt with, macros are not.
    Directives,
    /// clang's `-E -frewrite-includes`: the source with the files in the place of their `#include`.
    Rewritten {
        /// The macros of the command line, which clang would not take for a preprocessed source.
        head: Vec<u8>,
    },
}

impl Form {
    /// The one for this compile by a compiler of this maker.
    pub(crate) fn of(compile: &Compile, maker: Maker) -> Self {
        if compile.preprocessed || !matches!(compile.language, Language::C | Language::Cxx) {
            return Self::Plain;
        }
        let words = wp::expand(&compile.preprocess);
        // Their place among `-D` and `-U` is not what it seems.
        let has_hidden = words.len() != compile.preprocess.len()
            || words.iter().zip(&compile.preprocess).any(|(word, written)| word != written);
        let items = items(words.iter().skip(1).map(|word| word.as_bytes()));
        let known = || {
            items.iter().filter_map(|item| match item {
                Item::Known(known) => Some(known),
                _ => None,
            })
        };
        if known().any(needs_expansion) {
            return Self::Plain;
        }
        match maker {
            Maker::Gcc { major } if major >= FIRST_GCC => Self::Directives,
            Maker::Clang if !has_hidden && !known().any(is_lost_on_clang) => {
                let name = compile.source.as_os_str().as_bytes();
                head(name, known()).map_or(Self::Plain, |head| Self::Rewritten { head })
            }
            Maker::Gcc { .. } | Maker::Clang | Maker::Other => Self::Plain,
        }
    }

    /// What the preprocessor is told.
    pub(super) fn preprocessor_option(&self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Directives => Some(DIRECTIVES_ONLY),
            Self::Rewritten { .. } => Some("-frewrite-includes"),
        }
    }

    /// What the compiler is told that gets the text.
    pub(super) fn compiler_option(&self) -> Option<&'static str> {
        matches!(self, Self::Directives).then_some(DIRECTIVES_ONLY)
    }

    /// The text to send for what the preprocessor wrote; none if that would not be compiled as
    /// here, so that the plain form is needed.
    pub(crate) fn text(&self, compile: &Compile, written: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Self::Plain => Some(written),
            Self::Directives => {
                if has_word_of(&written, &["BASE_FILE__", "TIMESTAMP__", "DATE__", "TIME__"]) {
                    return None;
                }
                if !has_line_comments(compile) {
                    return Some(written).filter(|text| may_be_obeyed(text));
                }
                Some(thin_out(&written, Scope::SystemHeaders))
                    .filter(|text| may_be_obeyed(text))
                    .or_else(|| {
                        let text = thin_out(&written, Scope::Everywhere);
                        may_be_obeyed(&text).then_some(text)
                    })
            }
            Self::Rewritten { head } => {
                let differing = ["BASE_FILE__", "TIMESTAMP__", "DATE__", "TIME__", "COUNTER__"];
                if has_word_of(&written, &differing) {
                    return None;
                }
                let scope = Scope::WholeLinesOfSystemHeaders;
                let mut text = head.clone();
                if has_line_comments(compile) {
                    text.extend(thin_out(&written, scope));
                } else {
                    text.extend(written);
                }
                Some(text)
            }
        }
    }
}

/// Tells gcc to leave macros alone, and to deal with them in a preprocessed source.
const DIRECTIVES_ONLY: &str = "-fdirectives-only";

/// Options that make the other forms differ from a compile here.
fn needs_expansion(option: &Known<'_>) -> bool {
    match option.spelling {
        // Another lexer, or characters that are read differently the second time.
        "-traditional-cpp" | "-trigraphs" => true,
        // Macros that a text does not tell.
        "-imacros" | "-undef" => true,
        // Which macros are used is known only where they are expanded.
        _ => option.word == b"-Wunused-macros",
    }
}

/// Options that clang's driver passes on for a source only that is not preprocessed.
fn is_lost_on_clang(option: &Known<'_>) -> bool {
    matches!(option.spelling, "-fmacro-prefix-map=" | "-ffile-prefix-map=")
}

/// `//` is a comment: not so in the oldest C.
fn has_line_comments(compile: &Compile) -> bool {
    let is_old = |word: &Vec<u8>| {
        let standard = word.split(|&byte| byte == b'=').nth(1).unwrap_or_default();
        word == b"-ansi"
            || matches!(standard, b"c89" | b"c90" | b"gnu89" | b"gnu90")
            || standard.starts_with(b"iso9899:199")
    };
    compile.language != Language::C || !compile.travels.iter().any(is_old)
}

/// `-D` and `-U` as clang sees them, behind a line marker that gives it the source's name; none if
/// a value could be read differently in a text.
fn head<'a>(source: &[u8], options: impl Iterator<Item = &'a Known<'a>>) -> Option<Vec<u8>> {
    let is_plain = |byte: &u8| !byte.is_ascii_control() && !matches!(byte, b'"' | b'\\');
    if !source.iter().all(is_plain) {
        return None;
    }
    let marker = |name: &[u8], flag: &[u8]| [b"# 1 \"", name, b"\"", flag, b"\n"].concat();
    let mut head = [marker(source, b""), marker(b"<command line>", b" 1")].concat();
    for option in options {
        let value = option.value.unwrap_or_default();
        let line = match option.spelling {
            "-D" => match value.iter().position(|&byte| byte == b'=') {
                Some(equals) => {
                    [b"#define ", &value[..equals], b" ", &value[equals + 1..]].concat()
                }
                None => [b"#define ", value, b" 1"].concat(),
            },
            "-U" => [b"#undef ", value].concat(),
            _ => continue,
        };
        // A comment must not begin here that ends, or does not, in the source.
        let begins_comment = line.windows(2).any(|pair| pair == b"/*");
        let goes_on = line.ends_with(b"\\") || line.ends_with(b"?\x3f/");
        if line.iter().any(u8::is_ascii_control) || begins_comment || goes_on {
            return None;
        }
        head.extend(line);
        head.push(b'\n');
    }
    head.extend(marker(source, b" 2"));
    Some(head)
}

/// True if one of the words stands in the text behind two underscores.
fn has_word_of(text: &[u8], endings: &[&str]) -> bool {
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(|&byte| byte == b'_') {
        at += found + 1;
        if let Some(word) = text[at..].strip_prefix(b"_")
            && endings.iter().any(|ending| word.starts_with(ending.as_bytes()))
        {
            return true;
        }
    }
    false
}

/// The files that a text says it was made of: those of line markers that enter one.
pub(crate) fn entered_files(text: &[u8]) -> impl Iterator<Item = &OsStr> {
    let enters = |line: &&[u8]| line.starts_with(b"# ") && line[2..].first() == Some(&b'1');
    text.split(|&byte| byte == b'\n').filter(enters).filter_map(|line| {
        let name = line.strip_prefix(b"# 1 \"")?;
        let end = name.iter().rposition(|&byte| byte == b'"')?;
        let is_real = name[0] != b'<' && name[end + 1..].starts_with(b" 1");
        is_real.then(|| OsStr::from_bytes(&name[..end]))
    })
}

/// True if `file` has a pragma that gcc obeys, or takes apart, while it preprocesses, and leaves out
/// of the text: what it does would be lost.
pub(crate) fn has_lost_pragma(file: &[u8]) -> bool {
    /// Those that change macros, and those whose operands are expanded (`c-pragma.cc` of gcc 11 to
    /// 15, targets included).
    const LOST: [&str; 12] = [
        "push_macro",
        "pop_macro",
        "poison",
        "omp",
        "acc",
        "message",
        "redefine_extname",
        "scalar_storage_order",
        "align",
        "init",
        "fini",
        "dependency",
    ];
    /// What may stand between `pragma` and the end of these words.
    const WINDOW: usize = 100;
    let mut at = 0;
    while let Some(found) = file[at..].iter().position(|&byte| byte == b'#') {
        at += found + 1;
        let Some(rest) = file[at..].trim_ascii_start().strip_prefix(b"pragma") else { continue };
        let window = &rest[..rest.len().min(WINDOW)];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let mut words = window.split(|byte| !is_part(byte)).filter(|word| !word.is_empty());
        let name = words.next().filter(|word| *word != b"GCC").or_else(|| words.next());
        if name.is_some_and(|name| LOST.iter().any(|lost| lost.as_bytes() == name)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Plan, scan};
    use super::*;

    fn compile_of(line: &str) -> Compile {
        let argv: Vec<OsString> = line.split(' ').map(Into::into).collect();
        match scan(&argv, Path::new(&argv[0])) {
            Plan::Distribute(compile) => *compile,
            Plan::Split(commands) => panic!("{line}: {commands:?}"),
            Plan::Local(reason) => panic!("{line}: {reason}"),
        }
    }

    const GCC: Maker = Maker::Gcc { major: 12 };

    fn form(line: &str, maker: Maker) -> String {
        match Form::of(&compile_of(line), maker) {
            Form::Plain => "plain".to_owned(),
            Form::Directives => "directives".to_owned(),
            Form::Rewritten { head } => String::from_utf8(head).unwrap(),
        }
    }

    #[test]
    fn makers_are_told_by_the_names_of_files() {
        for (file, maker) in [
            ("/usr/bin/x86_64-linux-gnu-gcc-12", GCC),
            ("/usr/bin/g++-10", Maker::Gcc { major: 10 }),
            ("/opt/arm-none-eabi-gcc-13.2.1", Maker::Gcc { major: 13 }),
            ("/usr/bin/gcc", Maker::Other),
            ("/usr/lib/llvm-14/bin/clang", Maker::Clang),
            ("clang++-14", Maker::Clang),
            ("clang-cl", Maker::Other),
            ("tcc", Maker::Other),
            ("gcc-ar-12", Maker::Other),
        ] {
            assert_eq!(Maker::of_file(Path::new(file)), maker, "{file}");
        }
        assert_eq!(Maker::of("gcc 12.2.0"), GCC);
        assert_eq!(Maker::of("gcc "), Maker::Other);
        assert_eq!(Maker::of("clang "), Maker::Clang);
    }

    #[test]
    fn the_form_follows_compiler_and_options() {
        for (line, maker, expected) in [
            ("gcc -O2 -DX -Wp,-DY -c a.c", GCC, "directives"),
            ("g++ -c a.cc", Maker::Gcc { major: 11 }, "directives"),
            ("gcc -c a.c", Maker::Gcc { major: 10 }, "plain"),
            ("gcc -c a.c", Maker::Other, "plain"),
            ("gcc -c a.i", GCC, "plain"),
            ("gcc -c a.m", GCC, "plain"),
            ("gcc -traditional-cpp -c a.c", GCC, "plain"),
            ("gcc -trigraphs -c a.c", GCC, "plain"),
            ("gcc -imacros m.h -c a.c", GCC, "plain"),
            ("gcc -Wunused-macros -c a.c", GCC, "plain"),
            ("clang -Wp,-DX -c a.c", Maker::Clang, "plain"),
            ("clang -undef -c a.c", Maker::Clang, "plain"),
            ("clang -ffile-prefix-map=a=b -c a.c", Maker::Clang, "plain"),
            ("clang -DX=\\ -c a.c", Maker::Clang, "plain"),
            ("clang -DX=?\x3f/ -c a.c", Maker::Clang, "plain"),
            ("clang -DX=/* -DY=*/ -c a.c", Maker::Clang, "plain"),
            (
                "clang -DX -D Y=2=3 -UZ -DF(a)=a -I. -c d/a.c",
                Maker::Clang,
                "# 1 \"d/a.c\"\n# 1 \"<command line>\" 1\n#define X 1\n#define Y 2=3\n\
                 #undef Z\n#define F(a) a\n# 1 \"d/a.c\" 2\n",
            ),
        ] {
            assert_eq!(form(line, maker), expected, "{line}");
        }
    }

    fn text(form: &Form, line: &str, written: &str) -> Option<String> {
        const HEAD: &str = "# 0 \"a.c\"\n";
        let text = form.text(&compile_of(line), format!("{HEAD}{written}").into_bytes())?;
        Some(String::from_utf8(text).unwrap().replacen(HEAD, "", 1))
    }

    #[test]
    fn what_would_differ_there_needs_the_plain_form() {
        let rewritten = Form::Rewritten { head: b"HEAD\n".to_vec() };
        for (written, gcc, clang) in [
            ("int x = __LINE__ + __COUNTER__;\n", true, false),
            ("const char *s = __TIME__;\n", false, false),
            ("const char *s = __BASE_FILE__;\n", false, false),
            ("int a__TIMER, ___x, _;\n", true, true),
            ("const char *s = \"#include\";\n", false, true),
            ("/* #include <x> */ int a;\n", true, true),
            ("int a;\n#if 0\n#include <x>\n#endif\n", false, true),
        ] {
            let line = "cc -c a.c";
            assert_eq!(text(&Form::Directives, line, written).is_some(), gcc, "{written}");
            assert_eq!(text(&rewritten, line, written).is_some(), clang, "{written}");
            assert_eq!(text(&Form::Plain, line, written).as_deref(), Some(written));
        }
        let expected = "/*  include <x> */ int a;\n";
        let found = text(&Form::Directives, "cc -c a.c", "/* #include <x> */ int a;\n");
        assert_eq!(found.as_deref(), Some(expected));
        // No comment in the oldest C.
        let written = "int a; // #include <x>\n";
        assert!(text(&Form::Directives, "cc -c a.c", written).is_some());
        for standard in ["-ansi", "-std=c90", "--std=gnu89", "-std=iso9899:199409"] {
            let line = format!("cc {standard} -c a.c");
            assert_eq!(text(&Form::Directives, &line, written), None, "{standard}");
        }
    }

    #[test]
    fn files_and_pragmas_that_matter_are_found() {
        let text =
            b"# 1 \"a.c\"\n# 1 \"<built-in>\" 1\n# 1 \"d/h.h\" 1 3\n# 7 \"a.c\" 2\n# 1 \"y.y\"\n";
        assert_eq!(entered_files(text).collect::<Vec<_>>(), ["d/h.h"]);
        for (file, lost) in [
            ("#pragma push_macro(\"X\")", true),
            ("int a;\n # \tpragma GCC  poison gets\n", true),
            ("#pragma \\\n pop_macro(\"X\")", true),
            ("#pragma omp parallel for\n", true),
            ("%:\n#pragma redefine_extname a b", true),
            ("#pragma GCC diagnostic push\n#define message", false),
            ("/* push_macro poison */ #define pragma", false),
        ] {
            assert_eq!(has_lost_pragma(file.as_bytes()), lost, "{file}");
        }
    }
}
