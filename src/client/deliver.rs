//! The result reaches its place: the object as a file, complete or not at all, and what the
//! compiler there said on standard error and output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use nix::unistd::close;

use crate::command::{Compile, Kind};
use crate::sys::signals;

/// Who would write the output here, and so decide what becomes of what stands in its place (seen
/// with gcc 12, binutils 2.40 and clang 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// gcc's assembler: makes a new file, but where a link leads nowhere or the file is empty (its
    /// drivers make temporary files beforehand).
    Assembler,
    /// gcc with `-S`: writes what it finds, through links, and keeps its mode.
    Gcc,
    /// clang: makes a new file.
    Clang,
}

impl Writer {
    /// Who writes what `compile` makes.
    pub(super) fn of(compile: &Compile) -> Self {
        match compile.kind {
            _ if compile.clang => Self::Clang,
            Kind::Object => Self::Assembler,
            Kind::Assembly => Self::Gcc,
        }
    }

    /// Does it leave the directory entry alone? A device or a pipe, also behind a link, stays what
    /// it is with all of them.
    fn writes_in_place(self, target: &Path) -> bool {
        let Ok(entry) = fs::symlink_metadata(target) else { return false };
        match fs::metadata(target) {
            Ok(file) if !file.is_file() => true,
            Ok(file) => self == Self::Gcc || (self == Self::Assembler && file.len() == 0),
            Err(_) => entry.is_symlink() && self != Self::Clang,
        }
    }
}

/// Writes `object` to `target`, as `writer` would have it: mostly under another name first, which
/// is then renamed, so that nobody sees half an object. Its mode is 0666 less the umask. A file in
/// a directory that takes no new ones is written in place.
pub(super) fn write_object(target: &Path, object: &[u8], writer: Writer) -> io::Result<()> {
    if writer.writes_in_place(target) {
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
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(target)?;
    let is_file = file.metadata()?.is_file();
    let _removed = is_file.then(|| signals::remove_if_interrupted(target));
    fill(file, object)
}

/// Some file systems say only when a file is closed that it was not written.
fn fill(mut file: File, object: &[u8]) -> io::Result<()> {
    file.write_all(object)?;
    Ok(close(file)?)
}

/// A name in the same directory that no other process of this machine uses: only one client has this
/// process id. Another machine's, in a directory that both share, is met as a file that exists.
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
    use crate::base::testing::names_in;

    #[test]
    fn replaces_the_file_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.o");
        fs::write(&target, "old and longer").unwrap();
        let before = fs::metadata(&target).unwrap().ino();
        write_object(&target, b"new", Writer::Assembler).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_ne!(fs::metadata(&target).unwrap().ino(), before);
        assert_eq!(names_in(dir.path()), ["x.o"]);
    }

    #[test]
    fn a_file_of_ours_is_as_accessible_as_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("x.o"), dir.path().join("plain"));
        write_object(&ours, b"", Writer::Assembler).unwrap();
        fs::write(&theirs, b"").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&theirs));
    }

    /// What was written: `new` where it stands, `through` the link, or both by a hard link.
    fn seen(dir: &Path, name: &str) -> String {
        let link = fs::symlink_metadata(dir.join(name)).unwrap();
        let read = |name| fs::read_to_string(dir.join(name)).unwrap_or_default();
        let kind = if link.is_symlink() { "link" } else { "file" };
        format!("{kind} {} beside {}", read(name), read("other"))
    }

    #[test]
    fn what_stands_there_fares_as_with_the_compiler() {
        use Writer::{Assembler, Clang, Gcc};
        for (writer, hard, soft, dangling) in [
            (Assembler, "file new beside old", "file new beside old", "link new beside new"),
            (Clang, "file new beside old", "file new beside old", "file new beside "),
            (Gcc, "file new beside new", "link new beside new", "link new beside new"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (other, target) = (dir.path().join("other"), dir.path().join("x.o"));
            let written = || {
                write_object(&target, b"new", writer).unwrap();
                let seen = seen(dir.path(), "x.o");
                fs::remove_file(&target).unwrap();
                seen
            };
            fs::write(&other, "old").unwrap();
            fs::hard_link(&other, &target).unwrap();
            assert_eq!(written(), hard, "{writer:?}");
            fs::write(&other, "old").unwrap();
            symlink("other", &target).unwrap();
            assert_eq!(written(), soft, "{writer:?}");
            fs::remove_file(&other).unwrap();
            symlink("other", &target).unwrap();
            assert_eq!(written(), dangling, "{writer:?}");
            fs::write(&other, "").unwrap();
            symlink("other", &target).unwrap();
            assert_eq!(written(), dangling, "{writer:?}");
        }
    }

    #[test]
    fn a_device_stays_one_also_behind_a_link() {
        for writer in [Writer::Assembler, Writer::Gcc, Writer::Clang] {
            write_object(Path::new("/dev/null"), b"gone", writer).unwrap();
            assert!(!fs::metadata("/dev/null").unwrap().is_file());
            let dir = tempfile::tempdir().unwrap();
            let link = dir.path().join("x.o");
            symlink("/dev/null", &link).unwrap();
            write_object(&link, b"gone", writer).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(names_in(dir.path()), ["x.o"]);
            let error = write_object(Path::new("/dev/full"), b"more", writer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }

    #[test]
    fn says_that_there_is_no_such_directory() {
        let error =
            write_object(Path::new("/nonexistent/x.o"), b"", Writer::Assembler).unwrap_err();
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
