//! The result reaches its place: the object as a file, complete or not at all, and what the
//! compiler there said on standard error and output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use crate::sys::signals;

/// Writes `object` to `target`, under another name first, which is then renamed: nobody sees half
/// an object. Its mode is 0666 less the umask, as a compiler's would be. What is not a regular
/// file (`/dev/null`) is written in place, and so is a file in a directory that takes no new ones.
pub(super) fn write_object(target: &Path, object: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(target).is_ok_and(|target| !(target.is_file() || target.is_symlink())) {
        return write_in_place(target, object);
    }
    let temporary = temporary_beside(target);
    let _removed = signals::remove_if_interrupted(&temporary);
    let file = match OpenOptions::new().write(true).create_new(true).open(&temporary) {
        Ok(file) => file,
        Err(_) if fs::metadata(target).is_ok() => return write_in_place(target, object),
        Err(error) => return Err(error),
    };
    let renamed = fill(file, object).and_then(|()| fs::rename(&temporary, target));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    renamed
}

fn write_in_place(target: &Path, object: &[u8]) -> io::Result<()> {
    fill(OpenOptions::new().write(true).truncate(true).open(target)?, object)
}

fn fill(mut file: File, object: &[u8]) -> io::Result<()> {
    file.write_all(object)
}

/// A name in the same directory that no other process uses: only one client has this process id.
fn temporary_beside(target: &Path) -> PathBuf {
    target.with_file_name(format!(".distcc-{}.tmp", process::id()))
}

/// `text` without what could drive a terminal: of the control characters only line feed, tab and
/// the sequences by which compilers colour their messages are left.
pub(super) fn harmless(text: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        append_harmless(&mut clean, chunk.valid());
        // Bytes of another encoding; 0x80 to 0x9f are control characters in many.
        clean.extend(chunk.invalid().iter().filter(|byte| **byte >= 0xa0));
    }
    clean
}

fn append_harmless(clean: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if next == '\x1b' {
            let len = escape_len(rest);
            if is_colour(&rest[..len]) {
                clean.extend_from_slice(&rest.as_bytes()[..len]);
            }
            rest = &rest[len..];
            continue;
        }
        let (character, after) = rest.split_at(next.len_utf8());
        if !next.is_control() || matches!(next, '\n' | '\t') {
            clean.extend_from_slice(character.as_bytes());
        }
        rest = after;
    }
}

/// Length of the escape sequence at the start of `text`: CSI up to its final byte, OSC (a link)
/// up to its terminator, else the escape alone.
fn escape_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        Some(b'[') => {
            let parameters = bytes[2..].iter().take_while(|byte| (0x20..0x40).contains(*byte));
            let end = 2 + parameters.count();
            match bytes.get(end) {
                Some(0x40..=0x7e) => end + 1,
                _ => end,
            }
        }
        Some(b']') => {
            let bel = text.find('\x07').map(|at| at + 1);
            let string_terminator = text.find("\x1b\\").map(|at| at + 2);
            match (bel, string_terminator) {
                (Some(bel), Some(st)) => bel.min(st),
                (one, other) => one.or(other).unwrap_or(1),
            }
        }
        _ => 1,
    }
}

/// `ESC [ digits ; ... m`, and the `ESC [ K` that gcc writes after each of them.
fn is_colour(sequence: &str) -> bool {
    let Some(body) = sequence.strip_prefix("\x1b[") else { return false };
    body == "K"
        || body.strip_suffix('m').is_some_and(|parameters| {
            parameters.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'))
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn replaces_the_file_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.o");
        fs::write(&target, "old and longer").unwrap();
        let before = fs::metadata(&target).unwrap().ino();
        write_object(&target, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_ne!(fs::metadata(&target).unwrap().ino(), before);
        assert_eq!(names(dir.path()), ["x.o"]);
    }

    #[test]
    fn a_file_of_ours_is_as_accessible_as_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("x.o"), dir.path().join("plain"));
        write_object(&ours, b"").unwrap();
        fs::write(&theirs, b"").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&theirs));
    }

    #[test]
    fn a_device_stays_one_and_a_link_to_it_is_replaced() {
        write_object(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("x.o");
        symlink("/dev/null", &link).unwrap();
        write_object(&link, b"here").unwrap();
        assert_eq!(fs::read(&link).unwrap(), b"here");
    }

    #[test]
    fn says_that_there_is_no_such_directory() {
        let error = write_object(Path::new("/nonexistent/x.o"), b"").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn leaves_only_colours_of_what_drives_a_terminal() {
        for (said, shown) in [
            ("a.c:1:\tbad\n", "a.c:1:\tbad\n"),
            ("\x1b[01;31m\x1b[Kerror:\x1b[m\x1b[K x", "\x1b[01;31m\x1b[Kerror:\x1b[m\x1b[K x"),
            ("\x1b[2J\x1b[1;1Hgone\r\x07\x08", "gone"),
            ("\x1b]0;title\x07x\x1b]8;;http://h\x1b\\y", "xy"),
            ("\x1b]no end", "]no end"),
            ("‘x’ \u{9b}2J", "‘x’ 2J"),
            ("\x1b[", ""),
            ("\x1b", ""),
        ] {
            assert_eq!(String::from_utf8(harmless(said.as_bytes())).unwrap(), shown, "{said:?}");
        }
        assert_eq!(harmless(b"caf\xe9 \x9b2J\x80"), b"caf\xe9 2J");
    }
}
