//! Trouble of this machine, which must not be taken for a compiler's word about a source: a full
//! disk, no memory, no processes. The job is then done elsewhere.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::statvfs::statvfs;

use super::compiler::{End, Outcome};

/// What a compiler that fails for want of something says, whatever else. A source may have one say
/// so, too, and is then compiled elsewhere.
const WORDS: [&str; 9] = [
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Input/output error",
    "Cannot allocate memory",
    "Resource temporarily unavailable",
    "Too many open files",
    // gcc's own.
    "out of memory",
    "virtual memory exhausted",
];
/// What a compiler says that wrote too long a file: gcc's driver of the one that was ended for it,
/// and what others say that go on.
const OUTGROWN_WORDS: [&str; 2] = ["File size limit exceeded", "File too large"];
/// What a compiler cannot be started for.
const WANTS: [Errno; 7] = [
    Errno::ENOSPC,
    Errno::EDQUOT,
    Errno::EIO,
    Errno::ENOMEM,
    Errno::EAGAIN,
    Errno::EMFILE,
    Errno::ENFILE,
];
/// A disk with less room than this is full: it may be what a compiler fails for in whose language
/// no word is known.
const FULL: u64 = 64 << 10;
/// How often a job's directory is looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// More files than any compiler makes.
const MAX_FILES: usize = 1000;

/// Is this for want of something that is there again later?
pub(super) fn is_want(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    errno.is_some_and(|errno| WANTS.contains(&errno))
}

/// Did a compiler fail since a file became longer than it may?
pub(super) fn wrote_too_much(outcome: &Outcome) -> bool {
    let End::Exited(status) = outcome.end else { return false };
    // A driver may end like the compiler below it, as shells do.
    let is_ended =
        status.signal() == Some(libc::SIGXFSZ) || status.code() == Some(128 + libc::SIGXFSZ);
    is_ended || !status.success() && OUTGROWN_WORDS.iter().any(|word| says(outcome, word))
}

fn says(outcome: &Outcome, word: &str) -> bool {
    outcome.stderr.windows(word.len()).any(|part| part == word.as_bytes())
}

/// What went wrong here, if a compiler that worked in `dir` failed for it.
pub(super) fn found(outcome: &Outcome, dir: &Path) -> Option<String> {
    let End::Exited(status) = outcome.end else { return None };
    if status.success() {
        return None;
    }
    if let Some(signal) = status.signal()
        && [libc::SIGKILL, libc::SIGXCPU, libc::SIGBUS].contains(&signal)
    {
        return Some(format!("the compiler was ended by signal {signal}"));
    }
    if let Some(word) = WORDS.iter().find(|word| says(outcome, word)) {
        return Some(format!("the compiler failed: {word}"));
    }
    let is_full =
        statvfs(dir).is_ok_and(|disk| disk.blocks_available() * disk.fragment_size() < FULL);
    is_full.then(|| format!("the compiler failed, and the disk of {} is full", dir.display()))
}

/// Completes when the files in `dir` take more than `limit` bytes of the disk.
pub(super) async fn outgrown(dir: &Path, limit: u64) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let mut n_files = 0;
        if size_of(dir, &mut n_files) > limit || n_files > MAX_FILES {
            return;
        }
    }
}

fn size_of(dir: &Path, n_files: &mut usize) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let mut size = 0;
    for entry in entries.flatten() {
        *n_files += 1;
        if *n_files > MAX_FILES {
            break;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        // A unit of 512 bytes whatever the disk's.
        size += metadata.blocks() * 512;
        if metadata.is_dir() {
            size += size_of(&entry.path(), n_files);
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    fn failed(status: i32, stderr: &str) -> Outcome {
        Outcome {
            end: End::Exited(ExitStatus::from_raw(status)),
            stdout: Vec::new(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn a_full_disk_is_told_from_a_wrong_source() {
        let dir = tempfile::tempdir().unwrap();
        for (status, said, is_ours) in [
            (0x100, "x.c:1: error: expected ';'", false),
            (0x100, "as: x.o: No space left on device\n", true),
            (0x100, "cc1: out of memory allocating 65536 bytes", true),
            (
                0x100,
                "gcc: fatal error: cannot execute 'cc1': vfork: Resource temporarily unavailable",
                true,
            ),
            (9, "", true),
            (11, "", false),
            (0, "x.c:1: warning: No space left on device", false),
        ] {
            assert_eq!(found(&failed(status, said), dir.path()).is_some(), is_ours, "{said}");
        }
    }

    #[test]
    fn a_file_that_is_too_long_is_the_job_s_own_fault() {
        for (status, said, too_much) in [
            (25, "", true),
            (153 << 8, "clang: error: clang frontend command failed with exit code 153", true),
            (4 << 8, "gcc: internal compiler error: File size limit exceeded signal", true),
            (0x100, "as: x.o: can't write 2 bytes: 'File too large'", true),
            (0, "warning: File too large", false),
            (0x100, "x.c:1: error: expected ';'", false),
        ] {
            assert_eq!(wrote_too_much(&failed(status, said)), too_much, "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_directory_that_grows_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("deep")).unwrap();
        fs::write(dir.path().join("deep/x"), vec![1; 300_000]).unwrap();
        let waited = tokio::time::timeout(10 * PERIOD, outgrown(dir.path(), 1 << 20)).await;
        assert!(waited.is_err());
        outgrown(dir.path(), 200_000).await;
        for number in 0..=MAX_FILES {
            fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        outgrown(dir.path(), 1 << 30).await;
    }
}
