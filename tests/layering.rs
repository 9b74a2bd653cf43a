//! The rules of the module tree that a compiler does not check: imports go downwards, `unsafe`
//! stands in `src/sys` alone, and one file names the codec crate.

use std::fs;
use std::path::{Path, PathBuf};

/// The rank of each folder below `src`, as the table in `src/lib.rs` has them.
const RANKS: [(&str, u8); 13] = [
    ("base", 0),
    ("sys", 0),
    ("wire", 1),
    ("settings", 1),
    ("command", 1),
    ("fingerprint", 2),
    ("policy", 3),
    ("discovery", 4),
    ("monitor", 4),
    ("client", 5),
    ("agent", 5),
    ("daemon", 5),
    ("tools", 5),
];

fn rank(module: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

/// Every Rust file below `src`: its path from there, and its text without comments.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of src can be listed") {
            let path = entry.expect("a folder of src can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let below = path.strip_prefix(&root).expect("found below it").to_owned();
                sources.push((below, without_comments(&text)));
            }
        }
    }
    sources
}

/// Line comments are all that this tree uses. A `//` within a string literal cuts that line short,
/// which hides no path.
fn without_comments(text: &str) -> String {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    code.collect::<Vec<_>>().join("\n")
}

/// True for what may stand in a Rust name.
fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The word `name` stands in the code by itself.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        !code[..at].ends_with(in_name) && !code[at + name.len()..].starts_with(in_name)
    })
}

/// The first segments after `crate::`, also those of `crate::{a::.., b}`.
fn imported(code: &str) -> Vec<String> {
    let word = |text: &str| text.trim_start().chars().take_while(|c| in_name(*c)).collect();
    let mut found = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = code[at + prefix.len()..].trim_start();
        let Some(group) = rest.strip_prefix('{') else {
            found.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    found.push(word(&group[start..at]));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => (),
            }
        }
    }
    found
}

/// The folder of `src` that a file belongs to; none for `src/lib.rs`.
fn module(file: &Path) -> Option<&str> {
    let mut parts = file.components();
    let first = parts.next()?.as_os_str().to_str()?;
    parts.next().map(|_| first)
}

#[test]
fn imports_go_downwards_only() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let Some(from) = module(&file).filter(|module| *module != "bin") else { continue };
        let Some(own) = rank(from) else {
            wrong.push(format!("{}: a folder without a rank", file.display()));
            continue;
        };
        for to in imported(&code) {
            if to != from && rank(&to).is_some_and(|other| other >= own) {
                wrong.push(format!("{}: {from} may not import {to}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_stands_in_sys_alone() {
    let elsewhere: Vec<_> = sources()
        .into_iter()
        .filter(|(file, code)| module(file) != Some("sys") && names(code, "unsafe"))
        .map(|(file, _)| file)
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn one_file_names_the_codec_crate() {
    let naming: Vec<_> = sources()
        .into_iter()
        .filter(|(_, code)| names(code, "bincode"))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(naming, [Path::new("wire/codec.rs")]);
}

#[test]
fn ranks_are_those_of_the_table_in_lib_rs() {
    let lib = include_str!("../src/lib.rs");
    for (name, rank) in RANKS {
        let mut rows = lib.lines().filter(|line| line.starts_with(&format!("//! | {rank} |")));
        assert!(
            rows.any(|row| row.contains(&format!("`{name}`"))),
            "{name} has not rank {rank} there"
        );
    }
}

#[test]
fn the_scan_sees_every_form_of_import() {
    let code =
        "use crate::wire::{a, b};\nuse crate::{base::X, sys::{y, z}, policy};\ncrate::agent::f()";
    assert_eq!(imported(code), ["wire", "base", "sys", "policy", "agent"]);
    assert!(names("x = unsafe { 1 }", "unsafe") && !names("deny(unsafe_code)", "unsafe"));
    assert_eq!(without_comments("a // unsafe\n/// bincode\nb"), "a \n\nb");
}
