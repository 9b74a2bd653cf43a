//! The client's question: may this command be compiled elsewhere, and if not, why?

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::depfile;
use super::options::{Client, Dependency, Item, Known, Why, items};
use super::reason::LocalReason;
use super::sources::{Driver, Language, SourceKind, base_name, is_conftest, with_suffix};
use super::wp;

/// What is to be done with a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It may be compiled elsewhere.
    Distribute(Box<Compile>),
    /// It runs here.
    Local(LocalReason),
}

/// A command that may be compiled elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compile {
    /// The one source.
    pub(crate) source: PathBuf,
    /// The one output.
    pub(crate) output: Output,
    /// What the output is.
    pub(crate) kind: Kind,
    /// The language of the source.
    pub(crate) language: Language,
    /// The source is preprocessed already and travels as it is.
    pub(crate) preprocessed: bool,
    /// The object must carry the compiler's `.comment`.
    pub(crate) wants_ident: bool,
    /// Debugging information is wanted.
    pub(crate) debug: bool,
    /// Values of `-include`; beside one there may be a precompiled form that replaces it.
    pub(crate) forced_includes: Vec<PathBuf>,
    /// The compiler is clang.
    pub(super) clang: bool,
    /// The dependency file that the preprocessor writes here.
    pub(crate) dependency_file: Option<PathBuf>,
    /// The command of the preprocessor.
    pub(super) preprocess: Vec<OsString>,
    /// The options that travel, each one word.
    pub(super) travels: Vec<Vec<u8>>,
}

impl Compile {
    /// Notes the directory in which the command runs, so that a debugger finds the sources.
    ///
    /// gcc's preprocessor leaves a line marker with the directory (with `-g`); clang's does not,
    /// and clang would record the server's.
    pub(crate) fn note_directory(&mut self, directory: &Path) {
        let says_so = |word: &Vec<u8>| {
            word.starts_with(b"-fdebug-compilation-dir=")
                || word.starts_with(b"-ffile-compilation-dir=")
        };
        if self.debug && self.clang && !self.travels.iter().any(says_so) {
            let directory = directory.as_os_str().as_bytes();
            self.travels.push([b"-fdebug-compilation-dir=", directory].concat());
        }
    }
}

/// The file that a compile makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Named by `-o`; otherwise derived from the source.
    pub(crate) given: bool,
}

/// What a compile makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `-c`.
    Object,
    /// `-S`.
    Assembly,
}

/// Judges a command; `argv[0]` is the compiler's name, and `compiler` the file that it means, links
/// followed: `cc` may be clang.
pub(crate) fn scan(argv: &[OsString], compiler: &Path) -> Plan {
    let expanded = wp::expand(argv);
    let mut facts = Facts::gather(&expanded);
    facts.clang = is_clang(compiler);
    if let Some(word) = wp::obscure_word(argv, facts.clang) {
        let option = lossy(word.as_bytes());
        facts.object_to(LocalReason::Option { option, why: Why::PassesOn });
    }
    match facts.plan(argv) {
        Ok(compile) => Plan::Distribute(Box::new(compile)),
        Err(reason) => Plan::Local(reason),
    }
}

/// What one pass over a command line finds.
#[derive(Default)]
struct Facts<'a> {
    /// Files named, with what `-x` said before them.
    inputs: Vec<(&'a [u8], Option<&'a [u8]>)>,
    outputs: Vec<Option<&'a [u8]>>,
    object: bool,
    assembly: bool,
    preprocess_only: bool,
    query: Option<&'a [u8]>,
    response_file: Option<&'a [u8]>,
    /// `-x` after the last file.
    late_language: Option<&'a [u8]>,
    dependencies: Vec<(Dependency, Known<'a>)>,
    travels: Vec<Known<'a>>,
    forced_includes: Vec<&'a [u8]>,
    /// The compiler is clang.
    clang: bool,
    /// The first option that keeps the command here.
    obstacle: Option<LocalReason>,
}

impl<'a> Facts<'a> {
    fn gather(argv: &'a [OsString]) -> Self {
        let mut facts = Self::default();
        for item in items(argv.iter().skip(1).map(|word| word.as_bytes())) {
            match item {
                Item::Known(known) => facts.note(known),
                Item::Unknown(word) => facts.object_to(LocalReason::UnknownOption(lossy(word))),
                Item::ResponseFile(word) => facts.response_file = Some(word),
                Item::File(file) => facts.inputs.push((file, facts.late_language)),
            }
        }
        if let Some((_, language)) = facts.inputs.last()
            && *language == facts.late_language
        {
            facts.late_language = None;
        }
        facts
    }

    fn object_to(&mut self, reason: LocalReason) {
        self.obstacle.get_or_insert(reason);
    }

    fn note(&mut self, known: Known<'a>) {
        let value = known.value;
        if known.lacks_value() {
            self.object_to(LocalReason::MissingValue(lossy(known.word)));
        }
        match known.row.client {
            Client::Travels if known.value_is_harmless() => self.travels.push(known),
            Client::Travels => self.object_to(LocalReason::UnsafeValue(lossy(known.word))),
            Client::Stays if known.spelling == "-include" => self.forced_includes.extend(value),
            Client::Stays => {}
            Client::Dependency(of) => self.dependencies.push((of, known)),
            Client::Output => self.outputs.push(value),
            Client::Object => self.object = true,
            Client::Assembly => self.assembly = true,
            Client::Language => self.late_language = value,
            Client::PreprocessOnly => self.preprocess_only = true,
            Client::Query => self.query = Some(known.word),
            Client::Local(why) => {
                self.object_to(LocalReason::Option { option: lossy(known.word), why });
            }
        }
    }

    fn plan(self, argv: &[OsString]) -> Result<Compile, LocalReason> {
        self.check_that_it_compiles()?;
        if let Some(word) = self.response_file {
            return Err(LocalReason::ResponseFile(lossy(word)));
        }
        let &[(source, language_option)] = self.inputs.as_slice() else {
            return Err(LocalReason::SeveralInputs { n_inputs: self.inputs.len() });
        };
        if source == b"-" {
            return Err(LocalReason::StandardInput);
        }
        if !self.object && !self.assembly {
            return Err(LocalReason::Links);
        }
        let program = argv.first().map_or(&b""[..], |program| program.as_bytes());
        let kind = self.source_kind(source, language_option, Driver::of_program(program))?;
        if let Some(obstacle) = self.obstacle {
            return Err(obstacle);
        }
        if kind.preprocessed && !self.dependencies.is_empty() {
            return Err(LocalReason::DependenciesOfPreprocessed);
        }
        let output = self.output(source)?;
        self.compile(argv, OsStr::from_bytes(source), output, kind)
    }

    /// The weights of these reasons are lighter than that of any other, so that they come first.
    fn check_that_it_compiles(&self) -> Result<(), LocalReason> {
        if let Some((name, _)) = self.inputs.iter().find(|(name, _)| is_conftest(name)) {
            return Err(LocalReason::Conftest(lossy(base_name(name))));
        }
        if let Some(option) = self.query {
            return Err(LocalReason::Query(lossy(option)));
        }
        if self.preprocess_only {
            return Err(LocalReason::PreprocessOnly);
        }
        if self.inputs.is_empty() && self.response_file.is_none() {
            return Err(LocalReason::NoInput);
        }
        Ok(())
    }

    fn source_kind(
        &self,
        source: &[u8],
        language: Option<&[u8]>,
        driver: Driver,
    ) -> Result<SourceKind, LocalReason> {
        if let Some(late) = self.late_language {
            return Err(LocalReason::LanguageOption(lossy(late)));
        }
        match language {
            None | Some(b"none") => SourceKind::of_name(source, driver)
                .ok_or_else(|| LocalReason::NotASource(lossy(source))),
            Some(language) => SourceKind::of_language_option(language)
                // A C++ driver takes `x.i` for C++, so that C could not be asked for by name.
                .filter(|kind| driver == Driver::C || kind.language != Language::C)
                .ok_or_else(|| LocalReason::LanguageOption(lossy(language))),
        }
    }

    fn output(&self, source: &[u8]) -> Result<Output, LocalReason> {
        match self.outputs.as_slice() {
            [] => {
                let suffix = if self.assembly { ".s" } else { ".o" };
                let name = with_suffix(OsStr::from_bytes(base_name(source)), suffix);
                Ok(Output { path: path(&name), given: false })
            }
            [Some(b"-")] => Err(LocalReason::StandardOutput),
            [Some(name)] if !name.is_empty() => Ok(Output { path: path(name), given: true }),
            _ => Err(LocalReason::UnclearOutput),
        }
    }

    fn compile(
        &self,
        argv: &[OsString],
        source: &OsStr,
        output: Output,
        kind: SourceKind,
    ) -> Result<Compile, LocalReason> {
        let has = |wanted: fn(&[u8]) -> bool| self.travels.iter().any(|known| wanted(known.word));
        let lacks_ident = self.assembly
            || has(|word| matches!(word, b"-fno-ident" | b"-Qn"))
            || (self.clang && has(|word| word.starts_with(b"-flto")));
        let dependencies = depfile::Wanted::of(&self.dependencies);
        let dependency_file = dependencies.file(source, &output);
        let mut preprocess = preprocessor_words(argv);
        preprocess.extend(dependencies.explicit_options(self.clang, source, &output));
        Ok(Compile {
            clang: self.clang,
            source: PathBuf::from(source),
            kind: if self.assembly { Kind::Assembly } else { Kind::Object },
            language: kind.language,
            preprocessed: kind.preprocessed,
            wants_ident: !lacks_ident,
            debug: has(|word| word.starts_with(b"-g") && word != b"-g0"),
            forced_includes: self.forced_includes.iter().map(|name| path(name)).collect(),
            dependency_file,
            output,
            preprocess,
            travels: self.travels.iter().map(Known::as_one_word).collect(),
        })
    }
}

/// The command without what says that it compiles and where to: `-c -S -o`.
fn preprocessor_words(argv: &[OsString]) -> Vec<OsString> {
    let mut words: Vec<OsString> = argv.first().into_iter().cloned().collect();
    for item in items(argv.iter().skip(1).map(|word| word.as_bytes())) {
        let (word, value) = match item {
            Item::Known(known) => match known.row.client {
                Client::Object | Client::Assembly | Client::Output => continue,
                _ => (known.word, known.value.filter(|_| known.separate)),
            },
            Item::Unknown(word) | Item::ResponseFile(word) | Item::File(word) => (word, None),
        };
        words.push(OsStr::from_bytes(word).to_owned());
        words.extend(value.map(|value| OsStr::from_bytes(value).to_owned()));
    }
    words.push("-E".into());
    words
}

fn is_clang(compiler: &Path) -> bool {
    base_name(compiler.as_os_str().as_bytes()).windows(5).any(|window| window == b"clang")
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::reason::Weight;
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').filter(|word| !word.is_empty()).map(Into::into).collect()
    }

    fn scan_words(argv: &[OsString]) -> Plan {
        scan(argv, Path::new(&argv[0]))
    }

    fn compile_of(line: &str) -> Compile {
        match scan_words(&words(line)) {
            Plan::Distribute(compile) => *compile,
            Plan::Local(reason) => panic!("{line}: {reason}"),
        }
    }

    fn reason_of(line: &str) -> LocalReason {
        match scan_words(&words(line)) {
            Plan::Distribute(compile) => panic!("{line}: {compile:?}"),
            Plan::Local(reason) => reason,
        }
    }

    #[test]
    fn compiles_of_one_source_travel() {
        let cases = [
            ("gcc -c a.c", "a.o", Kind::Object, Language::C),
            ("gcc -c d/a.b.c", "a.b.o", Kind::Object, Language::C),
            ("gcc a.c -c -o x", "x", Kind::Object, Language::C),
            ("gcc a.c -c -ox", "x", Kind::Object, Language::C),
            ("gcc -c a.c -o /dev/null", "/dev/null", Kind::Object, Language::C),
            ("gcc -S a.c", "a.s", Kind::Assembly, Language::C),
            ("gcc -S -c a.c", "a.s", Kind::Assembly, Language::C),
            ("gcc -c -S a.c -o b.s", "b.s", Kind::Assembly, Language::C),
            ("g++ -c a.c", "a.o", Kind::Object, Language::Cxx),
            ("gcc -c a.cc", "a.o", Kind::Object, Language::Cxx),
            ("gcc -c a.mm", "a.o", Kind::Object, Language::ObjCxx),
            ("gcc -c a.m", "a.o", Kind::Object, Language::ObjC),
            ("gcc -x c++ -c a.c", "a.o", Kind::Object, Language::Cxx),
            ("gcc -xc++ -c a.c", "a.o", Kind::Object, Language::Cxx),
            ("gcc -x c -c a.txt", "a.o", Kind::Object, Language::C),
            ("gcc -x c++ -x none -c a.c", "a.o", Kind::Object, Language::C),
            ("gcc -x objective-c -c a.c", "a.o", Kind::Object, Language::ObjC),
            (
                "gcc -include b.c -MF c.c -MD -MT d.c -u e.c -c a.c",
                "a.o",
                Kind::Object,
                Language::C,
            ),
        ];
        for (line, output, kind, language) in cases {
            let compile = compile_of(line);
            assert_eq!(compile.output.path, Path::new(output), "{line}");
            assert_eq!((compile.kind, compile.language), (kind, language), "{line}");
        }
    }

    #[test]
    fn the_commands_of_well_known_builds_travel() {
        let lines = [
            "gcc -Wp,-MMD,kernel/.fork.o.d -nostdinc -I./arch/x86/include -include \
             ./include/linux/kconfig.h -D__KERNEL__ -fmacro-prefix-map=./= -Wall -Wundef \
             -Werror=strict-prototypes -fno-strict-aliasing -fshort-wchar -fno-PIE \
             -std=gnu11 -mno-sse -m64 -falign-loops=1 -mno-80387 \
             -mpreferred-stack-boundary=3 -mskip-rax-setup -mtune=generic -mno-red-zone \
             -mcmodel=kernel -Wno-sign-compare -fno-asynchronous-unwind-tables \
             -mindirect-branch=thunk-extern -mindirect-branch-register -mharden-sls=all \
             -fpatchable-function-entry=16,16 -O2 --param=allow-store-data-races=0 \
             -fstack-protector-strong -ftrivial-auto-var-init=zero -pg -mrecord-mcount \
             -mfentry -DCC_USING_FENTRY -Wframe-larger-than=2048 -fconserve-stack -g \
             -gdwarf-5 -DKBUILD_MODFILE=kernel/fork -c -o kernel/fork.o kernel/fork.c",
            "/usr/bin/c++ -DQT_CORE_LIB -I/home/me/build -isystem /usr/include/qt -O2 -g \
             -DNDEBUG -fPIC -fvisibility=hidden -fvisibility-inlines-hidden -Wall \
             -Wextra -std=gnu++17 -Winvalid-pch -MD -MT CMakeFiles/x.dir/a.cpp.o -MF \
             CMakeFiles/x.dir/a.cpp.o.d -o CMakeFiles/x.dir/a.cpp.o -c \
             /home/me/src/a.cpp",
            "clang++ -fcolor-diagnostics -stdlib=libc++ -fexperimental-new-pass-manager \
             -pthread -faligned-new -fansi-escape-codes -Wthread-safety -D_LIBCPP \
             -std=c++20 -c x.cc -o x.o",
            "gcc -DHAVE_CONFIG_H -I. -g -O2 -MT foo.lo -MD -MP -MF .deps/foo.Tpo -c \
             foo.c -fPIC -DPIC -o .libs/foo.o",
            "gcc -fsanitize=address,undefined -fno-omit-frame-pointer \
             -fno-sanitize-recover=all -c a.c -o a.o",
        ];
        for line in lines {
            compile_of(line);
        }
    }

    #[test]
    fn everything_else_stays_here() {
        let cases = [
            ("gcc -E a.c", Weight::Preprocess, "only the preprocessor"),
            ("gcc -M a.c", Weight::Preprocess, "only the preprocessor"),
            ("gcc -MM -c a.c", Weight::Preprocess, "only the preprocessor"),
            ("gcc -Wp,-MM -c a.c", Weight::Preprocess, "only the preprocessor"),
            ("gcc --version", Weight::Free, "--version asks"),
            ("gcc -dumpmachine", Weight::Free, "-dumpmachine asks"),
            ("gcc -print-file-name=x", Weight::Free, "asks"),
            ("gcc --help=target", Weight::Free, "asks"),
            ("gcc", Weight::Free, "no source"),
            ("gcc -v", Weight::Free, "no source"),
            ("gcc -c conftest.c", Weight::Free, "conftest.c"),
            ("gcc -o conftest -O2 x/conftest.cc", Weight::Free, "conftest.cc"),
            ("gcc -c tmp.conftest.c", Weight::Free, "tmp.conftest.c"),
            ("gcc a.c", Weight::Compile, "neither -c nor -S"),
            ("gcc a.o", Weight::Compile, "neither -c nor -S"),
            ("gcc a.o b.o -o x", Weight::Compile, "2 files"),
            ("gcc -c a.c b.c", Weight::Compile, "2 files"),
            ("gcc -c a.c b.o", Weight::Compile, "2 files"),
            ("gcc -c -", Weight::Compile, "standard input"),
            ("gcc -x c -c -", Weight::Compile, "standard input"),
            ("gcc -c a.c -o -", Weight::Compile, "standard output"),
            ("gcc -c a.c -o x -o y", Weight::Compile, "output is not clear"),
            ("gcc -c a.c -o", Weight::Compile, "-o has no value"),
            ("gcc -c a.c -include", Weight::Compile, "-include has no value"),
            ("gcc -c a.s", Weight::Compile, "a.s is not a source"),
            ("gcc -c a.S", Weight::Compile, "a.S is not a source"),
            ("gcc -c a.h", Weight::Compile, "a.h is not a source"),
            ("gcc -c a.go", Weight::Compile, "a.go is not a source"),
            ("gcc -c a", Weight::Compile, "a is not a source"),
            ("gcc -c @args", Weight::Compile, "@args"),
            ("gcc @args", Weight::Compile, "@args"),
            ("gcc -x c-header -c a.h", Weight::Compile, "-x c-header"),
            ("gcc -x assembler -c a.c", Weight::Compile, "-x assembler"),
            ("gcc -x assembler-with-cpp -c a.c", Weight::Compile, "-x assembler-with-cpp"),
            ("gcc -c a.c -x c++", Weight::Compile, "-x c++"),
            ("g++ -x c -c a.c", Weight::Compile, "-x c does not"),
            ("gcc -c a.i -MD", Weight::Compile, "dependencies"),
            ("gcc -c a.c --bogus-option", Weight::Compile, "--bogus-option is not known"),
            ("gcc -c a.c -qfoo", Weight::Compile, "-qfoo is not known"),
            ("gcc -c a.c -fanything=/etc/passwd", Weight::Compile, "may name a file"),
        ];
        for (line, weight, text) in cases {
            let reason = reason_of(line);
            assert!(reason.to_string().contains(text), "{line}: {reason}");
            assert_eq!(reason.weight(), weight, "{line}");
        }
    }

    #[test]
    fn options_that_write_elsewhere_or_run_code_stay_here() {
        let options = "-save-temps -save-temps=obj --save-temps -fstack-usage -gsplit-dwarf --coverage \
            -coverage -fprofile-arcs -fprofile-generate -fprofile-use=x -fauto-profile -ftest-coverage \
            -fdump-tree-all -fdump-rtl-expand=x -fcallgraph-info=su -fopt-info-vec=x -fopt-info=x \
            -aux-info=x -march=native -mtune=native -mcpu=native -mcpu=native+crc -fplugin=x.so \
            -fplugin-arg-x-y -specs=x --specs=x -Bdir -fmodules -fmodules-ts -fmodule-mapper=x \
            -Wa,-a=x -Wa,-ahl -Wa,--MD,x -Wa,@x -time -time=x -v -### -Q -dM -dD -C -CC -P -frepo -flto \
            --output=x -fpass-plugin=x --config=x -emit-llvm -fsyntax-only -fpreprocessed \
            -frecord-gcc-switches -ftime-trace -fsave-optimization-record -MJx -fpch-preprocess \
            --gcc-toolchain=/x -fvtv-counts -fthin-link-bitcode=x -fdiagnostics-format=json -no-integrated-cpp -fcoverage-mapping \
            -fno-preprocessed -fno-directives-only -fembed-bitcode -fdiagnostics-generate-patch";
        for option in words(options) {
            if option == "\\" {
                continue;
            }
            let mut argv = words("gcc -c a.c");
            argv.push(option.clone());
            let plan = scan_words(&argv);
            assert!(matches!(plan, Plan::Local(_)), "{option:?}: {plan:?}");
        }
        for option in [
            "-wrapper",
            "-B",
            "-specs",
            "-aux-info",
            "-dumpdir",
            "-dumpbase",
            "-Xclang",
            "-Xassembler",
            "-Xpreprocessor",
            "-mllvm",
            "-iplugindir",
            "-arch",
            "--config",
            "-MJ",
        ] {
            let reason = reason_of(&format!("gcc -c {option} x.c a.c"));
            assert!(matches!(reason, LocalReason::Option { .. }), "{option}: {reason}");
        }
    }

    #[test]
    fn dependency_files_are_known_beforehand() {
        let cases = [
            ("gcc -c a.c", None),
            ("gcc -c a.c -MP", None),
            ("gcc -c -MD d/a.c", Some("a.d")),
            ("gcc -c -MD d/a.c -o e/b.o", Some("e/b.d")),
            ("gcc -c -MMD a.c -MF x -o e/b.o", Some("x")),
            ("gcc -c -Wp,-MD,y a.c -o e/b.o", Some("y")),
        ];
        for (line, file) in cases {
            assert_eq!(compile_of(line).dependency_file.as_deref(), file.map(Path::new), "{line}");
        }
    }

    #[test]
    fn an_ident_is_expected_unless_the_command_forbids_it() {
        let cases = [
            ("gcc -c a.c", true),
            ("gcc -S a.c", false),
            ("gcc -c -fno-ident a.c", false),
            ("clang -c -Qn a.c", false),
            ("clang -c -flto=thin a.c", false),
            ("gcc -c -flto=auto a.c", true),
        ];
        for (line, expected) in cases {
            assert_eq!(compile_of(line).wants_ident, expected, "{line}");
        }
    }

    #[test]
    fn clang_is_told_the_directory_for_debuggers() {
        let told = |line: &str, compiler: &str| {
            let Plan::Distribute(mut compile) = scan(&words(line), Path::new(compiler)) else {
                panic!("{line} stays here");
            };
            compile.note_directory(Path::new("/home/me/x"));
            compile.travels.contains(&b"-fdebug-compilation-dir=/home/me/x".to_vec())
        };
        let clang = "/usr/lib/llvm-14/bin/clang";
        assert!(told("clang-14 -g -c a.c", clang));
        assert!(told("cc -g -c a.c", clang));
        assert!(!told("clang-14 -c a.c", clang));
        assert!(!told("clang-14 -g -ffile-compilation-dir=. -c a.c", clang));
        assert!(!told("gcc -g -c a.c", "/usr/bin/x86_64-linux-gnu-gcc-12"));
    }
}
