//! `gcc -c a.c b.c`: a command of several sources is as many commands of one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::options::{Client, Dependency, Item, Known, items};
use super::sources::{base_name, extension, with_suffix};

/// One source of a command of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Single {
    /// The source.
    pub(crate) source: PathBuf,
    /// The command with no other source.
    pub(crate) argv: Vec<OsString>,
}

/// Can each of `sources` be compiled by itself? With dependency files of one name, or outputs of
/// one name, the last one stays, which only the compiler keeps in order.
pub(super) fn are_apart(sources: &[&[u8]], dependencies: &[(Dependency, Known<'_>)]) -> bool {
    let by_source = |(of, _): &(Dependency, Known<'_>)| {
        !matches!(of, Dependency::File | Dependency::WrittenByPreprocessor)
    };
    let mut outputs: Vec<Vec<u8>> =
        sources.iter().map(|name| with_suffix(OsStr::from_bytes(base_name(name)), "")).collect();
    outputs.sort();
    outputs.dedup();
    outputs.len() == sources.len() && dependencies.iter().all(by_source)
}

/// Assembler text, which is compiled here, but beside sources that travel.
pub(crate) fn is_assembler(name: &[u8]) -> bool {
    matches!(extension(name), Some(b"s" | b"S" | b"sx"))
}

/// A command for each file that `argv` names.
pub(super) fn split(argv: &[OsString]) -> Vec<Single> {
    let items = items(argv.iter().skip(1).map(|word| word.as_bytes()));
    let is_file = |item: &Item<'_>| matches!(item, Item::File(_));
    let places = items.iter().enumerate().filter(|(_, item)| is_file(item));
    places.map(|(place, _)| single(argv, &items, place)).collect()
}

fn single(argv: &[OsString], items: &[Item<'_>], place: usize) -> Single {
    let mut single =
        Single { source: PathBuf::new(), argv: argv.first().into_iter().cloned().collect() };
    for (idx, item) in items.iter().enumerate() {
        let (word, value) = match item {
            // Compilers warn of it behind the last file.
            Item::Known(known) if idx > place && known.row.client == Client::Language => continue,
            Item::Known(known) => (known.word, known.value.filter(|_| known.separate)),
            Item::File(_) if idx != place => continue,
            Item::File(name) => {
                single.source = PathBuf::from(OsStr::from_bytes(name));
                (*name, None)
            }
            Item::Unknown(word) | Item::ResponseFile(word) => (*word, None),
        };
        single.argv.push(OsStr::from_bytes(word).to_owned());
        single.argv.extend(value.map(|value| OsStr::from_bytes(value).to_owned()));
    }
    single
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_keeps_the_options_and_its_language() {
        let line = "gcc -c -include x.c -xc++ d/a.c -O2 -x none b.cc -MD -xc c.txt -g";
        let argv: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let lines: Vec<(String, String)> = split(&argv)
            .into_iter()
            .map(|single| {
                let words: Vec<_> = single.argv.iter().map(|word| word.to_string_lossy()).collect();
                (single.source.display().to_string(), words.join(" "))
            })
            .collect();
        let expected = [
            ("d/a.c", "gcc -c -include x.c -xc++ d/a.c -O2 -MD -g"),
            ("b.cc", "gcc -c -include x.c -xc++ -O2 -x none b.cc -MD -g"),
            ("c.txt", "gcc -c -include x.c -xc++ -O2 -x none -MD -xc c.txt -g"),
        ];
        let expected = expected.map(|(source, line)| (source.to_owned(), line.to_owned()));
        assert_eq!(lines, expected);
    }
}
