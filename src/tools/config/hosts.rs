//! The host list: what is written is a list, and comments stay.

use std::path::Path;

use crate::settings::env::Environment;
use crate::settings::hosts;
use crate::settings::hosts_file;

use super::Failure;
use super::file;

/// The list in force on one line, without its comments.
pub(super) fn get(environment: &Environment) -> Result<String, Failure> {
    let unreadable =
        |unreadable: hosts_file::Unreadable| Failure::Missing(format!("cannot read {unreadable}"));
    match hosts_file::load(environment).map_err(unreadable)? {
        Some(list) => Ok(format!("{}\n", words(&list.text).join(" "))),
        None => Err(Failure::Missing("there is no host list".to_owned())),
    }
}

/// Makes `list` the list in the file, if all of it can be understood.
pub(super) fn set(path: &Path, list: &str) -> Result<(), Failure> {
    check(list)?;
    let before = file::read(path)?;
    let mut text = String::new();
    for comment in before.lines().filter(|line| line.trim_start().starts_with('#')) {
        text.push_str(comment);
        text.push('\n');
    }
    text.push_str(&words(list).join("\n"));
    text.push('\n');
    file::replace(path, &text)
}

/// Refuses what distcc would complain of at every compile.
pub(super) fn check(list: &str) -> Result<(), Failure> {
    let parsed = hosts::parse(list);
    let mut reasons: Vec<String> = parsed
        .problems
        .iter()
        .map(|problem| format!("{}: expected {}", problem.token, problem.expected))
        .collect();
    if reasons.is_empty() && parsed.entries.is_empty() {
        reasons.push("there is no host in the list".to_owned());
    }
    if reasons.is_empty() { Ok(()) } else { Err(Failure::Refused(reasons)) }
}

/// Without comments.
fn words(text: &str) -> Vec<&str> {
    text.lines()
        .map(|line| line.split_once('#').map_or(line, |(list, _)| list))
        .flat_map(str::split_ascii_whitespace)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_list_replaces_the_hosts_and_keeps_the_comments() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        fs::write(&path, "# ours\nalder/4 # fast\n  # not: birch\n+zeroconf\n").unwrap();
        set(&path, "beech/3,lzo  [fd00::7]:99 # new\n--randomize").unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "# ours\n  # not: birch\nbeech/3,lzo\n[fd00::7]:99\n--randomize\n"
        );
        let environment = Environment::from_lookup(|name| {
            (name == "DISTCC_DIR").then(|| dir.path().as_os_str().to_owned())
        });
        assert_eq!(get(&environment).unwrap(), "beech/3,lzo [fd00::7]:99 --randomize\n");
    }

    #[test]
    fn a_bad_token_is_named_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        let refused = |list| set(&path, list).unwrap_err().to_string();
        assert_eq!(
            refused("alder beech:port +zero"),
            "beech:port: expected a port between 1 and 65535 after ':'\n\
             +zero: expected +zeroconf, or a host, whose name cannot begin with '+'"
        );
        assert_eq!(refused("# none"), "there is no host in the list");
        assert!(!path.exists());
    }
}
