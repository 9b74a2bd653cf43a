//! Variables for the shells to come: a file of `export NAME='VALUE'` lines, which a shell reads.
//! distcc itself never does: what holds is what the environment says.

use std::path::Path;

use super::file;
use super::{Failure, hosts};

/// The value in force, or else in the file.
pub(super) fn get(path: &Path, name: &str, now: Option<String>) -> Result<String, Failure> {
    check_name(name)?;
    let text = file::read(path)?;
    let kept = || text.lines().filter_map(assignment).rfind(|(known, _)| *known == name);
    match now.or_else(|| kept().map(|(_, value)| value)) {
        Some(value) => Ok(format!("{value}\n")),
        None => Err(Failure::Missing(format!("{name} is not set"))),
    }
}

/// All that the file sets, `NAME=VALUE`.
pub(super) fn all(path: &Path) -> Result<String, Failure> {
    let text = file::read(path)?;
    let lines = text.lines().filter_map(assignment);
    Ok(lines.map(|(name, value)| format!("{name}={value}\n")).collect())
}

/// Sets it in the file, whose other lines stay. Tells how it takes effect.
pub(super) fn set(path: &Path, name: &str, value: &str) -> Result<String, Failure> {
    check_name(name)?;
    if value.contains(char::is_control) {
        return Err(Failure::Refused(vec![format!("{name}: expected a value of one line")]));
    }
    if name == "DISTCC_HOSTS" && !value.is_empty() {
        hosts::check(value)?;
    }
    let line = format!("export {name}={}\n", quoted(value));
    let before = file::read(path)?;
    let mut text = String::new();
    let mut is_set = false;
    for old in before.lines() {
        if assignment(old).is_some_and(|(known, _)| known == name) {
            if !is_set {
                text.push_str(&line);
            }
            is_set = true;
        } else {
            text.push_str(old);
            text.push('\n');
        }
    }
    if !is_set {
        text.push_str(&line);
    }
    file::replace(path, &text)?;
    let path = quoted(&path.display().to_string());
    Ok(format!("takes effect in shells that read it: . {path}\n"))
}

/// Only variables of distcc's: this file is no place for others.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if name.starts_with("DISTCC") && name.chars().all(is_part) {
        return Ok(());
    }
    Err(Failure::Refused(vec![format!("{name}: expected a variable that begins with DISTCC")]))
}

/// For a shell.
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// `[export] NAME=VALUE` as we write it, and as people do.
fn assignment(line: &str) -> Option<(&str, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let (name, value) = line.split_once('=')?;
    check_name(name).ok()?;
    Some((name, unquoted(value)))
}

/// What a shell would make of quotes and backslashes; nothing else of its language.
fn unquoted(text: &str) -> String {
    let mut value = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => value.extend(chars.next()),
            (None, ' ' | '\t' | ';' | '#') => break,
            _ => value.push(c),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_set() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's env");
        for value in ["1", "", "a b", "it's", "\"$HOME\" `x` \\", "#1;2"] {
            let hint = set(&path, "DISTCC_LOG", value).unwrap();
            let read = hint.trim_end().split_once(": ").unwrap().1;
            let script = format!("{read}; printf %s \"$DISTCC_LOG\"");
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), value, "{output:?}");
            assert_eq!(get(&path, "DISTCC_LOG", None).unwrap(), format!("{value}\n"));
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[test]
    fn other_lines_stay_and_what_people_wrote_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        fs::write(
            &path,
            "# mine\nDISTCC_DIR=\"/x y\" # there\nPATH=/bin\nexport DISTCC_LOG=a\\ b\n",
        )
        .unwrap();
        assert_eq!(all(&path).unwrap(), "DISTCC_DIR=/x y\nDISTCC_LOG=a b\n");
        set(&path, "DISTCC_LOG", "c").unwrap();
        set(&path, "DISTCC_VERBOSE", "1").unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "# mine\nDISTCC_DIR=\"/x y\" # there\nPATH=/bin\nexport DISTCC_LOG='c'\n\
             export DISTCC_VERBOSE='1'\n"
        );
        assert_eq!(get(&path, "DISTCC_LOG", Some("now".to_owned())).unwrap(), "now\n");
    }

    #[test]
    fn what_cannot_be_set_is_refused_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        for (name, value) in [
            ("PATH", "/x"),
            ("DISTCC X", "1"),
            ("DISTCC_LOG", "a\nb"),
            ("DISTCC_HOSTS", "beech:port"),
        ] {
            assert!(set(&path, name, value).is_err(), "{name}");
        }
        assert!(!path.exists());
        assert!(get(&path, "DISTCC_LOG", None).is_err());
    }
}
