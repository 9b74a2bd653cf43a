//! The option table against the compilers' own lists: every option that a compiler of this machine
//! names in its help is classed, and none that travels names a file, runs, writes or prints.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use super::options::{Check, Client, Server, Takes, find};
use super::vet;

/// The lists of gcc, each asked of the C compiler; `--help=c++` is of the same binary.
const GCC_LISTS: [&str; 8] =
    ["common", "optimizers", "warnings", "target", "params", "c", "c++", "undocumented"];

/// Compilers that may be installed.
fn compilers() -> Vec<String> {
    let gcc = (9..20).map(|version| format!("gcc-{version}"));
    let clang = (11..25).map(|version| format!("clang-{version}"));
    let cross = ["aarch64-linux-gnu-gcc", "arm-none-eabi-gcc"].map(str::to_owned);
    gcc.chain(clang).chain(cross).collect()
}

/// What a compiler says to this; empty if there is none of that name.
fn said(compiler: &str, words: &[&str]) -> String {
    let run = Command::new(compiler).args(words).env("LC_ALL", "C").stdin(Stdio::null()).output();
    run.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// One option of a list.
#[derive(Debug)]
struct Listed {
    /// `-fabi-version=`, `-I`.
    spelling: String,
    /// What stands for its value, `<file>`; and what it is for.
    about: String,
}

/// The options of a list, each with the lines about it.
fn listed(help: &str) -> Vec<Listed> {
    let mut options: Vec<Listed> = Vec::new();
    for line in help.lines() {
        let text = line.trim_start();
        if !(line.starts_with("  -") && text.len() > 1) {
            if let (Some(last), true) = (options.last_mut(), line.starts_with("      ")) {
                last.about = format!("{} {text}", last.about);
            }
            continue;
        }
        let end = text.find(|c: char| c.is_whitespace() || "<[".contains(c)).unwrap_or(text.len());
        let (spelling, about) = text.split_at(end);
        options.push(Listed { spelling: spelling.to_owned(), about: about.to_owned() });
    }
    options
}

fn options_of(compiler: &str) -> Vec<Listed> {
    if compiler.contains("clang") {
        return listed(&said(compiler, &["--help-hidden"]));
    }
    GCC_LISTS
        .iter()
        .flat_map(|list| listed(&said(compiler, &["-Q", &format!("--help={list}")])))
        .collect()
}

/// Words in what a list says of an option that may name a file, run, write or print something.
const TELLING: [&str; 10] =
    [" file", "<file", "<dir", "director", "path", "program", "plugin", "dump", "print", "report"];

/// Options that travel although that is said of them. Each was looked at: it is about messages,
/// debug information, the program that is made, or a path that is only written down.
const HARMLESS: [&str; 40] = [
    "-fbasic-block-sections=",
    "-fbinutils-version=",
    "-fconstexpr-backtrace-limit=",
    "-fdebug-compilation-dir=",
    "-fdebug-prefix-map=",
    "-fdiagnostics-absolute-paths",
    "-fdiagnostics-parseable-fixits",
    "-fdiagnostics-print-source-range-info",
    "-fdiagnostics-show-option",
    "-fdiagnostics-show-template-tree",
    "-ffile-compilation-dir=",
    "-ffile-prefix-map=",
    "-ffile-reproducible",
    "-fforce-check-cxx20-modules-input-files",
    "-fhip-fp32-correctly-rounded-divide-sqrt",
    "-fmacro-backtrace-limit=",
    "-fmacro-prefix-map=",
    "-fms-compatibility-version=",
    "-fmsc-version=",
    "-fopenmp-enable-irbuilder",
    "-fopenmp-implicit-rpath",
    "-frandom-seed",
    "-frtlib-add-rpath",
    "-fsanitize-address-use-odr-indicator",
    "-fsanitize-undefined-strip-path-components=",
    "-fsplit-dwarf-inlining",
    "-fstandalone-debug",
    "-ftemplate-backtrace-limit=",
    "-ftime-report=",
    "-funique-internal-linkage-names",
    "-fuse-cuid=",
    "-fvalidate-ast-input-files-content",
    "-fwhole-program-vtables",
    "-maix-shared-lib-tls-model-opt",
    "-mdaz-ftz",
    "-mignore-xcoff-visibility",
    "-mincremental-linker-compatible",
    "-mmark-bti-property",
    "-mprintf-kind=",
    "-v",
];

fn is_telling(option: &Listed) -> bool {
    let about = option.about.to_lowercase();
    let negates = ["-fno-", "-mno-", "-gno-"].iter().any(|no| option.spelling.starts_with(no));
    !negates && TELLING.iter().any(|word| about.contains(word))
}

fn is_admitted(word: &str) -> bool {
    let words = ["gcc", word, "-c", "a.c", "-o", "a.o"];
    vet(&words.map(|word| word.as_bytes().to_vec())).is_ok()
}

#[test]
fn every_option_that_a_compiler_lists_is_classed() {
    let mut unknown = BTreeSet::new();
    let mut doubtful = BTreeMap::new();
    for compiler in compilers() {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for option in options_of(&compiler) {
            let spelling = option.spelling.as_str();
            let Some((row, _)) = find(spelling.as_bytes()) else {
                unknown.insert(spelling.to_owned());
                continue;
            };
            *counts.entry(format!("{:?}", row.client)).or_default() += 1;
            if row.client != Client::Travels && row.server != Server::Kept {
                continue;
            }
            // Of an option whose value is the next word, the table must know that it is one.
            let separate = option.about.starts_with(" <") && !matches!(row.takes, Takes::Either);
            let separate = separate && !matches!(row.takes, Takes::Separate(_));
            // Of some, the help gives the value of a form with `=` so.
            let names_path = row.value != Check::Text
                && ["dir/file", "=dir/file", "=../x", "=/x"]
                    .iter()
                    .any(|value| is_admitted(&format!("{spelling}{value}")));
            if separate || names_path || is_telling(&option) {
                doubtful.insert(spelling.to_owned(), option.about);
            }
        }
        if !counts.is_empty() {
            println!("{compiler}: {counts:?}");
        }
    }
    doubtful.retain(|spelling, _| !HARMLESS.contains(&spelling.as_str()));
    assert_eq!(unknown, BTreeSet::new(), "neither known to be safe elsewhere nor to be kept here");
    assert_eq!(doubtful, BTreeMap::new(), "these travel, and may name files, write or print");
}
