//! Pragmas that gcc obeys while it makes a text with macros in it (`-E -fdirectives-only`), and
//! leaves out of that text: what they do to macros has to be done where the text is compiled.
//!
//! In the place of one that it has obeyed gcc leaves a line of blanks: those before the `#`, and as
//! many as reach the word behind `pragma`. In the place of one that it has skipped it leaves none.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// One of them as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// Counted from 1.
    line: usize,
    /// The line itself, without its end.
    written: Vec<u8>,
    /// How many blanks are left of it.
    n_blanks: usize,
    /// The macro that `pop_macro` brings back.
    popped: Option<Vec<u8>>,
}

/// The files that a text says it was made of: those of line markers that enter one.
pub(crate) fn entered_files(text: &[u8]) -> impl Iterator<Item = &OsStr> {
    lines(text).filter_map(|line| {
        let (_, name, flags) = marker(line)?;
        let is_real = line.starts_with(b"# 1 ") && name.first() != Some(&b'<');
        (is_real && flags.starts_with(b" 1")).then(|| OsStr::from_bytes(name))
    })
}

/// The pragmas of `file` that are lost on the way; none if it cannot be told which they are.
pub(crate) fn hidden_pragmas(file: &[u8]) -> Option<Vec<Hidden>> {
    if has_expanded(file) {
        return None;
    }
    let n_expected = n_hidden(file);
    if n_expected == 0 {
        return Some(Vec::new());
    }
    // Lines that are counted anew have other numbers in the text.
    let counts_anew = |line: &[u8]| {
        let word = line.trim_ascii_start().strip_prefix(b"#").map(<[u8]>::trim_ascii_start);
        word.is_some_and(|word| {
            word.starts_with(b"line") || word.first().is_some_and(u8::is_ascii_digit)
        })
    };
    if lines(file).any(counts_anew) {
        return None;
    }
    let numbered = lines(file).zip(1..);
    let hidden: Vec<_> = numbered.filter_map(|(line, number)| hidden_in(line, number)).collect();
    (hidden.len() == n_expected).then_some(hidden)
}

/// What may stand between `pragma` and the end of the word that it is about.
const WINDOW: usize = 100;

/// True if `file` has a pragma whose operands gcc expands (`c-pragma.cc` of gcc 11 to 15, targets
/// included), and so leaves out too: which words are put in its place, no text tells.
fn has_expanded(file: &[u8]) -> bool {
    const WORDS: [&[u8]; 9] = [
        b"omp",
        b"acc",
        b"message",
        b"redefine_extname",
        b"scalar_storage_order",
        b"align",
        b"init",
        b"fini",
        b"dependency",
    ];
    pragmas(file).any(|window| {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let mut words = window.split(|byte| !is_part(byte)).filter(|word| !word.is_empty());
        let name = words.next().filter(|word| *word != b"GCC").or_else(|| words.next());
        name.is_some_and(|name| WORDS.contains(&name))
    })
}

/// What follows each `#pragma` of `file`, at most [`WINDOW`] bytes of it.
fn pragmas(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let marks = file.iter().enumerate().filter(|(_, byte)| **byte == b'#');
    marks.filter_map(|(at, _)| {
        let rest = file[at + 1..].trim_ascii_start().strip_prefix(b"pragma")?;
        Some(&rest[..rest.len().min(WINDOW)])
    })
}

/// Pragmas of these kinds in `file`, at least: what follows the word within a line that may go on.
fn n_hidden(file: &[u8]) -> usize {
    const WORDS: [&[u8]; 3] = [b"push_macro", b"pop_macro", b"poison"];
    let is_hidden = |window: &&[u8]| {
        let line = window.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let goes_on = line.trim_ascii_end().ends_with(b"\\") || line.contains(&b'?');
        let window = if goes_on || contains(line, b"/*") { window } else { line };
        WORDS.iter().any(|word| contains(window, word))
    };
    pragmas(file).filter(is_hidden).count()
}

/// `line` if it is wholly such a pragma.
fn hidden_in(line: &[u8], number: usize) -> Option<Hidden> {
    let rest = line.trim_ascii_start().strip_prefix(b"#")?.trim_ascii_start();
    let operand = rest.strip_prefix(b"pragma")?.trim_ascii_start();
    let namespace = |name: &[u8]| operand.strip_prefix(name).map(<[u8]>::trim_ascii_start);
    let is_poison = namespace(b"GCC ").is_some_and(|word| word.starts_with(b"poison "));
    let popped = namespace(b"pop_macro");
    let is_plain = |&byte: &u8| (b' '..0x7f).contains(&byte) && !matches!(byte, b'\\' | b'?');
    let is_known = is_poison || popped.is_some() || operand.starts_with(b"push_macro");
    if !is_known || !line.iter().all(is_plain) || contains(rest, b"/*") || contains(rest, b"//") {
        return None;
    }
    // Behind the name may be no other: then it is not certain what is popped.
    let popped = match popped {
        Some(popped) => Some(popped.trim_ascii().strip_prefix(b"(\"")?.strip_suffix(b"\")")?),
        None => None,
    };
    let indentation = line.len() - line.trim_ascii_start().len();
    let column = line.len() - operand.len() + 1;
    Some(Hidden {
        line: number,
        written: line.to_vec(),
        n_blanks: indentation + column - 2,
        popped: popped.map(<[u8]>::to_vec),
    })
}

/// The text with the pragmas of its files in their places; none if one of them cannot be told.
pub(crate) fn put_back(text: &[u8], files: &HashMap<&OsStr, Vec<Hidden>>) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(text.len());
    let mut hidden: Option<&Vec<Hidden>> = None;
    let mut number = 0;
    let mut lines = text.split_inclusive(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        if let Some((next, name, _)) = marker(line) {
            hidden = files.get(OsStr::from_bytes(name));
            number = next;
            whole.extend_from_slice(line);
            continue;
        }
        let found = hidden.and_then(|hidden| hidden.iter().find(|one| one.line == number));
        number += 1;
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let Some(found) = found.filter(|found| !content.is_empty() && content != found.written)
        else {
            whole.extend_from_slice(line);
            continue;
        };
        if content.len() != found.n_blanks || content.iter().any(|&byte| byte != b' ') {
            return None;
        }
        whole.extend_from_slice(&found.written);
        whole.push(b'\n');
        // The end of the macro that was pushed aside is told in a line of its own.
        let again = |line: &&[u8]| marker(line).is_some_and(|(number, ..)| number == found.line);
        if let Some(popped) = &found.popped
            && let Some(marker) = lines.next_if(again)
        {
            let undefined = [b"#undef ", popped.as_slice(), b"\n"].concat();
            if lines.next_if(|line| *line == undefined).is_none() {
                whole.extend_from_slice(marker);
                number = found.line;
            }
        }
    }
    Some(whole)
}

/// `# 12 "name" 1 3`: number, name and what follows.
fn marker(line: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let line = line.strip_prefix(b"# ")?;
    let n_digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = str::from_utf8(&line[..n_digits]).ok()?.parse().ok()?;
    let name = line[n_digits..].strip_prefix(b" \"")?;
    let end = name.iter().rposition(|&byte| byte == b'"')?;
    Some((number, &name[..end], &name[end + 1..]))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_were_entered_are_found() {
        let text =
            b"# 1 \"a.c\"\n# 1 \"<built-in>\" 1\n# 1 \"d/h.h\" 1 3\n# 7 \"a.c\" 2\n# 1 \"y.y\"\n";
        assert_eq!(entered_files(text).collect::<Vec<_>>(), ["d/h.h"]);
    }

    #[test]
    fn pragmas_that_matter_are_found_or_known_to_be_obscure() {
        for (file, n_hidden) in [
            ("#pragma push_macro(\"X\")", Some(1)),
            ("int a;\n #  pragma GCC  poison gets\n#pragma once\n", Some(1)),
            ("#pragma once\n#pragma pop_macro(\"X\")\n", Some(1)),
            ("#pragma GCC diagnostic push\n", Some(0)),
            ("/* push_macro poison */ #define pragma", Some(0)),
            ("#pragma \\\n pop_macro(\"X\")", None),
            ("#pragma\tpush_macro(\"X\")", None),
            ("#pragma push_macro(\"X\") // c", None),
            ("#pragma pop_macro(\"X\") x", None),
            ("x; /* #pragma push_macro(\"X\") */", None),
            ("#line 7\n#pragma push_macro(\"X\")", None),
            ("# 7 \"x\"\n#pragma push_macro(\"X\")", None),
            ("#pragma omp parallel for\n", None),
            ("%:\n#pragma redefine_extname a b", None),
            (" # \tpragma GCC dependency \"x\"", None),
            ("#pragma GCC diagnostic push\n#define message", Some(0)),
        ] {
            let found = hidden_pragmas(file.as_bytes());
            assert_eq!(found.map(|found| found.len()), n_hidden, "{file}");
        }
    }

    const FILE: &str = "#pragma push_macro(\"A\")\n#undef A\n #  pragma pop_macro(\"A\")\nint a;\n\
        #pragma GCC poison b\n";

    fn whole(text: &str) -> Option<String> {
        let hidden = hidden_pragmas(FILE.as_bytes()).unwrap();
        let files = HashMap::from([(OsStr::new("h.h"), hidden)]);
        put_back(text.as_bytes(), &files).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn what_was_obeyed_stands_in_its_place_again() {
        let text = "# 1 \"a.c\"\n       \n# 1 \"h.h\" 1\n       \n#undef A\n           \n\
            # 3 \"h.h\"\n#undef A\nint a;\n       \n# 2 \"a.c\" 2\n";
        let expected = "# 1 \"a.c\"\n       \n# 1 \"h.h\" 1\n#pragma push_macro(\"A\")\n#undef A\n \
            #  pragma pop_macro(\"A\")\nint a;\n#pragma GCC poison b\n# 2 \"a.c\" 2\n";
        assert_eq!(whole(text).unwrap(), expected);
    }

    #[test]
    fn what_was_skipped_is_left_out() {
        for text in [
            "# 1 \"h.h\" 1\n\n\n\nint a;\n\n",
            "# 1 \"h.h\" 1\n\n# 4 \"h.h\"\nint a;\n# 2 \"a.c\" 2\n",
            "# 1 \"a.c\"\nint a;\n",
        ] {
            assert_eq!(whole(text).unwrap(), text);
        }
    }

    #[test]
    fn what_is_neither_is_told() {
        for text in ["# 1 \"h.h\" 1\n      \n", "# 1 \"h.h\" 1\nint a;\n"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
