//! The two commands that a compile elsewhere takes: the preprocessor's here and the compiler's
//! there.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::form::Form;
use super::options::{Client, Item, items};
use super::scan::{Compile, Kind};
use super::sources::name_that_maps_to;

/// The preprocessor's command, which writes to standard output and, where dependencies are
/// wanted, the dependency file that the compiler would have written.
pub(crate) fn preprocess_argv(compile: &Compile, form: &Form) -> Vec<OsString> {
    let options = form.preprocessor_options().iter().map(OsString::from);
    compile.preprocess.iter().cloned().chain(options).collect()
}

/// The command that only looks for what is to be said of the source; none if it is not certain that
/// it would write nothing.
pub(crate) fn syntax_argv(compile: &Compile) -> Option<Vec<OsString>> {
    let mut argv: Vec<OsString> = compile.preprocess.first().into_iter().cloned().collect();
    for item in items(compile.preprocess.iter().skip(1).map(|word| word.as_bytes())) {
        let (word, value) = match item {
            Item::Known(known) => match known.row.client {
                Client::Dependency(_) | Client::PreprocessOnly => continue,
                // It may be a dependency file that they ask for.
                _ if matches!(known.spelling, "-Wp," | "-Xpreprocessor") => return None,
                _ => (known.word, known.value.filter(|_| known.separate)),
            },
            Item::Unknown(word) | Item::ResponseFile(word) | Item::File(word) => (word, None),
        };
        argv.push(OsStr::from_bytes(word).to_owned());
        argv.extend(value.map(|value| OsStr::from_bytes(value).to_owned()));
    }
    argv.push("-fsyntax-only".into());
    Some(argv)
}

/// The command to send: options that matter to preprocessed source, every one a single word, and
/// the source under a name that any server takes for the right language.
pub(crate) fn server_argv(compile: &Compile, compiler_name: &[u8], form: &Form) -> Vec<Vec<u8>> {
    let suffix = compile.language.preprocessed_suffix();
    let mode: &[u8] = match compile.kind {
        Kind::Object => b"-c",
        Kind::Assembly => b"-S",
    };
    let mut argv = Vec::with_capacity(compile.travels.len() + 6);
    argv.push(compiler_name.to_vec());
    argv.extend(compile.travels.iter().cloned());
    argv.extend(form.compiler_option().map(|option| option.as_bytes().to_vec()));
    argv.push(mode.to_vec());
    argv.push(b"-o".to_vec());
    argv.push(compile.output.path.as_os_str().as_bytes().to_vec());
    argv.push(name_that_maps_to(suffix, compile.source.as_os_str().as_bytes()));
    argv
}

#[cfg(test)]
mod tests {
    use super::super::form::Maker;
    use super::super::options::Takes;
    use super::super::table::TABLE;
    use super::super::testing::compile_of;
    use super::super::{Plan, native, scan, stock, vet};
    use super::*;

    use std::path::Path;

    use proptest::prelude::*;

    #[test]
    fn the_preprocessor_gets_everything_but_what_compiles() {
        let cases = [
            ("gcc -O2 -Ix -c a.c -o b.o", "gcc -O2 -Ix a.c -E"),
            ("gcc -S -ob.s a.c", "gcc a.c -E"),
            ("gcc -x c -c a.c -D X -lm", "gcc -x c a.c -D X -lm -E"),
            ("gcc -c a.c -MD", "gcc a.c -MD -E -MF a.d"),
            ("gcc -c a.c -MD -o d/b.o", "gcc a.c -MD -E -MF d/b.d -MQ d/b.o"),
            ("gcc -c a.c -MD -MF f -o d/b.o", "gcc a.c -MD -MF f -E -MQ d/b.o"),
            ("gcc -c a.c -MD -MT t -o d/b.o", "gcc a.c -MD -MT t -E -MF d/b.d"),
            ("gcc -c a.c -Wp,-MD,f -o d/b.o", "gcc a.c -Wp,-MD,f -E"),
            ("gcc -flto=auto -c a.c", "gcc -flto=auto a.c -E -fworking-directory"),
            ("gcc -Xpreprocessor -DA -c a.c", "gcc -Xpreprocessor -DA a.c -E"),
            ("gcc -Wp,-DA=1,-UB -DA=2 -c a.c", "gcc -Wp,-DA=1,-UB -DA=2 a.c -E"),
            ("clang -c a.c -Wp,-MD,f -o d/b.o", "clang a.c -Wp,-MD,f -E -MQ d/b.o"),
        ];
        for (line, expected) in cases {
            let expected: Vec<OsString> = expected.split(' ').map(Into::into).collect();
            assert_eq!(preprocess_argv(&compile_of(line), &Form::Plain), expected, "{line}");
        }
    }

    #[test]
    fn the_parser_gets_everything_but_what_writes_a_file() {
        for (line, expected) in [
            (
                "gcc -O2 -Wall -MD -MF f -MT t -MP -DX -c d/a.c -o b.o",
                Some("gcc -O2 -Wall -DX d/a.c -fsyntax-only"),
            ),
            ("gcc -x c -MMD -c a.txt -o b.o", Some("gcc -x c a.txt -fsyntax-only")),
            ("gcc -c a.i", Some("gcc a.i -fsyntax-only")),
            ("gcc -Wp,-MD,f -c a.c", Some("gcc a.c -fsyntax-only")),
            ("gcc -Wp,-DX,-MD,f -c a.c", None),
            ("gcc -Xpreprocessor -DX -c a.c", None),
        ] {
            let expected: Option<Vec<OsString>> =
                expected.map(|line| line.split(' ').map(Into::into).collect());
            assert_eq!(syntax_argv(&compile_of(line)), expected, "{line}");
        }
    }

    #[test]
    fn the_server_gets_what_matters_to_preprocessed_source() {
        let cases = [
            ("gcc -c a.c", "NAME -c -o a.o a.c"),
            (
                "gcc -O2 -g -DX -I y -isystem z -include q.h -MD -MF f -c d/a.c",
                "NAME -O2 -g -c -o a.o d/a.c",
            ),
            (
                "gcc -pipe -Wall -Wl,-x -lm -L. -iquote x --sysroot=/y -c a.c",
                "NAME -Wall -c -o a.o a.c",
            ),
            ("gcc -S a.c -ob.s -fPIC", "NAME -fPIC -S -o b.s a.c"),
            ("g++ -c a.c", "NAME -c -o a.o a.ii"),
            ("gcc -x c++ -c a.c", "NAME -c -o a.o a.ii"),
            ("gcc -xc -c a.txt", "NAME -c -o a.o a.i"),
            ("gcc -c a.CPP", "NAME -c -o a.o a.ii"),
            ("gcc --param a=b --param=c=d -c a.c", "NAME --param=a=b --param=c=d -c -o a.o a.c"),
            (
                "clang -target x86_64-linux-gnu -c a.c",
                "NAME --target=x86_64-linux-gnu -c -o a.o a.c",
            ),
            ("gcc -G 8 -c a.c", "NAME -G8 -c -o a.o a.c"),
            ("gcc -Xassembler --noexecstack -c a.c", "NAME -Wa,--noexecstack -c -o a.o a.c"),
            ("gcc -Xpreprocessor -DX -c a.c", "NAME -c -o a.o a.c"),
            ("gcc -flto -c a.c", "NAME -flto -c -o a.o a.c"),
            ("clang -flto -c a.c", "NAME -flto=full -c -o a.o a.c"),
        ];
        for (line, expected) in cases {
            let sent = server_argv(&compile_of(line), b"NAME", &Form::Plain);
            let sent: Vec<_> = sent.iter().map(|word| String::from_utf8_lossy(word)).collect();
            assert_eq!(sent.join(" "), expected, "{line}");
        }
    }

    /// Words of a command line: options of the table with all manner of values, and files.
    fn option_words() -> impl Strategy<Value = Vec<String>> {
        let spellings: Vec<(&str, Takes)> = TABLE
            .iter()
            .flat_map(|row| row.spellings.iter().map(|spelling| (*spelling, row.takes)))
            .collect();
        let value = prop_oneof![
            Just("x.c"),
            Just("y.o"),
            Just("/etc/passwd"),
            Just("a=b"),
            Just("native"),
            Just("-o"),
            Just(""),
            Just("hidden"),
            Just("c++"),
            Just("--MD,x"),
            Just(",-a"),
            Just("2"),
        ];
        (proptest::sample::select(spellings), value).prop_map(|((spelling, takes), value)| {
            match takes {
                Takes::Nothing => vec![spelling.to_owned()],
                Takes::Glued => vec![format!("{spelling}{value}")],
                Takes::Either if value.len() % 2 == 0 => vec![format!("{spelling}{value}")],
                Takes::Either | Takes::Separate(_) => vec![spelling.to_owned(), value.to_owned()],
            }
        })
    }

    proptest! {
        #[test]
        fn whatever_travels_passes_our_server_and_distccd(
            compiler in proptest::sample::select(vec!["gcc", "g++", "clang", "clang++"]),
            source in proptest::sample::select(vec!["a.c", "d/b.cc", "c.C", "e.CPP", "f.i", "g.m"]),
            options in proptest::collection::vec(option_words(), 0..3),
        ) {
            let mut argv: Vec<OsString> = vec![compiler.into(), "-c".into()];
            argv.extend(options.iter().flatten().map(OsString::from));
            argv.push(source.into());
            if let Plan::Distribute(mut compile) = scan(&argv, Path::new(&argv[0])) {
                if native::question(&compile) != Ok(None) {
                    native::answer(&mut compile, vec![b"-march=znver3".to_vec()]);
                }
                for maker in [Maker::Gcc { major: 12 }, Maker::Clang, Maker::Other] {
                    let form = Form::of(&compile, maker);
                    let sent = server_argv(&compile, compiler.as_bytes(), &form);
                    if !compile.only_ours {
                        let objection = stock::objection(&sent);
                        prop_assert_eq!(objection, None, "{:?} sent as {:?}", argv, sent);
                    }
                    let admitted = vet(&sent).map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
                    prop_assert_eq!(admitted.suffix, compile.language.preprocessed_suffix());
                    prop_assert_eq!(admitted.kind, compile.kind);
                    prop_assert_eq!(admitted.obeys_directives, form == Form::Directives);
                }
            }
        }
    }
}
