//! `-march=native` and its like, said in words that mean the same on every machine. Pure: which
//! question to put to the compiler, and what its answer means.
//!
//! gcc's driver turns the word into options for the compiler proper, which it shows with `-###`;
//! clang's shows the processor and its features. All of it stands before the other `-m` options,
//! wherever the word stood (gcc 12, `%(cc1_cpu)`; clang 14, `getX86TargetFeatures`), so that
//! `-mno-avx -march=native` is without AVX.

use super::options::{Client, Why, find};
use super::reason::LocalReason;
use super::scan::Compile;

/// Options whose last one counts, whatever stands before it.
const PROCESSOR: [&[u8]; 3] = [b"-march=", b"-mtune=", b"-mcpu="];
/// What else decides how a driver describes the processor.
const MODES: [&[u8]; 5] = [b"-m16", b"-m31", b"-m32", b"-m64", b"-mx32"];
const MODE_VALUES: [&[u8]; 2] = [b"-mabi=", b"--target="];
/// Features that every processor of clang's x86-64 has, and for which there is no option.
const COMMON_FEATURES: [&str; 3] = ["64bit", "cmov", "cx8"];
/// Parts of APX, which clang's options name as a whole.
const APX: [&str; 8] = ["egpr", "push2pop2", "ppx", "ndd", "ccmp", "nf", "cf", "zu"];

/// The options with which the compiler is to be asked; none if the command names no processor of
/// this machine. The error is the reason for which such a command stays here.
pub(crate) fn question(compile: &Compile) -> Result<Option<Vec<Vec<u8>>>, LocalReason> {
    let is_asked = |word: &&Vec<u8>| {
        is_processor(word)
            || MODES.contains(&word.as_slice())
            || MODE_VALUES.iter().any(|option| word.starts_with(option))
    };
    let is_native = compile.travels.iter().any(|word| is_native(word));
    if !is_native {
        return Ok(None);
    }
    if compile.clang && compile.travels.iter().any(|word| word.starts_with(b"-flto")) {
        return Err(unsayable(compile, "bitcode names features for which there is no option"));
    }
    Ok(Some(compile.travels.iter().filter(is_asked).cloned().collect()))
}

/// The reason for which such a command stays here where the user wants it so.
pub(crate) fn unwanted(compile: &Compile) -> LocalReason {
    LocalReason::Option { option: native_word(compile), why: Why::Native }
}

/// The reason for which such a command stays here where it cannot be said otherwise.
pub(crate) fn unsayable(compile: &Compile, problem: impl Into<String>) -> LocalReason {
    LocalReason::Processor { option: native_word(compile), problem: problem.into() }
}

fn native_word(compile: &Compile) -> String {
    let word = compile.travels.iter().find(|word| is_native(word));
    word.map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default()
}

/// Lets the command travel with `explicit` instead of what it says of processors.
pub(crate) fn answer(compile: &mut Compile, explicit: Vec<Vec<u8>>) {
    compile.travels.retain(|word| !is_processor(word));
    compile.travels.splice(0..0, explicit);
}

/// Reads what the compiler said to `-###` with the options `asked`: options for any machine. The
/// error is a lowercase fragment.
pub(crate) fn explicit(asked: &[Vec<u8>], said: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let said = String::from_utf8_lossy(said);
    let (words, is_clang) =
        said.lines().find_map(compiler_proper).ok_or("the compiler does not show its options")?;
    let wanted = Wanted::of(asked);
    let explicit = if is_clang { wanted.of_clang(&words)? } else { wanted.of_gcc(&words, asked) };
    if !explicit.iter().any(|word| is_processor(word.as_bytes())) {
        return Err("the compiler names no processor".to_owned());
    }
    if let Some(word) = explicit.iter().find(|word| !may_travel(word.as_bytes())) {
        return Err(format!("the compiler says {word}"));
    }
    Ok(explicit.into_iter().map(String::into_bytes).collect())
}

fn is_processor(word: &[u8]) -> bool {
    PROCESSOR.iter().any(|option| word.starts_with(option))
}

fn is_native(word: &[u8]) -> bool {
    find(word).is_some_and(|(row, _)| row.client == Client::Native)
}

fn may_travel(word: &[u8]) -> bool {
    let travels = |(row, spelling): (&super::options::Row, &str)| {
        row.client == Client::Travels && row.value.admits(&word[spelling.len()..])
    };
    find(word).is_some_and(travels)
}

/// The words of a line that runs the compiler proper, and whether that is clang's.
fn compiler_proper(line: &str) -> Option<(Vec<String>, bool)> {
    let words = line.starts_with(' ').then(|| split(line))?;
    let program = words.first()?.rsplit('/').next()?;
    if words.get(1).is_some_and(|word| word == "-cc1") {
        return Some((words, true));
    }
    program.starts_with("cc1").then_some((words, false))
}

/// The words of a line as drivers show it: quoted where they like, `\` before a quote.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut begun) = (String::new(), false, false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => (quoted, begun) = (!quoted, true),
            '\\' => {
                word.extend(characters.next());
                begun = true;
            }
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => {
                word.push(character);
                begun = true;
            }
        }
    }
    words.extend(Some(word).filter(|_| begun));
    words
}

/// Which of the options about processors were asked about.
#[derive(Clone, Copy)]
struct Wanted {
    march: bool,
    mtune: bool,
    mcpu: bool,
    /// One of those that decide which instructions there are says `native`.
    instructions: bool,
}

impl Wanted {
    fn of(asked: &[Vec<u8>]) -> Self {
        let has = |option: &[u8]| asked.iter().any(|word| word.starts_with(option));
        Self {
            march: has(b"-march="),
            mtune: has(b"-mtune="),
            mcpu: has(b"-mcpu="),
            instructions: has(b"-march=native") || has(b"-mcpu=native"),
        }
    }

    fn of_gcc(self, words: &[String], asked: &[Vec<u8>]) -> Vec<String> {
        let is_asked = |word: &str| asked.iter().any(|asked| asked == word.as_bytes());
        let mut explicit = Vec::new();
        let mut words = words.iter().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--param" => explicit.extend(words.next().map(|value| format!("--param={value}"))),
                _ if word.starts_with("--param=") => explicit.push(word.clone()),
                // Defaults of the driver that nobody asked for, which the one there has too.
                _ if word.starts_with("-march=") && !self.march => {}
                _ if word.starts_with("-mcpu=") && !self.mcpu => {}
                _ if is_processor(word.as_bytes()) => explicit.push(word.clone()),
                _ if word.starts_with("-m") && self.instructions && !is_asked(word) => {
                    explicit.push(word.clone());
                }
                _ => {}
            }
        }
        explicit
    }

    /// Only of x86: elsewhere features have other names than the options that ask for them.
    fn of_clang(self, words: &[String]) -> Result<Vec<String>, String> {
        let mut explicit = Vec::new();
        for pair in words.windows(2) {
            let value = &pair[1];
            match pair[0].as_str() {
                "-triple" if !is_x86(value) => {
                    return Err(format!("features of {value} cannot be said in options"));
                }
                "-target-cpu" if self.march => explicit.push(format!("-march={value}")),
                "-tune-cpu" if self.mtune => explicit.push(format!("-mtune={value}")),
                "-target-feature" if self.instructions => explicit.extend(feature_option(value)?),
                _ => {}
            }
        }
        Ok(explicit)
    }
}

fn is_x86(triple: &str) -> bool {
    let arch = triple.split('-').next().unwrap_or_default();
    arch == "x86_64" || (arch.len() == 4 && arch.starts_with('i') && arch.ends_with("86"))
}

/// `+avx2` is `-mavx2`, `-avx2` is `-mno-avx2`.
fn feature_option(feature: &str) -> Result<Option<String>, String> {
    let name = feature.get(1..).unwrap_or_default();
    let has = feature.starts_with('+');
    match name {
        _ if COMMON_FEATURES.contains(&name) && has => Ok(None),
        _ if APX.contains(&name) && !has => Ok(None),
        _ if COMMON_FEATURES.contains(&name) || APX.contains(&name) || name.is_empty() => {
            Err(format!("there is no option for the feature {feature}"))
        }
        _ => Ok(Some(format!("-m{}{name}", if has { "" } else { "no-" }))),
    }
}

#[cfg(test)]
mod tests;
