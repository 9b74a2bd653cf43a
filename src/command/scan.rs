//! The client's question: may this command be compiled elsewhere, and if not, why?

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::depfile;
use super::options::{Client, Dependency, Item, Known, Why, items};
use super::reason::LocalReason;
use super::several::{self, Single};
use super::sources::{Driver, Language, SourceKind, base_name, is_probe, with_suffix};
use super::wp;

/// What is to be done with a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It may be compiled elsewhere.
    Distribute(Box<Compile>),
    /// Each of its sources has a command and a plan of its own.
    Split(Vec<Single>),
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
    /// distccd 3.4 refuses it.
    pub(crate) only_ours: bool,
    /// Debugging information is wanted.
    pub(crate) debug: bool,
    /// Values of `-include`; beside one there may be a precompiled form that replaces it.
    pub(crate) forced_includes: Vec<PathBuf>,
    /// Directories in which headers are looked for.
    pub(crate) include_dirs: Vec<PathBuf>,
    /// The compiler is clang.
    pub(crate) clang: bool,
    /// The dependency file that the preprocessor writes here.
    pub(crate) dependency_file: Option<PathBuf>,
    /// The command of the preprocessor.
    pub(super) preprocess: Vec<OsString>,
    /// The options that travel, each one word.
    pub(super) travels: Vec<Vec<u8>>,
}

impl Compile {
    /// The compiler is clang.
    pub(crate) fn is_clang(&self) -> bool {
        self.clang
    }

    /// The options that travel, each one word.
    pub(crate) fn options(&self) -> &[Vec<u8>] {
        &self.travels
    }

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
    if let Some(word) = facts.rival_dependencies() {
        facts.object_to(LocalReason::Option { option: lossy(word), why: Why::PassesOn });
    }
    if facts.may_be_split(argv) {
        return Plan::Split(several::split(argv));
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
    include_dirs: Vec<&'a [u8]>,
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
            Client::Native => self.travels.push(known),
            Client::Travels => self.object_to(LocalReason::UnsafeValue(lossy(known.word))),
            Client::Stays => match known.spelling {
                "-include" => self.forced_includes.extend(value),
                "-I" | "-iquote" | "-isystem" => self.include_dirs.extend(value),
                _ => {}
            },
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
        let kind = self.source_kind(source, language_option, driver(argv))?;
        // Of the others it warns when it preprocesses them.
        if kind.preprocessed && self.is_taken_for_cxx(source, language_option, driver(argv)) {
            return Err(LocalReason::TakenForCxx(lossy(source)));
        }
        if let Some(obstacle) = self.obstacle {
            return Err(obstacle);
        }
        // Debugging information names the options, the server's in part, and no `strip` takes that
        // out of assembly.
        if self.assembly
            && let Some(known) = self.travels.iter().find(|known| is_debug(known.word))
        {
            let option = lossy(known.word);
            return Err(LocalReason::Option { option, why: Why::RecordsCommand });
        }
        if kind.preprocessed && !self.dependencies.is_empty() {
            return Err(LocalReason::DependenciesOfPreprocessed);
        }
        let output = self.output(source)?;
        self.compile(argv, OsStr::from_bytes(source), output, kind)
    }

    /// clang takes one of `-MD` and `-Wp,-MD,FILE`, and says that it does not take the other. gcc's
    /// driver names a target unless it sees one, which it does not in `-Wp,-MD,FILE,-MT,x`.
    fn rival_dependencies(&self) -> Option<&'a [u8]> {
        let word_of = |wanted: Dependency| {
            self.dependencies.iter().find(|(of, _)| *of == wanted).map(|(_, known)| known.word)
        };
        let by_preprocessor = word_of(Dependency::WrittenByPreprocessor)?;
        let rivals = self.clang || word_of(Dependency::Target).is_some();
        word_of(Dependency::Written).filter(|_| rivals).map(|_| by_preprocessor)
    }

    /// Is this a compile of several sources, each of which could be compiled by itself?
    fn may_be_split(&self, argv: &[OsString]) -> bool {
        let driver = driver(argv);
        let is_source = |&(name, language): &(&[u8], Option<&[u8]>)| {
            let is_travelling = self.source_kind(name, language, driver).is_ok()
                && !self.is_taken_for_cxx(name, language, driver)
                // g++ forgets `-x` behind the first source, and goes by such names again.
                && (language.is_none() || !is_c_for_cxx(name, driver));
            is_travelling
                || (matches!(language, None | Some(b"none"))
                    && self.object
                    && several::is_assembler(name))
        };
        let sources: Vec<&[u8]> = self.inputs.iter().map(|&(name, _)| name).collect();
        sources.len() > 1
            && (self.object || self.assembly)
            && self.outputs.is_empty()
            && self.obstacle.is_none()
            && self.response_file.is_none()
            && self.check_that_it_compiles().is_ok()
            && self.inputs.iter().all(is_source)
            && several::are_apart(&sources, &self.dependencies)
    }

    /// The weights of these reasons are lighter than that of any other, so that they come first.
    fn check_that_it_compiles(&self) -> Result<(), LocalReason> {
        let inputs = self.inputs.iter().map(|(name, _)| *name);
        if let Some(name) =
            inputs.chain(self.outputs.iter().copied().flatten()).find(|name| is_probe(name))
        {
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
            // g++ takes C for C++ unless anything was said of languages (gcc 12, `g++spec.c`).
            Some(b"none") if is_c_for_cxx(source, driver) => {
                Err(LocalReason::LanguageOption("none".to_owned()))
            }
            None | Some(b"none") => SourceKind::of_name(source, driver)
                .ok_or_else(|| LocalReason::NotASource(lossy(source))),
            Some(language) => SourceKind::of_language_option(language)
                // A C++ driver takes `x.i` for C++, so that C could not be asked for by name.
                .filter(|kind| driver == Driver::C || kind.language != Language::C)
                .ok_or_else(|| LocalReason::LanguageOption(lossy(language))),
        }
    }

    /// clang++ says that it should not be given such a source; of several it says so of all before
    /// it compiles the first.
    fn is_taken_for_cxx(&self, source: &[u8], language: Option<&[u8]>, driver: Driver) -> bool {
        self.clang && language.is_none() && is_c_for_cxx(source, driver)
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
        let lto = has(|word| word.starts_with(b"-flto"));
        let lacks_ident = self.assembly
            || has(|word| matches!(word, b"-fno-ident" | b"-Qn"))
            || (self.clang && lto);
        let dependencies = depfile::Wanted::of(&self.dependencies);
        let dependency_file = dependencies.file(source, &output);
        let mut preprocess = preprocessor_words(argv);
        if lto && !self.clang {
            // Such objects name the directory of their source, with or without -g.
            preprocess.push("-fworking-directory".into());
        }
        preprocess.extend(dependencies.explicit_options(self.clang, source, &output));
        Ok(Compile {
            clang: self.clang,
            source: PathBuf::from(source),
            kind: if self.assembly { Kind::Assembly } else { Kind::Object },
            language: kind.language,
            preprocessed: kind.preprocessed,
            wants_ident: !lacks_ident,
            only_ours: !self.clang && has(|word| word == b"-flto"),
            debug: has(is_debug),
            forced_includes: self.forced_includes.iter().map(|name| path(name)).collect(),
            include_dirs: self.include_dirs.iter().map(|name| path(name)).collect(),
            dependency_file,
            output,
            preprocess,
            travels: self
                .travels
                .iter()
                .filter(|known| kind.preprocessed || !self.is_used_up(known))
                .map(|known| self.sent(known))
                .collect(),
        })
    }

    /// clang has no use for it once macros are expanded, and says so.
    fn is_used_up(&self, known: &Known<'_>) -> bool {
        self.clang && known.spelling == "-fmacro-prefix-map="
    }

    /// The word that is sent for an option.
    fn sent(&self, known: &Known<'_>) -> Vec<u8> {
        // Means the same to clang, and distccd 3.4 takes it. gcc's objects would tell.
        if self.clang && known.word == b"-flto" {
            return b"-flto=full".to_vec();
        }
        known.as_one_word()
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

fn driver(argv: &[OsString]) -> Driver {
    Driver::of_program(argv.first().map_or(&b""[..], |program| program.as_bytes()))
}

/// A source that is C by its name, given to a compiler of C++.
fn is_c_for_cxx(source: &[u8], driver: Driver) -> bool {
    let by_name = SourceKind::of_name(source, Driver::C);
    driver == Driver::Cxx && by_name.is_some_and(|kind| kind.language == Language::C)
}

fn is_debug(word: &[u8]) -> bool {
    word.starts_with(b"-g") && word != b"-g0"
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
mod tests;
