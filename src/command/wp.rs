//! `-Wp,a,b` and `-Xpreprocessor a`: words that the driver hands on to the preprocessor.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::options::{Client, Dependency, Item, items};

/// What all such words begin with.
const PREFIX: &[u8] = b"-Wp,";

/// Another way to say them, one by one.
const BEFORE_WORD: &[u8] = b"-Xpreprocessor";

/// Splits `-Wp,a,b` into `a b`, and takes `-Xpreprocessor` away, to see what the words mean.
///
/// The preprocessor still gets them as written: gcc gives it these words after every `-D` and
/// `-U`, wherever they stand (its specs: `%{D*&U*&A*} %{i*} %Z`), so that order would change. And
/// `-Wp,-MD,FILE` stays as it is: the driver does not see it, so that the target is named after
/// the source and not after `-o`.
pub(super) fn expand(argv: &[OsString]) -> Vec<OsString> {
    let mut expanded = Vec::with_capacity(argv.len());
    let mut words = argv.iter().peekable();
    while let Some(word) = words.next() {
        if word.as_bytes() == BEFORE_WORD && words.peek().is_some() {
            continue;
        }
        match word.as_bytes().strip_prefix(PREFIX) {
            Some(list) => expanded.extend(split(list).into_iter().map(OsString::from_vec)),
            None => expanded.push(word.clone()),
        }
    }
    expanded
}

fn split(list: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut parts = list.split(|&byte| byte == b',').peekable();
    while let Some(part) = parts.next() {
        words.push(match parts.next_if(|_| writes_dependencies(part)) {
            Some(file) => [PREFIX, part, b",", file].concat(),
            None => part.to_vec(),
        });
    }
    words
}

/// The first word that means something else to a preprocessor than its parts mean to the driver.
pub(super) fn obscure_word(argv: &[OsString], clang: bool) -> Option<&OsStr> {
    let mut one_by_one = Vec::new();
    let mut words = argv.iter();
    while let Some(word) = words.next() {
        if word.as_bytes() == BEFORE_WORD {
            one_by_one.extend(words.next().map(|word| word.as_bytes().to_vec()));
        } else if let Some(list) = word.as_bytes().strip_prefix(PREFIX)
            && is_obscure(list, clang)
        {
            return Some(word);
        }
    }
    let is_obscure =
        one_by_one.iter().any(|word| writes_dependencies(word)) || are_obscure(&one_by_one);
    is_obscure.then_some(OsStr::from_bytes(BEFORE_WORD))
}

fn is_obscure(list: &[u8], clang: bool) -> bool {
    let words = split(list);
    // clang takes `-Wp,-MD,FILE` for options of its driver, and drops whatever follows.
    if clang && words.len() > 1 && list.split(|&byte| byte == b',').any(writes_dependencies) {
        return true;
    }
    are_obscure(&words)
}

fn are_obscure(words: &[Vec<u8>]) -> bool {
    let items = items(words.iter().map(Vec::as_slice));
    let writes_dependencies = items.iter().any(|item| {
        matches!(item, Item::Known(known)
            if known.row.client == Client::Dependency(Dependency::WrittenByPreprocessor))
    });
    items.iter().any(|item| match item {
        Item::Known(known) => match known.row.client {
            Client::Dependency(Dependency::Target) => known.lacks_value() || !writes_dependencies,
            Client::Dependency(of) => {
                !matches!(of, Dependency::Form | Dependency::WrittenByPreprocessor)
            }
            Client::Stays => known.lacks_value(),
            Client::PreprocessOnly | Client::Local(_) => false,
            _ => true,
        },
        Item::File(_) => true,
        Item::Unknown(_) | Item::ResponseFile(_) => false,
    })
}

fn writes_dependencies(part: &[u8]) -> bool {
    part == b"-MD" || part == b"-MMD"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn words_are_expanded_but_for_hidden_dependency_files() {
        let cases = [
            ("cc -Wp,-DA,-DB x.c", "cc -DA -DB x.c"),
            ("cc -Wp,-MD,f", "cc -Wp,-MD,f"),
            ("cc -Wp,-DA,-MMD,f,-MP -c", "cc -DA -Wp,-MMD,f -MP -c"),
            ("cc -Wp,-MD", "cc -MD"),
            ("cc -Wall -Wl,-x", "cc -Wall -Wl,-x"),
            ("cc -Xpreprocessor -DA -Xpreprocessor -I -Xpreprocessor b -c", "cc -DA -I b -c"),
            ("cc -Xpreprocessor", "cc -Xpreprocessor"),
        ];
        for (line, expanded) in cases {
            assert_eq!(expand(&words(line)), words(expanded), "{line}");
        }
    }

    #[test]
    fn words_for_the_preprocessor_alone_are_told_from_others() {
        let cases = [
            ("-Wp,-DA,-UB", false, false),
            ("-Wp,-D,A", false, false),
            ("-Wp,-MD,f", false, false),
            ("-Wp,-MD,f,-MP", false, true),
            ("-Wp,-D", true, true),
            ("-Wp,-O2", true, true),
            ("-Wp,-Wall", true, true),
            ("-Wp,-o,x", true, true),
            ("-Wp,x.c", true, true),
            ("-Wp,-MD", true, true),
            ("-Wp,-MF,x", true, true),
            ("-Wp,-MT,x", true, true),
            ("-Wp,-MMD,f,-MT,x", false, true),
            ("-Wp,-MMD,f,-MQ", true, true),
            ("-Xpreprocessor -DA -Xpreprocessor -I -Xpreprocessor b", false, false),
            ("-Xpreprocessor -D -Xpreprocessor A", false, false),
            ("-Xpreprocessor -D", true, true),
            ("-Xpreprocessor -MD", true, true),
            ("-Xpreprocessor -fopenmp", true, true),
            ("-Xpreprocessor x.c", true, true),
        ];
        for (word, gcc, clang) in cases {
            let argv = words(&format!("cc {word}"));
            assert_eq!(obscure_word(&argv, false).is_some(), gcc, "{word}");
            assert_eq!(obscure_word(&argv, true).is_some(), clang, "{word}");
        }
    }
}
