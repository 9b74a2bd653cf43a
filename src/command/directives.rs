//! Does a text that travels with its macros tell a compiler to read files?
//!
//! Such a text (`gcc -E -fdirectives-only`) is compiled by a gcc that obeys its directives, so that
//! a hostile one could show files of the server. The client asks this of what it is about to send,
//! the server of what it has got, by the same function. It knows no strings, comments or lines: a
//! `#` counts wherever it stands, since whatever is taken for harmless text here may not be that
//! for a compiler. What our client's gcc leaves of a source has none of these directives.
//!
//! In a text of any form, gcc obeys two pragmas that name files. There too a name may be spelled
//! with the numbers of its letters: gcc complains of `d\u0065pendency`, and obeys.
//!
//! Two more things are not seen in a text whose macros may paste any name together. A precompiled
//! header, of which gcc would take its memory as it is, can only be asked for before all else:
//! [`guarded`] is before that. And a text may find out whether a file exists; to hide that too takes
//! a cage around the whole process.

/// Directives that read a file, also as the beginning of a longer word.
const READING: [&[u8]; 3] = [b"include", b"import", b"embed"];
/// Directives whose operands are expanded, and so may ask whether a file exists with a name that
/// is pasted together. `#ifdef` asks nothing.
const EXPANDING: [&[u8]; 3] = [b"if", b"elif", b"line"];
/// What asks whether a file exists.
const ASKING: [&[u8]; 2] = [b"__has_include", b"__has_embed"];
/// Blanks between a `#` and its word are looked through up to here.
const MAX_GAP: usize = 4096;
/// What has gcc take a file for a precompiled header, in a text of any form.
const COMPILED_HEADER: &[u8] = b"pch_preprocess";
/// Means nothing, but is something: what stands behind it is not the first word of a text.
const GUARD: &[u8] = b"#pragma GCC diagnostic push\n#pragma GCC diagnostic pop\n";

/// True if a preprocessed text of any form may have gcc look for a file: for a precompiled header,
/// or for one that may be newer. Lines are not joined in such a text.
pub(crate) fn names_files(text: &[u8]) -> bool {
    text.iter().enumerate().any(|(at, byte)| match byte {
        b'p' => text[at..].starts_with(COMPILED_HEADER),
        b'G' => depends(&text[at..]),
        b'\\' => spells_letter(text, at),
        _ => false,
    })
}

/// True if [`guarded`] makes `text` harmless to who compiles it.
pub(crate) fn may_be_obeyed(text: &[u8]) -> bool {
    head_of(text).is_some() && !may_read_files(text) && !names_files(text)
}

/// `text` as it may be compiled: with something before what its macros make, and its lines still
/// counted as they were. None if it does not begin as gcc begins every text.
pub(crate) fn guarded(text: &[u8]) -> Option<Vec<u8>> {
    let Head { name, all } = head_of(text)?;
    Some([&text[..all], GUARD, &text[..name], &text[all..]].concat())
}

/// How a text begins.
struct Head {
    /// The end of the line marker with the name of the source.
    name: usize,
    /// The end of the one with the working directory behind it, if there is one.
    all: usize,
}

fn head_of(text: &[u8]) -> Option<Head> {
    let name = marker(text)?.len();
    let directory = marker(&text[name..]).filter(|line| line.ends_with(b"//\"\n"));
    Some(Head { name, all: name + directory.map_or(0, <[u8]>::len) })
}

/// The line `# 12 "name"` that `text` begins with, if that and nothing else is what it is to a
/// compiler too.
fn marker(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let rest = text[..end].strip_prefix(b"# ")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let quoted = rest[digits..].strip_prefix(b" \"")?.strip_suffix(b"\"")?;
    let mut name = quoted.iter();
    while let Some(&byte) = name.next() {
        match byte {
            b'\\' => drop(name.next()?),
            b'"' | b'?' => return None,
            byte if byte.is_ascii_control() => return None,
            _ => {}
        }
    }
    (digits > 0).then_some(&text[..=end])
}

/// True if a compiler that obeys the directives of `text` might read a file, or tell whether one
/// exists.
fn may_read_files(text: &[u8]) -> bool {
    let text = logical(text);
    text.iter().enumerate().any(|(at, byte)| match byte {
        b'#' => reads(&text[at + 1..]),
        b'%' => text.get(at + 1) == Some(&b':') && reads(&text[at + 2..]),
        b'_' => ASKING.iter().any(|word| text[at..].starts_with(word)),
        b'G' => depends(&text[at..]),
        b'\\' => spells_letter(&text, at),
        _ => false,
    })
}

/// Does a letter, digit or underscore stand here by its number or its name, `\u0065`? After a
/// backslash it is no part of a directive, and in strings that is frequent.
fn spells_letter(text: &[u8], backslash: usize) -> bool {
    if backslash > 0 && text[backslash - 1] == b'\\' {
        return false;
    }
    let (kind, rest) = match &text[backslash + 1..] {
        [kind @ (b'u' | b'U' | b'N'), rest @ ..] => (*kind, rest),
        _ => return false,
    };
    let digits = match (kind, rest.first()) {
        (_, Some(b'{')) => return true,
        (b'u', _) => rest.get(..4),
        (b'U', _) => rest.get(..8),
        _ => None,
    };
    digits
        .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        .and_then(|digits| u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok())
        .and_then(|number| u8::try_from(number).ok())
        .is_some_and(|letter| letter == b'_' || letter.is_ascii_alphanumeric())
}

/// `after` is what follows a `#`.
fn reads(after: &[u8]) -> bool {
    let Some(word) = skip_gap(after) else { return true };
    if word.first().is_some_and(u8::is_ascii_digit) {
        return counts_by_macro(word);
    }
    READING.iter().any(|directive| word.starts_with(directive))
        || EXPANDING.iter().any(|directive| {
            word.strip_prefix(*directive)
                .is_some_and(|rest| !rest.first().is_some_and(|&byte| is_name_byte(byte)))
        })
}

/// A line marker, whose operands are expanded as well, with a name instead of a file.
fn counts_by_macro(marker: &[u8]) -> bool {
    let digits = marker.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match skip_gap(&marker[digits..]) {
        Some(rest) => rest.len() < marker.len() - digits && starts_name(rest),
        None => true,
    }
}

/// `#pragma GCC dependency`, also in the string of a `_Pragma`.
fn depends(text: &[u8]) -> bool {
    text.strip_prefix(b"GCC")
        .is_some_and(|after| skip_gap(after).is_none_or(|word| word.starts_with(b"dependency")))
}

/// What follows blanks; none if they do not end soon. None of a comment, too: where one ends may
/// depend on the language, and no gcc leaves one there.
fn skip_gap(text: &[u8]) -> Option<&[u8]> {
    let blanks = text.iter().take(MAX_GAP).take_while(|&&byte| is_blank(byte)).count();
    let rest = &text[blanks..];
    (blanks < MAX_GAP && !rest.starts_with(b"/*")).then_some(rest)
}

/// The text as the directives of a compiler see it: trigraphs replaced, lines joined that end with
/// a backslash. Both are done whatever the language, since a name that stays in pieces names
/// nothing.
fn logical(text: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'\n' => {
                let blanks = joined.iter().rev().take_while(|&&byte| is_blank(byte)).count();
                let end = joined.len() - blanks;
                if joined[..end].last() == Some(&b'\\') {
                    joined.truncate(end - 1);
                } else {
                    joined.push(byte);
                }
            }
            b'?' => match text.get(at..at + 2) {
                Some(b"?=") => {
                    joined.push(b'#');
                    at += 2;
                }
                Some(b"?/") => {
                    joined.push(b'\\');
                    at += 2;
                }
                _ => joined.push(byte),
            },
            _ => joined.push(byte),
        }
    }
    joined
}

/// Also the bytes that gcc takes for blanks with a warning; a carriage return may precede the end
/// of any line.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0b' | b'\x0c' | b'\r' | 0)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'\\') || byte >= 0x80
}

fn starts_name(text: &[u8]) -> bool {
    text.first().is_some_and(|&byte| is_name_byte(byte) && !byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sees_every_spelling() {
        for text in [
            "#include \"/etc/passwd\"",
            "  #\tinclude <x>",
            "#include_next <x>",
            "# import \"x\"",
            "#embed </etc/passwd>",
            "%:include \"x\"",
            "??=include \"x\"",
            "??= ??/\ninclude \"x\"",
            "#inc\\\nlude \"x\"",
            "#inc\\  \nlude \"x\"",
            "#inc\\\r\nlude \"x\"",
            "#inc??/\nlude \"x\"",
            "#\\\n\\\n include \"x\"",
            "#\\\\\n\ninclude \"x\"",
            "%\\\n:include \"x\"",
            "# /* a\nb */ /**/ include \"x\"",
            // The comment ends here or there, as trigraphs and carriage returns are understood.
            "#/* ?\x3f/\n/ x */ include \"x\"",
            "#/* *?\x3f/\n/ x */ include \"x\"",
            "#/* *\\\r\r\n/ x */ include \"x\"",
            "# /\\\n* a */ include \"x\"",
            "#\0include \"x\"",
            "a /* # */ #include \"x\"",
            "R\"(\n#include \"x\"\n)\"",
            "// #include \"x\"",
            "#if __has_include(\"x\")",
            "#define H __has_\\\ninclude",
            "#if P(__has_, include)(\"x\")",
            "#ifdef x\n#elif 1",
            "#line P(__has_, include)(\"x\")",
            "# 1 P(__has_, include)(\"x\")",
            "#pragma GCC dependency \"x\"",
            "#pragma GCC /* */ dep\\\nendency \"x\"",
            "_Pragma(\"GCC dependency \\\"x\\\"\")",
            "#inc\\u006cude \"x\"",
            "#in\\U00000063lude \"x\"",
            "#\\u{69}nclude \"x\"",
            "#\\N{LATIN SMALL LETTER I}nclude \"x\"",
            "#inc?\x3f/u006cude \"x\"",
            "#inc\\\n\\u0\\\n06cude \"x\"",
        ] {
            assert!(may_read_files(text.as_bytes()), "{text:?}");
        }
        let far = format!("#{}include \"x\"", " ".repeat(9000));
        assert!(may_read_files(far.as_bytes()));
    }

    #[test]
    fn lets_through_what_a_preprocessor_leaves() {
        for text in [
            "",
            "#",
            "%",
            "# 1 \"a.c\" 1 3 4\n#define X include\n#undef if\n#pragma once\n#pragma GCC system_header\n",
            "#define S(x) #x\n#define P(a,b) a##b\n#define L(line_) #line_\n",
            "#pragma omp parallel if(x)\n#ident \"x\"\nint include, import, dependency;\n",
            "#define GCC_VERSION 12\nprintf(\"#%d # 12\\n\"); a ? b : c; a % b; \"??!\"",
        ] {
            assert!(!may_read_files(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn a_precompiled_header_cannot_be_asked_for() {
        assert!(names_files(b"#pragma GCC pch_preprocess \"x\""));
        assert!(!names_files(b"pch_pch_preproces"));
        let head = "# 0 \"d/a \\\"b.c\"\n";
        for (text, expected) in [
            ("int a;\n", format!("{head}{}{head}int a;\n", str::from_utf8(GUARD).unwrap())),
            (
                "# 1 \"/x//\"\nint a;\n",
                format!("{head}# 1 \"/x//\"\n{}{head}int a;\n", str::from_utf8(GUARD).unwrap()),
            ),
        ] {
            let text = format!("{head}{text}");
            assert!(may_be_obeyed(text.as_bytes()));
            assert_eq!(String::from_utf8(guarded(text.as_bytes()).unwrap()).unwrap(), expected);
        }
        for text in [
            "",
            "int a;\n",
            "# 1 \"a.c\"",
            "# \"a.c\"\n",
            "# 1 \"a.c\" /*\n*/\n",
            "# 1 \"a.c\" \\\n",
            "# 1 \"a.c\\\"\n",
            "# 1 \"a?\x3f/\"\n",
            "# 1 \"a\" \"c\"\n",
            "\n# 1 \"a.c\"\n",
        ] {
            assert!(
                guarded(text.as_bytes()).is_none() && !may_be_obeyed(text.as_bytes()),
                "{text}"
            );
        }
    }

    #[test]
    fn pragmas_about_files_are_seen_in_texts_of_any_form() {
        for text in [
            "#pragma GCC dependency \"x\"",
            "%:pragma  GCC \t\0 dependency <x>",
            "#pragma GCC /*\n*/ dependency \"x\"",
            "#pragma GCC d\\u0065pendency \"x\"",
            "#pragma G\\u0043C dependency \"x\"",
            "#pragma GCC pch\\u005fpreprocess \"x\"",
            "#pragma GCC pch_pr\\U00000065process \"x\"",
            "#pragma GCC pch_pr\\u{00065}process \"x\"",
        ] {
            assert!(names_files(text.as_bytes()), "{text}");
        }
        for text in [
            "#pragma GCC diagnostic push\n#pragma GCC optimize(\"O3\")\nint dependency;",
            r#"char *a = "\\u0065", *b = u8"\u00e9\U0001f600\u0000", *c = "C:\\Users\\new";"#,
            r"\u00",
            r"\",
        ] {
            assert!(!names_files(text.as_bytes()), "{text}");
        }
    }

    fn gap() -> impl Strategy<Value = String> {
        let part = proptest::sample::select(vec![
            " ",
            "\t",
            "\\\n",
            "??/\n",
            "\\ \n",
            "\\\r\n",
            "/* x\n */",
            "/\\\n**/",
            "\x0b",
        ]);
        proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
    }

    fn spliced(word: &'static str) -> impl Strategy<Value = String> {
        let splice = proptest::sample::select(vec!["", "", "", "\\\n", "??/\n", "\\\t\n"]);
        proptest::collection::vec(splice, word.len()).prop_map(move |splices| {
            word.chars().zip(splices).map(|(letter, splice)| format!("{letter}{splice}")).collect()
        })
    }

    proptest! {
        #[test]
        fn no_disguise_helps(
            before in "[ -~\n]{0,20}",
            hash in proptest::sample::select(vec!["#", "%:", "??=", "%\\\n:"]),
            between in gap(),
            word in prop_oneof![spliced("include"), spliced("import"), spliced("embed")],
            after in "[ -~\n]{0,20}",
        ) {
            // A question mark or backslash before would be part of the `#` itself.
            let text = format!("{before} {hash}{between}{word} {after}");
            prop_assert!(may_read_files(text.as_bytes()), "{text:?}");
        }

        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = may_read_files(&text);
        }
    }
}
