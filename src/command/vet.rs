//! The server's question: is this command one that compiles a preprocessed source and does
//! nothing else? Everything that the table does not name is refused.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options::{Item, Known, Server, Why, items};
use super::scan::Kind;
use super::sources::{Driver, SourceKind};

/// A command that may run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// The compiler's name as sent; which file that is, the caller knows.
    pub(crate) compiler: Vec<u8>,
    /// The source's name as sent, for messages.
    pub(crate) source: Vec<u8>,
    /// The output's name as sent, for messages.
    pub(crate) output: Vec<u8>,
    /// What is made.
    pub(crate) kind: Kind,
    /// The compiler obeys directives in the source, which must be asked first whether it may be
    /// compiled: [`may_be_obeyed`](super::may_be_obeyed).
    pub(crate) obeys_directives: bool,
    /// The suffix that the file of the source must have, `.i`.
    pub(crate) suffix: &'static str,
    /// The options that the compiler is given.
    options: Vec<OsString>,
}

impl Admitted {
    /// `-flto` is among the options, even if another one takes it back.
    pub(crate) fn may_make_lto(&self) -> bool {
        self.options.iter().any(|option| option.as_bytes().starts_with(b"-flto"))
    }

    /// The command to run, the name of the compiler first.
    pub(crate) fn compile_argv(&self, source: &Path, output: &Path) -> Vec<OsString> {
        let mode = match self.kind {
            Kind::Object => "-c",
            Kind::Assembly => "-S",
        };
        let mut argv = Vec::with_capacity(self.options.len() + 5);
        argv.push(OsStr::from_bytes(&self.compiler).to_owned());
        argv.extend(self.options.iter().cloned());
        argv.extend([mode.into(), "-o".into(), output.into(), source.into()]);
        argv
    }
}

/// Why a command does not run here. `Display` is a lowercase fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is not even a compiler's name.
    Empty,
    /// The compiler's name is empty, an option, or not printable.
    CompilerName(String),
    /// A word with a NUL byte.
    NulByte {
        /// Its place in the command, from 0.
        word_idx: usize,
    },
    /// An option that is not in the table.
    UnknownOption(String),
    /// An option that may not be used here.
    Option {
        /// As sent.
        option: String,
        /// Why not.
        why: Why,
    },
    /// An option whose value may name a file here.
    UnsafeValue(String),
    /// The command ends before the value of this option.
    MissingValue(String),
    /// `@file`.
    ResponseFile(String),
    /// Not exactly one source.
    Sources {
        /// How many.
        n_sources: usize,
    },
    /// Not exactly one `-o`.
    Outputs {
        /// How many.
        n_outputs: usize,
    },
    /// Neither `-c` nor `-S`.
    NoMode,
    /// The source's name does not tell a language that is compiled here.
    NotASource(String),
    /// `-x` with a language that is not compiled here.
    Language(String),
}

impl Refusal {
    /// The word for which every command that holds it is refused, if that is the reason.
    pub(crate) fn word(&self) -> Option<&[u8]> {
        match self {
            Self::UnknownOption(word)
            | Self::Option { option: word, .. }
            | Self::UnsafeValue(word)
            | Self::ResponseFile(word) => Some(word.as_bytes()),
            Self::Empty
            | Self::CompilerName(_)
            | Self::NulByte { .. }
            | Self::MissingValue(_)
            | Self::Sources { .. }
            | Self::Outputs { .. }
            | Self::NoMode
            | Self::NotASource(_)
            | Self::Language(_) => None,
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the command is empty"),
            Self::CompilerName(name) => write!(f, "{name:?} is no name of a compiler"),
            Self::NulByte { word_idx } => write!(f, "word {word_idx} holds a NUL byte"),
            Self::UnknownOption(option) => write!(f, "the option {option:?} is not known"),
            Self::Option { option, why } => write!(f, "{option:?} {}", why.text()),
            Self::UnsafeValue(option) => write!(f, "{option:?} may name a file of this machine"),
            Self::MissingValue(option) => write!(f, "{option:?} has no value"),
            Self::ResponseFile(word) => write!(f, "{word:?} names a file of options"),
            Self::Sources { n_sources } => write!(f, "{n_sources} sources are named, not one"),
            Self::Outputs { n_outputs } => write!(f, "{n_outputs} outputs are named, not one"),
            Self::NoMode => f.write_str("neither -c nor -S is given"),
            Self::NotASource(name) => write!(f, "{name:?} is no source that is compiled here"),
            Self::Language(language) => write!(f, "the language {language:?} is not compiled here"),
        }
    }
}

/// Judges a command from the network.
pub(crate) fn vet(argv: &[Vec<u8>]) -> Result<Admitted, Refusal> {
    let (compiler, words) = argv.split_first().ok_or(Refusal::Empty)?;
    if let Some(word_idx) = argv.iter().position(|word| word.contains(&0)) {
        return Err(Refusal::NulByte { word_idx });
    }
    if compiler.is_empty() || compiler[0] == b'-' || compiler.iter().any(u8::is_ascii_control) {
        return Err(Refusal::CompilerName(lossy(compiler)));
    }
    let mut seen = Seen::default();
    for item in items(words.iter().map(Vec::as_slice)) {
        match item {
            Item::Known(known) => seen.note(known)?,
            Item::Unknown(word) => return Err(Refusal::UnknownOption(lossy(word))),
            Item::ResponseFile(word) => return Err(Refusal::ResponseFile(lossy(word))),
            Item::File(name) => seen.sources.push(name),
        }
    }
    seen.admit(compiler)
}

/// What one pass over a command finds.
#[derive(Default)]
struct Seen<'a> {
    sources: Vec<&'a [u8]>,
    outputs: Vec<&'a [u8]>,
    language: Option<&'a [u8]>,
    object: bool,
    assembly: bool,
    obeys_directives: bool,
    options: Vec<OsString>,
}

impl<'a> Seen<'a> {
    fn note(&mut self, known: Known<'a>) -> Result<(), Refusal> {
        if known.lacks_value() {
            return Err(Refusal::MissingValue(lossy(known.word)));
        }
        let value = known.value.unwrap_or_default();
        match known.row.server {
            Server::Kept if known.value_is_harmless() => {
                self.options.push(OsStr::from_bytes(&known.as_one_word()).to_owned());
            }
            Server::Kept => return Err(Refusal::UnsafeValue(lossy(&known.as_one_word()))),
            Server::Directives => {
                self.obeys_directives = true;
                self.options.push(OsStr::from_bytes(known.word).to_owned());
            }
            Server::Dropped => {}
            Server::Output => self.outputs.push(value),
            Server::Object => self.object = true,
            Server::Assembly => self.assembly = true,
            // The text is preprocessed whatever its sender calls it, so the option is not passed
            // on: with it the compiler would preprocess again, and read files of this machine.
            Server::Language => self.language = Some(value),
            Server::Refused(why) => {
                return Err(Refusal::Option { option: lossy(known.word), why });
            }
        }
        Ok(())
    }

    fn admit(self, compiler: &[u8]) -> Result<Admitted, Refusal> {
        let &[source] = self.sources.as_slice() else {
            return Err(Refusal::Sources { n_sources: self.sources.len() });
        };
        let &[output] = self.outputs.as_slice() else {
            return Err(Refusal::Outputs { n_outputs: self.outputs.len() });
        };
        if !self.object && !self.assembly {
            return Err(Refusal::NoMode);
        }
        let kind = match self.language {
            None | Some(b"none") => SourceKind::of_name(source, Driver::of_program(compiler))
                .ok_or_else(|| Refusal::NotASource(lossy(source)))?,
            Some(language) => SourceKind::of_language_option(language)
                .ok_or_else(|| Refusal::Language(lossy(language)))?,
        };
        Ok(Admitted {
            compiler: compiler.to_vec(),
            source: source.to_vec(),
            output: output.to_vec(),
            kind: if self.assembly { Kind::Assembly } else { Kind::Object },
            obeys_directives: self.obeys_directives,
            suffix: kind.language.preprocessed_suffix(),
            options: self.options,
        })
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vet_line(line: &str) -> Result<Admitted, Refusal> {
        let argv: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        vet(&argv)
    }

    #[test]
    fn runs_what_stock_clients_send() {
        let cases = [
            ("gcc -c a.c -o a.o", "gcc -c -o OUT IN", ".i"),
            (
                "x86_64-linux-gnu-gcc -O2 -g a.c -c -oa.o",
                "x86_64-linux-gnu-gcc -O2 -g -c -o OUT IN",
                ".i",
            ),
            ("g++ -c a.c -o a.o", "g++ -c -o OUT IN", ".ii"),
            ("g++ -S a.cpp -o a.s", "g++ -S -o OUT IN", ".ii"),
            (
                "clang -c a.c -o a.o -target x86_64-pc-linux-gnu",
                "clang --target=x86_64-pc-linux-gnu -c -o OUT IN",
                ".i",
            ),
            // The options that its strip leaves in (distcc-behaviour 2.8).
            (
                "gcc -iquote x -isysroot /x --sysroot=/y -idirafterz -includeq.h -Ff -pipe -nostdlib -c a.c -o a.o",
                "gcc -c -o OUT IN",
                ".i",
            ),
            // With -x the compiler would preprocess again.
            ("gcc -x c -c a.c -o a.o", "gcc -c -o OUT IN", ".i"),
            ("gcc -x c++ -c a.c -o a.o", "gcc -c -o OUT IN", ".ii"),
            ("gcc -DX -I/x -MD -MF /y -lm -L. -Wl,-x -c a.c -o a.o", "gcc -c -o OUT IN", ".i"),
            ("gcc -v -c probe.c -o probe.o", "gcc -v -c -o OUT IN", ".i"),
            (
                "gcc -fversion-loops-for-strides -c a.c -o a.o",
                "gcc -fversion-loops-for-strides -c -o OUT IN",
                ".i",
            ),
            (
                "gcc -fdebug-prefix-map=/a=/b -Wall -fPIC -c a.c -o a.o",
                "gcc -fdebug-prefix-map=/a=/b -Wall -fPIC -c -o OUT IN",
                ".i",
            ),
            ("gcc -flto -c a.c -o a.o", "gcc -flto -c -o OUT IN", ".i"),
            // Of compilers yet to come.
            (
                "gcc -gnew -gdwarf-6 -O9 -fnew=x -mnew -c a.c -o a.o",
                "gcc -gnew -gdwarf-6 -O9 -fnew=x -mnew -c -o OUT IN",
                ".i",
            ),
        ];
        for (line, expected, suffix) in cases {
            let admitted = vet_line(line).unwrap_or_else(|refusal| panic!("{line}: {refusal}"));
            let argv = admitted.compile_argv(Path::new("IN"), Path::new("OUT"));
            let argv: Vec<_> = argv.iter().map(|word| word.to_string_lossy()).collect();
            assert_eq!(argv.join(" "), expected, "{line}");
            assert_eq!(admitted.suffix, suffix, "{line}");
        }
    }

    /// Options that run code or name files (threats 1b, 1d, 1e and 2d).
    const RUN_OR_NAME: &[&str] = &[
        "-wrapper sh,-c,x",
        "-fmodules-ts",
        "-fmodule-mapper=|x",
        "-fmodule-mapper=/s",
        "@args",
        "-specs x",
        "-specs=x",
        "--specs=x",
        "--specs x",
        "-Xclang -load",
        "-fpass-plugin=./e.so",
        "--config ./c.cfg",
        "--config=c",
        "-B dir",
        "-Bdir",
        "-fplugin=x",
        "-fplugin x",
        "-iplugindir=x",
        "--output=P",
        "-aux-info P",
        "-Wp,-MD,P",
        "-Xpreprocessor -MD",
        "-fdump-tree-X=P",
        "-fdump-tree-all",
        "-dumpdir D/",
        "-dumpbase x",
        "-dumpbase-ext x",
        "-fdump-final-insns=P",
        "-fdump-go-spec=P",
        "-fopt-info-all=P",
        "-fopt-info=P",
        "-time=P",
        "-Xassembler -a=P",
        "-Wa,-MD,P",
        "-Wa,-a=P",
        "-Wa,--MD",
        "-Wa,-o,P",
        "-Wa,-I/etc",
        "-save-temps",
        "--save-temps",
        "-save-temps=obj",
        "-fstack-usage",
        "-fcallgraph-info",
        "-fvtv-counts",
        "-fthin-link-bitcode=x",
        "-gsplit-dwarf",
        "-coverage",
        "--coverage",
        "-fprofile-note=P",
        "-fprofile-generate=P",
        "-fprofile-arcs",
        "-fauto-profile",
        "--serialize-diagnostics P",
        "-MJ x",
        "-E",
        "-M",
        "-MM",
        "-march=native",
        "-mllvm -x",
        "-fsanitize-ignorelist=x",
        "-ftime-trace",
        "-fcrash-diagnostics-dir=x",
        "-working-directory x",
        "-frewrite-includes",
        "-foptimization-record-file=x",
        "-ivfsoverlay x",
        "--version",
        "-###",
        "-fcompare-debug=-fplugin=x",
        "-fdiagnostics-add-output=sarif:file=x",
        "-fanything=/etc/passwd",
        "-Wx/y",
        "-march=../x",
        "--bogus",
        "-fdeps-file=x",
        "-fself-test=x",
        "-o b.o",
        "b.c",
        "-",
        "-x assembler",
        "-x cuda",
        "-x c-header",
        "-x go",
        "-fopenmp-targets=x",
        "-foffload=x",
        "--gcc-toolchain=x",
        "-ccc-gcc-name x",
        "-gembed-source",
        "-gen-reproducer=always",
        // Of gcc 13 to 15 and clang 15 to 21.
        "-flto-incremental=x",
        "-fkeep-system-includes",
        "-fthinlto-distributor=x",
        "-Xthinlto-distributor=x",
        "-fdepscan-daemon=x",
        "--warning-suppression-mappings=x",
        "-module-dependency-dir x",
        "-gen-cdb-fragment-path x",
        "-gcodeview-command-line",
        "-mthread-model posix",
        "-mdevices-csv-loc=x",
        "-fdriver-only",
        // Their value is the next word, which could be the server's own -c.
        "-fdebug-compilation-dir",
        "-fdebug-compilation-dir x",
        "-filelist",
        "-fnew-alignment",
        "-ftrapv-handler",
        "-fxray-instruction-threshold",
        "-fopt-info",
        "-Rpass=x",
        "-save-stats",
        "-via-file-asm",
        "--wasm-opt",
        "-gnew=/x",
        "-O/x",
    ];

    #[test]
    fn refuses_what_runs_code_or_names_files() {
        for option in RUN_OR_NAME {
            let verdict = vet_line(&format!("gcc {option} -c a.c -o a.o"));
            assert!(verdict.is_err(), "{option}: {verdict:?}");
        }
    }

    #[test]
    fn refuses_what_preprocesses_again_or_goes_beyond_the_object() {
        let options = [
            // gcc would follow #include in the preprocessed text.
            "-fno-preprocessed",
            "-fno-directives-only",
            "-fvtv-counts",
            "-fvtv-debug",
            "-fthin-link-bitcode=x",
            "-freport-bug",
            "-fembed-offload-object=x",
            "-fembed-bitcode",
            "-fembed-bitcode=all",
            "-fhelp",
            "-fhelp=target",
            "-ftarget-help",
            "-fversion",
            "-fno-help",
            "-fno-version",
            // Its context lines are read from whatever file a line marker names.
            "-fdiagnostics-generate-patch",
        ];
        for option in options {
            let verdict = vet_line(&format!("gcc {option} -c a.c -o a.o"));
            assert!(verdict.is_err(), "{option}: {verdict:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_compile_of_one_source() {
        let cases = [
            ("gcc -c a.c", Refusal::Outputs { n_outputs: 0 }),
            ("gcc -c -o a.o", Refusal::Sources { n_sources: 0 }),
            ("gcc a.c -o a.o", Refusal::NoMode),
            ("gcc -c a.c -o", Refusal::MissingValue("-o".to_owned())),
            ("gcc -c a.s -o a.o", Refusal::NotASource("a.s".to_owned())),
            ("gcc -c a -o a.o", Refusal::NotASource("a".to_owned())),
            ("-c a.c -o a.o", Refusal::CompilerName("-c".to_owned())),
            ("gcc\n -c a.c -o a.o", Refusal::CompilerName("gcc\n".to_owned())),
            ("gcc -c a.c -o a.o \0", Refusal::NulByte { word_idx: 5 }),
        ];
        for (line, refusal) in cases {
            assert_eq!(vet_line(line), Err(refusal), "{line}");
        }
        assert_eq!(vet(&[]), Err(Refusal::Empty));
        assert_eq!(vet(&[Vec::new()]), Err(Refusal::CompilerName(String::new())));
    }

    #[test]
    fn says_when_the_source_must_be_looked_at() {
        assert!(!vet_line("gcc -c a.c -o a.o").unwrap().obeys_directives);
        let admitted = vet_line("gcc -fdirectives-only -c a.c -o a.o").unwrap();
        assert!(admitted.obeys_directives);
        let argv = admitted.compile_argv(Path::new("IN"), Path::new("OUT"));
        assert_eq!(argv[1], "-fdirectives-only");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(argv in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..12), 0..6)) {
            let _ = vet(&argv);
        }
    }
}
