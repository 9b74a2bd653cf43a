//! Reading a command line by the option table: which words are options, which are their values,
//! which are files.

use super::table::TABLE;

/// One line of the option table: options that are spelled and treated alike.
pub(super) struct Row {
    /// The options, each with its dash; one that ends in `=` or `,` includes that character.
    pub(super) spellings: &'static [&'static str],
    /// How they take a value.
    pub(super) takes: Takes,
    /// What a value (or, of a glued option, all that follows the spelling) may be.
    pub(super) value: Check,
    /// What they mean for the client.
    pub(super) client: Client,
    /// What they mean for the server.
    pub(super) server: Server,
}

/// How an option takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// No value: the word is exactly the spelling.
    Nothing,
    /// Whatever follows the spelling in the same word, which may be nothing.
    Glued,
    /// The rest of the word, or, where there is none, the next word.
    Either,
    /// The next word. Where the option travels it is sent as one word that begins so, because the
    /// original's scanner takes any value that looks like a file for one (distcc 3.4, `arg.c`).
    Separate(&'static str),
}

/// What a value may be so that an option that travels names no file on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Text that the compiler only copies or compares: anything printable.
    Text,
    /// A word of letters, digits and the punctuation of option values, without a slash.
    Word,
    /// Assembler options after `-Wa,`: only those of [`ASSEMBLER`].
    Assembler,
    /// One of them.
    AssemblerOption,
}

/// What an option means for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// Used by the preprocessor here and sent to the server.
    Travels,
    /// Has done its work once the source is preprocessed, or matters to the linker only.
    Stays,
    /// Says what dependency file to write; the preprocessor here writes it.
    Dependency(Dependency),
    /// `-o`.
    Output,
    /// `-c`.
    Object,
    /// `-S`.
    Assembly,
    /// `-x`.
    Language,
    /// `-E`, `-M`: the command is a preprocessor run.
    PreprocessOnly,
    /// The compiler is asked something and compiles nothing.
    Query,
    /// Names the processor of this machine: travels as what that stands for.
    Native,
    /// Keeps the job on this machine.
    Local(Why),
}

/// The options about dependency files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dependency {
    /// `-MD`, `-MMD`: write one as a side effect.
    Written,
    /// `-Wp,-MD,FILE`: the same, behind the driver's back.
    WrittenByPreprocessor,
    /// `-MF`.
    File,
    /// `-MT`, `-MQ`.
    Target,
    /// `-MP`, `-MG`, `-MV`: its form.
    Form,
}

/// What an option means for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// Given to the compiler.
    Kept,
    /// Given to the compiler, which then obeys directives in the source: that is looked at first.
    Directives,
    /// Of no use for a preprocessed source; left out.
    Dropped,
    /// `-o`.
    Output,
    /// `-c`.
    Object,
    /// `-S`.
    Assembly,
    /// `-x`.
    Language,
    /// The job is refused.
    Refused(Why),
}

/// Why an option keeps a job from travelling, for client and server alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It writes further files.
    SideFiles,
    /// It reads or writes profile data.
    Profile,
    /// It is about the processor of this machine.
    Native,
    /// It names programs to run or code to load.
    RunsCode,
    /// It names files or directories that the server does not have.
    NamesPath,
    /// It hands options on to another program unseen.
    PassesOn,
    /// It uses modules or precompiled headers.
    Modules,
    /// It prints what is true of this machine only.
    Prints,
    /// It records the command line in the object.
    RecordsCommand,
    /// It makes something else than an object or assembly file.
    OtherOutput,
    /// It changes how the source is preprocessed in a way that does not survive the journey.
    Preprocessing,
    /// It compiles for several processors at once.
    SeveralTargets,
    /// It is of another language, or an unusual form of an option that may be sent.
    Unusual,
}

impl Why {
    /// A lowercase fragment that follows the option's name.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::SideFiles => "writes further files",
            Self::Profile => "reads or writes profile data",
            Self::Native => "depends on the processor of this machine",
            Self::RunsCode => "names programs to run or code to load",
            Self::NamesPath => "names files or directories of this machine",
            Self::PassesOn => "passes options on to another program",
            Self::Modules => "uses modules or precompiled headers",
            Self::Prints => "prints what is true of this machine only",
            Self::RecordsCommand => "records the command line in the object",
            Self::OtherOutput => "makes something else than an object file",
            Self::Preprocessing => "does not survive preprocessing",
            Self::SeveralTargets => "compiles for several targets at once",
            Self::Unusual => "is an unusual one, which is not sent elsewhere",
        }
    }
}

/// One option or file of a command line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    /// An option of the table.
    Known(Known<'a>),
    /// A word that begins with a dash and is not in the table.
    Unknown(&'a [u8]),
    /// `@file`.
    ResponseFile(&'a [u8]),
    /// Anything else: a source, an object, `-` for standard input.
    File(&'a [u8]),
}

/// An option of the table as it stands in a command line.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// Its line of the table.
    pub(super) row: &'static Row,
    /// The spelling that matched.
    pub(super) spelling: &'static str,
    /// The word it stands in.
    pub(super) word: &'a [u8],
    /// Its value, glued or separate; none for a flag and where the next word is missing.
    pub(super) value: Option<&'a [u8]>,
    /// True if the value is the next word.
    pub(super) separate: bool,
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.spelling, self.value.map(String::from_utf8_lossy))
    }
}

impl Known<'_> {
    /// The option needs a value and the command line ends before it.
    pub(super) fn lacks_value(&self) -> bool {
        self.value.is_none() && self.row.takes != Takes::Nothing
    }

    /// The value is one with which this option may travel.
    pub(super) fn value_is_harmless(&self) -> bool {
        self.value.is_none_or(|value| self.row.value.admits(value))
    }

    /// The option and its value as the one word that is sent.
    pub(super) fn as_one_word(&self) -> Vec<u8> {
        let (Some(value), true) = (self.value, self.separate) else { return self.word.to_vec() };
        let prefix = match self.row.takes {
            Takes::Separate(prefix) => prefix,
            Takes::Nothing | Takes::Glued | Takes::Either => self.spelling,
        };
        [prefix.as_bytes(), value].concat()
    }
}

impl Check {
    pub(super) fn admits(self, value: &[u8]) -> bool {
        match self {
            Self::Text => !value.iter().any(u8::is_ascii_control),
            Self::Word => value.iter().all(|&byte| is_word_byte(byte)),
            Self::Assembler => value.split(|&byte| byte == b',').all(is_harmless_assembler_option),
            Self::AssemblerOption => !value.contains(&b',') && is_harmless_assembler_option(value),
        }
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.,:;+=@%()#*-".contains(&byte)
}

/// Assembler options that name no file and write none: exact, or, with a final `=`, by prefix.
const ASSEMBLER: [&str; 30] = [
    "--noexecstack",
    "--execstack",
    "--fatal-warnings",
    "--no-warn",
    "--warn",
    "-W",
    "--strip-local-absolute",
    "--compress-debug-sections",
    "--compress-debug-sections=",
    "--nocompress-debug-sections",
    "--generate-missing-build-notes=",
    "--elf-stt-common=",
    "--gdwarf-2",
    "--gdwarf-3",
    "--gdwarf-4",
    "--gdwarf-5",
    "-mrelax-relocations=",
    "-mx86-used-note=",
    "-mbranches-within-32B-boundaries",
    "-mbig-obj",
    "-mimplicit-it=",
    "-mfpu=",
    "-mfloat-abi=",
    "-mabi=",
    "-march=",
    "-mcpu=",
    "-mtune=",
    "-mthumb",
    "-EL",
    "-EB",
];

fn is_harmless_assembler_option(option: &[u8]) -> bool {
    ASSEMBLER.iter().any(|known| match known.strip_suffix('=') {
        Some(_) => option.strip_prefix(known.as_bytes()).is_some_and(|v| Check::Word.admits(v)),
        None => option == known.as_bytes(),
    })
}

/// Reads the words after the compiler's name.
pub(super) fn items<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Vec<Item<'a>> {
    let mut words = words.into_iter();
    let mut items = Vec::with_capacity(words.size_hint().0);
    while let Some(word) = words.next() {
        items.push(item(word, &mut words));
    }
    items
}

fn item<'a>(word: &'a [u8], rest: &mut impl Iterator<Item = &'a [u8]>) -> Item<'a> {
    if word.first() == Some(&b'@') {
        return Item::ResponseFile(word);
    }
    if word.first() != Some(&b'-') || word == b"-" {
        return Item::File(word);
    }
    let Some((row, spelling)) = find(word) else { return Item::Unknown(word) };
    let glued = &word[spelling.len()..];
    let (value, separate) = match row.takes {
        Takes::Nothing => (None, false),
        Takes::Glued => (Some(glued), false),
        Takes::Either if !glued.is_empty() => (Some(glued), false),
        Takes::Either | Takes::Separate(_) => (rest.next(), true),
    };
    Item::Known(Known { row, spelling, word, value, separate })
}

/// The line of the table for a word; the longest spelling wins (`-MD` before `-M`).
pub(super) fn find(word: &[u8]) -> Option<(&'static Row, &'static str)> {
    let mut best: Option<(&'static Row, &'static str)> = None;
    for row in TABLE {
        for &spelling in row.spellings {
            // The second byte tells most of them apart, and this runs for every word of a command.
            if spelling.as_bytes().get(1) != word.get(1)
                || best.is_some_and(|(_, longest)| longest.len() >= spelling.len())
                || !word.starts_with(spelling.as_bytes())
            {
                continue;
            }
            let whole = word.len() == spelling.len();
            if whole || matches!(row.takes, Takes::Glued | Takes::Either) {
                best = Some((row, spelling));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_stands_once_and_finds_its_own_row() {
        let mut seen = std::collections::BTreeSet::new();
        for row in TABLE {
            for spelling in row.spellings {
                assert!(seen.insert(spelling), "{spelling} stands twice");
                assert!(spelling.starts_with('-') && spelling.len() > 1, "{spelling}");
                let (_, found) = find(spelling.as_bytes()).expect("in the table");
                assert_eq!(found, *spelling);
            }
        }
    }

    #[test]
    fn what_the_server_refuses_never_travels() {
        for row in TABLE {
            if row.client == Client::Travels {
                assert_eq!(row.server, Server::Kept, "{:?}", row.spellings);
            }
            if let Server::Refused(_) = row.server {
                assert_ne!(row.client, Client::Travels, "{:?}", row.spellings);
            }
            if let (Client::Travels, Takes::Separate(joined)) = (row.client, row.takes) {
                assert!(joined.starts_with('-'), "{:?} has no form in one word", row.spellings);
            }
        }
    }

    #[test]
    fn values_are_told_from_files() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["-include", "a.c", "-c", "b.c"], &["b.c"]),
            (&["-includea.h", "b.c"], &["b.c"]),
            (&["-D", "X=y.c", "-DY", "b.c"], &["b.c"]),
            (&["-I", "dir.c", "-Idir", "b.c"], &["b.c"]),
            (&["-Xlinker", "x.o", "b.c"], &["b.c"]),
            (&["-u", "x.c", "-T", "y.c", "-z", "z.c", "-e", "e.c", "b.c"], &["b.c"]),
            (&["-A", "a.c", "-arch", "a.c", "-target", "a.c", "b.c"], &["b.c"]),
            (&["-imultilib", "a.c", "--param", "a.c", "-G", "8", "b.c"], &["b.c"]),
            (&["-x", "c", "-xc", "b.c"], &["b.c"]),
            (&["-MF", "a.c", "-MT", "b.c", "-MQ", "c.c", "-MFx", "b.c"], &["b.c"]),
            (&["-o", "a.c", "-ob.c", "c.c"], &["c.c"]),
            (&["-aux-info", "a.c", "-dumpbase", "b.c", "-wrapper", "c.c", "d.c"], &["d.c"]),
            (&["-isystem", "a.c", "-iquote", "b.c", "-idirafter", "c.c", "d.c"], &["d.c"]),
            (&["-L", "a.c", "-l", "m.c", "-lm", "-Wl,a.c", "d.c"], &["d.c"]),
            (&["--sysroot", "a.c", "--sysroot=b.c", "d.c"], &["d.c"]),
            (&["-Xclang", "a.c", "-Xassembler", "b.c", "-Xpreprocessor", "c.c", "d.c"], &["d.c"]),
            (&["-c", "a.c", "b.cc", "-"], &["a.c", "b.cc", "-"]),
        ];
        for (words, files) in cases {
            let found: Vec<&[u8]> = items(words.iter().map(|word| word.as_bytes()))
                .into_iter()
                .filter_map(|item| match item {
                    Item::File(file) => Some(file),
                    Item::Known(_) => None,
                    Item::Unknown(word) | Item::ResponseFile(word) => {
                        panic!("{}", String::from_utf8_lossy(word))
                    }
                })
                .collect();
            let expected: Vec<&[u8]> = files.iter().map(|file| file.as_bytes()).collect();
            assert_eq!(found, expected, "{words:?}");
        }
    }

    #[test]
    fn path_like_values_are_not_harmless() {
        let cases = [
            ("-fvisibility=hidden", true),
            ("-fsanitize=address,undefined", true),
            ("-fclang-abi-compat=11.0", true),
            ("-fanything=/etc/passwd", false),
            ("-fanything=../x", false),
            ("-march=armv8.2-a+crc", true),
            ("-march=/x", false),
            ("-Wframe-larger-than=1024", true),
            ("-fdebug-prefix-map=/home/me/x=.", true),
            ("-frandom-seed=out/dir/x.o", true),
            ("-frandom-seed=a\nb", false),
            ("-Wa,--noexecstack,-W", true),
            ("-Wa,--noexecstack,-o,/tmp/x", false),
            ("-Wa,-a=x", false),
            ("-Wa,-mfpu=neon", true),
            ("-Wa,--MD,x", false),
            ("-Wa,@file", false),
        ];
        for (word, harmless) in cases {
            let [Item::Known(known)] = items([word.as_bytes()])[..] else { panic!("{word}") };
            assert_eq!(known.value_is_harmless(), harmless, "{word}");
        }
    }
}
