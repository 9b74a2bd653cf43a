//! All that a command leaves to its user, and how two of them differ.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// None if a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// By path below the working directory.
    pub(super) files: BTreeMap<String, Entry>,
    /// Files left in `$TMPDIR`.
    pub(super) left: Vec<String>,
}

/// A file of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    kind: &'static str,
    mode: u32,
    bytes: Vec<u8>,
}

/// Everything below `dir`.
pub(super) fn files(dir: &Path) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    collect(dir, "", &mut found);
    found
}

fn collect(dir: &Path, prefix: &str, found: &mut BTreeMap<String, Entry>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    for entry in entries {
        let path = entry.expect("a directory of ours").path();
        let name = path.file_name().expect("it is in a directory").to_string_lossy();
        let name = format!("{prefix}{name}");
        let meta = path.symlink_metadata().expect("nobody else is here");
        let kind = meta.file_type();
        let (kind, bytes) = if kind.is_dir() {
            collect(&path, &format!("{name}/"), found);
            ("directory", Vec::new())
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).expect("it is a link");
            ("link", target.into_os_string().into_encoded_bytes())
        } else if kind.is_fifo() {
            ("fifo", Vec::new())
        } else {
            ("file", fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        };
        let mode = meta.permissions().mode() & 0o7777;
        found.insert(name, Entry { kind, mode, bytes });
    }
}

impl Snapshot {
    /// In what `other` is not like this one, in a few words; none if all that counts is equal.
    pub(super) fn differences(&self, other: &Self, scratch: &Path) -> Vec<String> {
        let mut found = Vec::new();
        if self.code != other.code {
            found.push(format!("exit code {:?} instead of {:?}", other.code, self.code));
        }
        for (what, ours, theirs) in
            [("stdout", &self.stdout, &other.stdout), ("stderr", &self.stderr, &other.stderr)]
        {
            if ours != theirs {
                found.push(format!("{what}: {}", text_difference(ours, theirs)));
            }
        }
        for (name, entry) in &self.files {
            match other.files.get(name) {
                None => found.push(format!("{name} is missing")),
                Some(another) => {
                    if let Some(what) = entry.difference(another, scratch) {
                        found.push(format!("{name} has another {what}"));
                    }
                }
            }
        }
        let further = other.files.keys().filter(|name| !self.files.contains_key(*name));
        found.extend(further.map(|name| format!("{name} is there too")));
        if !other.left.is_empty() {
            found.push(format!("left in $TMPDIR: {}", other.left.join(" ")));
        }
        found
    }
}

impl Entry {
    fn difference(&self, other: &Self, scratch: &Path) -> Option<&'static str> {
        if self.kind != other.kind {
            Some("kind")
        } else if self.mode != other.mode {
            Some("mode")
        } else if self.bytes == other.bytes {
            None
        } else if has_debug_info(&self.bytes) {
            let same = stripped(&self.bytes, scratch) == stripped(&other.bytes, scratch);
            (!same).then_some("content (after strip --strip-debug)")
        } else {
            Some("content")
        }
    }
}

fn has_debug_info(bytes: &[u8]) -> bool {
    let names: [&[u8]; 2] = [b".debug_info\0", b".debug_line\0"];
    bytes.starts_with(b"\x7fELF")
        && names.iter().any(|name| bytes.windows(name.len()).any(|window| window == *name))
}

fn stripped(bytes: &[u8], scratch: &Path) -> Vec<u8> {
    let path = scratch.join("stripped.o");
    fs::write(&path, bytes).expect("a directory of ours");
    let status = Command::new("strip").arg("--strip-debug").arg(&path).status();
    assert!(status.is_ok_and(|status| status.success()), "strip fails");
    let bytes = fs::read(&path).expect("a directory of ours");
    fs::remove_file(&path).expect("a directory of ours");
    bytes
}

/// The first line in which two texts differ, both ways.
fn text_difference(expected: &[u8], found: &[u8]) -> String {
    let (expected, found) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(found));
    let (mut expected, mut found) = (expected.lines(), found.lines());
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return "another end of line".into(),
            (Some(a), Some(b)) if a == b => {}
            (a, b) => {
                let shown =
                    |line: Option<&str>| line.map_or("nothing".into(), |l| format!("{l:?}"));
                return format!("{} instead of {}", shown(b), shown(a));
            }
        }
    }
}
