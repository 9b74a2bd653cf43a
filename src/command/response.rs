//! `@file`: words of a command line that stand in a file.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Files read for one command line; one that names itself would go on for ever.
const MAX_FILES: usize = 64;

/// Puts the words of every `@file` in its place, in what it holds too. `read` gives a file's bytes.
///
/// A word stays as it is where there is no such file, and where gcc (libiberty, which changed its
/// rules with gcc 15) and clang would read different words from it.
pub(crate) fn expand(
    argv: Vec<OsString>,
    mut read: impl FnMut(&Path) -> Option<Vec<u8>>,
) -> Vec<OsString> {
    let is_file = |word: &OsString| word.as_bytes().starts_with(b"@");
    if !argv.iter().skip(1).any(is_file) {
        return argv;
    }
    let mut argv = argv.into_iter();
    let mut expanded: Vec<OsString> = argv.next().into_iter().collect();
    // The next word last.
    let mut ahead: Vec<OsString> = argv.rev().collect();
    let mut n_files = 0;
    while let Some(word) = ahead.pop() {
        let words = match word.as_bytes().strip_prefix(b"@") {
            Some(file) if n_files < MAX_FILES => {
                n_files += 1;
                read(Path::new(OsStr::from_bytes(file))).and_then(|text| split(&text))
            }
            _ => None,
        };
        match words {
            Some(words) => ahead.extend(words.into_iter().rev().map(OsString::from_vec)),
            None => expanded.push(word),
        }
    }
    expanded
}

/// The words of a file: none if compilers differ about them.
fn split(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    // clang looks for a byte order mark.
    if matches!(text.first(), Some(0xef | 0xfe | 0xff)) {
        return None;
    }
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (0 | b'\x0b' | b'\x0c', _) => return None,
            (b'\\', _) => {
                let escaped = bytes.next()?;
                let is_agreed = match quote {
                    None => escaped != b'\n',
                    Some(b'"') => b"$`\"\\".contains(&escaped),
                    Some(_) => false,
                };
                word.get_or_insert_default().push(Some(escaped).filter(|_| is_agreed)?);
            }
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (_, Some(open)) if byte == open => quote = None,
            (b' ' | b'\t' | b'\n' | b'\r', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    // clang leaves an empty word out.
    (quote.is_none() && !words.iter().any(Vec::is_empty)).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn words_are_read_as_gcc_and_clang_read_them() {
        let cases: [(&str, Option<&[&str]>); 15] = [
            ("", Some(&[])),
            (" \n\t", Some(&[])),
            ("-c a.c\n-O2", Some(&["-c", "a.c", "-O2"])),
            ("-DA=\\\"x\\\" b\\ c\r\n", Some(&["-DA=\"x\"", "b c"])),
            ("-I\"a b\"/c '-DX=\"y\"'", Some(&["-Ia b/c", "-DX=\"y\""])),
            ("\"a\\\"b\\\\c\\$d'\"", Some(&["a\"b\\c$d'"])),
            ("\"it's\" caf\u{e9}", Some(&["it's", "caf\u{e9}"])),
            ("\"a\\b\"", None),
            ("'a\\'", None),
            ("a\\\nb", None),
            ("a\\", None),
            ("\"a", None),
            ("a \"\" b", None),
            ("a\x0cb", None),
            ("\u{feff}a", None),
        ];
        for (text, expected) in cases {
            let found = split(text.as_bytes());
            let expected: Option<Vec<Vec<u8>>> =
                expected.map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect());
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn files_are_read_in_their_places() {
        let read = |path: &Path| match path.to_str()? {
            "one" => Some(b"-O2 @two -g".to_vec()),
            "two" => Some(b"-Wall @none".to_vec()),
            "self" => Some(b"-s @self".to_vec()),
            "empty" => Some(Vec::new()),
            _ => None,
        };
        let cases = [
            ("cc -c a.c", "cc -c a.c"),
            ("@one -c", "@one -c"),
            ("cc -c @one a.c", "cc -c -O2 -Wall @none -g a.c"),
            ("cc @empty a.c @missing", "cc a.c @missing"),
        ];
        for (line, expected) in cases {
            assert_eq!(expand(words(line), read), words(expected), "{line}");
        }
        assert!(expand(words("cc @self"), read).contains(&"@self".into()));
    }
}
