//! Does a text that travels with its macros tell a compiler to read files?
//!
//! Such a text (`gcc -E -fdirectives-only`) is compiled by a gcc that obeys its directives, so that
//! a hostile one could show files of the server. The client asks this of what it is about to send,
//! the server of what it has got, by the same function. It knows no strings, comments or lines: a
//! `#` counts wherever it stands, since whatever is taken for harmless text here may not be that
//! for a compiler. What our client's gcc leaves of a source has none of these directives.

/// Directives that read a file, also as the beginning of a longer word.
const READING: [&[u8]; 3] = [b"include", b"import", b"embed"];
/// Directives whose operands are expanded, and so may ask whether a file exists with a name that
/// is pasted together. `#ifdef` asks nothing.
const EXPANDING: [&[u8]; 3] = [b"if", b"elif", b"line"];
/// What asks whether a file exists.
const ASKING: [&[u8]; 2] = [b"__has_include", b"__has_embed"];
/// Blanks and comments between a `#` and its word are looked through up to here.
const MAX_GAP: usize = 4096;

/// True if a compiler that obeys the directives of `text` might read a file, or tell whether one
/// exists.
pub(crate) fn may_read_files(text: &[u8]) -> bool {
    let text = logical(text);
    text.iter().enumerate().any(|(at, byte)| match byte {
        b'#' => reads(&text[at + 1..]),
        b'%' => text.get(at + 1) == Some(&b':') && reads(&text[at + 2..]),
        b'_' => ASKING.iter().any(|word| text[at..].starts_with(word)),
        b'G' => depends(&text[at..]),
        _ => false,
    })
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

/// What follows blanks and comments; none if they do not end soon.
fn skip_gap(text: &[u8]) -> Option<&[u8]> {
    let window = &text[..text.len().min(MAX_GAP)];
    let mut at = 0;
    loop {
        at += window[at..].iter().take_while(|&&byte| is_blank(byte)).count();
        if window[at..].starts_with(b"/*") {
            let end = window[at + 2..].windows(2).position(|pair| pair == b"*/")?;
            at += 2 + end + 2;
        } else if at == window.len() && at < text.len() {
            return None;
        } else {
            return Some(&text[at..]);
        }
    }
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
        ] {
            assert!(may_read_files(text.as_bytes()), "{text:?}");
        }
        let far = format!("#{}include \"x\"", "/**/".repeat(2000));
        assert!(may_read_files(far.as_bytes()));
        assert!(may_read_files(format!("#/*{}", " ".repeat(9000)).as_bytes()));
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
