//! distccd 3.4's view of a command line, for tests: what our commands must look like to pass it.
//! Written from the observed rules (distcc-behaviour 2.5): it knows no option with a separate
//! value but `-o -MF -MT -MQ` and takes any word with the right extension for a source.

use super::sources::{base_name, extension};

/// The rule that a command breaks, if it breaks one.
pub(super) fn objection(argv: &[Vec<u8>]) -> Option<String> {
    let (mut sources, mut outputs, mut compiles) = (0, 0, false);
    let mut words = argv.iter().map(|word| String::from_utf8_lossy(word).into_owned());
    while let Some(word) = words.next() {
        match word.as_str() {
            "-E"
            | "-M"
            | "-MM"
            | "-march=native"
            | "-mtune=native"
            | "-frepo"
            | "-flto"
            | "-fprofile-arcs"
            | "-ftest-coverage"
            | "--coverage"
            | "-fprofile-correction" => {
                return Some(word);
            }
            "-MD" | "-MMD" | "-MG" | "-MP" => {}
            "-MF" | "-MT" | "-MQ" => drop(words.next()),
            "-c" | "-S" => compiles = true,
            "-o" => {
                words.next()?;
                outputs += 1;
            }
            _ if is_refused_by_prefix(&word) => return Some(word),
            _ if word.starts_with("-o") => outputs += 1,
            _ if word.starts_with('-') => {}
            _ if is_source(&word) => {
                sources += 1;
                let base = base_name(word.as_bytes());
                if base.starts_with(b"conftest.") || base.starts_with(b"tmp.conftest.") {
                    return Some(word);
                }
            }
            _ if word.ends_with(".o") => outputs += 1,
            _ => {}
        }
    }
    let fine = compiles && sources == 1 && outputs == 1;
    (!fine).then(|| format!("-c or -S: {compiles}, {sources} sources, {outputs} outputs"))
}

fn is_refused_by_prefix(word: &str) -> bool {
    let prefixes = [
        "-fprofile-generate",
        "-fprofile-use",
        "-fauto-profile",
        "-specs=",
        "-fplugin=",
        "-dr",
        "-x",
    ];
    prefixes.iter().any(|prefix| word.starts_with(prefix))
        || (word.starts_with("-M")
            && !word.starts_with("-MF")
            && !word.starts_with("-MT")
            && !word.starts_with("-MQ"))
        || (word.starts_with("-Wa,") && (word.contains(",-a") || word.contains("--MD")))
}

fn is_source(word: &str) -> bool {
    const KNOWN: [&[u8]; 14] = [
        b"c", b"cc", b"cpp", b"cxx", b"cp", b"c++", b"C", b"i", b"ii", b"m", b"mm", b"mi", b"mii",
        b"M",
    ];
    extension(word.as_bytes()).is_some_and(|extension| KNOWN.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_to_what_distccd_objects_to() {
        let cases: &[(&[&str], bool)] = &[
            (&["gcc", "-c", "a.c", "-o", "a.o"], true),
            (&["gcc", "-c", "a.c"], false),
            (&["gcc", "-include", "b.c", "-c", "a.c", "-o", "a.o"], false),
            (&["gcc", "--param", "b.o", "-c", "a.c", "-o", "a.o"], false),
            (&["gcc", "-c", "a.S", "-o", "a.o"], false),
            (&["gcc", "-MMDx", "-c", "a.c", "-o", "a.o"], false),
            (&["gcc", "-flto", "-c", "a.c", "-o", "a.o"], false),
        ];
        for (words, passes) in cases {
            let argv: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            assert_eq!(objection(&argv).is_none(), *passes, "{words:?}");
        }
    }
}
