//! In which form a source travels.
//!
//! A text whose macros are expanded and whose comments are gone is not what the user wrote: gcc
//! misses `/* fall through */`, warns of what a system's macro stands for, and places a statement
//! of a macro elsewhere. So a text travels with its macros and comments where the compiler has a
//! form for that, and is compiled there as it would be here.

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
    pub(super) fn preprocessor_options(&self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Directives => &[DIRECTIVES_ONLY],
            // The definitions are still in the text; of them, its compiler warns, which obeys
            // `_Pragma`.
            Self::Rewritten { .. } => &[
                "-frewrite-includes",
                "-Wno-keyword-macro",
                "-Wno-macro-redefined",
                "-Wno-builtin-macro-redefined",
            ],
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
                let scope = if every_comment_matters(compile, &written) {
                    Scope::SystemHeaders
                } else {
                    Scope::Harmless
                };
                Some(thin_out(&written, scope)).filter(|text| may_be_obeyed(text)).or_else(|| {
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

/// For this level of a warning of gcc's any comment explains a fall through; and there is one of
/// comments themselves.
fn every_comment_matters(compile: &Compile, text: &[u8]) -> bool {
    const LEVEL: &[u8] = b"-Wimplicit-fallthrough=1";
    let mut equals = text.iter().zip(1..).filter(|(byte, _)| **byte == b'=');
    compile.travels.iter().any(|word| word == LEVEL || word == b"-Wc90-c99-compat")
        || equals.any(|(_, end)| {
            text[end..].starts_with(b"1") && text[..end].ends_with(&LEVEL[..LEVEL.len() - 1])
        })
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
    let mut macros = Vec::new();
    let mut names: Vec<&[u8]> = Vec::new();
    let mut has_reserved = false;
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
        // clang warns of the second one, at a place that a text does not have.
        let name = value.split(|byte| b"=(".contains(byte)).next().unwrap_or_default();
        match option.spelling {
            "-D" if names.contains(&name) => return None,
            "-D" => names.push(name),
            _ => names.retain(|defined| *defined != name),
        }
        has_reserved |= value.starts_with(b"_");
        macros.extend(line);
        macros.push(b'\n');
    }
    // Of names that are not the user's clang may warn in a text, but not on a command line.
    let (hush, speak): (&[u8], &[u8]) =
        if has_reserved { (HUSH, b"#pragma clang diagnostic pop\n") } else { (b"", b"") };
    let enter = marker(b"<command line>", b" 1");
    Some([&marker(source, b""), hush, &enter, &macros, speak, &marker(source, b" 2")].concat())
}

const HUSH: &[u8] = b"#pragma clang diagnostic push\n\
    #pragma clang diagnostic ignored \"-Wreserved-id-macro\"\n";

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

#[cfg(test)]
mod tests {
    use super::super::testing::compile_of;
    use super::*;

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
            ("clang -DX -DX=2 -c a.c", Maker::Clang, "plain"),
            ("clang -DX(y)=y -DX=2 -c a.c", Maker::Clang, "plain"),
            (
                "clang -D_X -c a.c",
                Maker::Clang,
                "# 1 \"a.c\"\n#pragma clang diagnostic push\n\
                 #pragma clang diagnostic ignored \"-Wreserved-id-macro\"\n\
                 # 1 \"<command line>\" 1\n#define _X 1\n#pragma clang diagnostic pop\n\
                 # 1 \"a.c\" 2\n",
            ),
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
        for (line, written, expected) in [
            ("cc -c a.c", "int a; // #include <x>\n", "int a; \n"),
            ("cc -Wextra -c a.c", "int a; // why\n", "int a; \n"),
            ("cc -Wimplicit-fallthrough=1 -c a.c", "int a; // why\n", "int a; // why\n"),
            (
                "cc -c a.c",
                "_Pragma(\"GCC diagnostic warning \\\"-Wimplicit-fallthrough=1\\\"\") // why\n",
                "_Pragma(\"GCC diagnostic warning \\\"-Wimplicit-fallthrough=1\\\"\") // why\n",
            ),
        ] {
            let found = text(&Form::Directives, line, written);
            assert_eq!(found.as_deref(), Some(expected), "{line}");
        }
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
}
