//! Every row of `docs/differences.md` names a test, and the test exists.

use std::fs;
use std::path::{Path, PathBuf};

const TEXT: &str = include_str!("../../docs/differences.md");

/// The Rust files below `dir`.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Is there a test `function` below the `folder` of that name: of tests/, else of src/?
fn exists(folder: &str, function: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = [root.join("tests").join(folder), root.join("src").join(folder)];
    let Some(dir) = dir.into_iter().find(|dir| dir.is_dir()) else { return false };
    let head = format!("fn {function}(");
    sources(&dir).iter().any(|file| {
        fs::read_to_string(file)
            .unwrap()
            .split("#[test]")
            .skip(1)
            .any(|test| test.lines().take(8).any(|line| line.trim_start().starts_with(&head)))
    })
}

#[test]
fn every_row_names_a_test_that_exists() {
    let rows: Vec<&str> = TEXT
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| subject"))
        .collect();
    assert!(!rows.is_empty());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        let named = cells[3].split_once("::");
        let found = named.is_some_and(|(folder, function)| exists(folder, function));
        assert!(found, "no test for: {row}");
    }
}
