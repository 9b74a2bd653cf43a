//! What the programs say of themselves stands in the README too.

use std::collections::BTreeSet;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// Every word of `--help` that `is_wanted`.
fn words_of_help(program: &str, is_wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let output = Command::new(program).arg("--help").output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    help.split(|c: char| !is_part(c)).filter(|word| is_wanted(word)).map(str::to_owned).collect()
}

#[track_caller]
fn assert_told(words: &BTreeSet<String>, at_least: usize) {
    assert!(words.len() >= at_least, "only {words:?}");
    let untold: Vec<&String> = words.iter().filter(|word| !README.contains(*word)).collect();
    assert!(untold.is_empty(), "not in the README: {untold:?}");
}

#[test]
fn every_option_of_distccd_is_told() {
    let is_option = |word: &str| word.starts_with("--") && word.len() > 3;
    assert_told(&words_of_help(env!("CARGO_BIN_EXE_distccd"), is_option), 20);
}

#[test]
fn every_variable_of_distcc_is_told() {
    let is_variable = |word: &str| word.starts_with("DISTCC_") || word == "UNCACHED_ERR_FD";
    let words = words_of_help(env!("CARGO_BIN_EXE_distcc"), is_variable);
    assert_told(&words, 12);
    // And the other way round, but for those without effect.
    let (_, of_client) = README.split_once("\n## distcc's variables\n").unwrap();
    let rows =
        of_client.lines().filter(|line| line.starts_with("| `") && !line.contains("without eff"));
    for name in rows.filter_map(|row| row.split(" | ").next()).flat_map(|cell| cell.split('`')) {
        assert!(!is_variable(name) || words.contains(name), "not in distcc --help: {name}");
    }
}
