//! Messages that many short-lived clients would repeat: a file remembers when one was last given.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

/// True if `period` has passed since the last time, or there has been none. Of clients that ask at
/// the same time one is told so; where `stamp` cannot be written, all are.
pub(super) fn is_due(stamp: &Path, period: Duration) -> bool {
    let age = fs::metadata(stamp).and_then(|meta| meta.modified()).map(|time| time.elapsed());
    if matches!(age, Ok(Ok(age)) if age < period) {
        return false;
    }
    // What fails here makes the next step fail.
    let _ = stamp.parent().map(fs::create_dir);
    let _ = fs::remove_file(stamp);
    let made = OpenOptions::new().write(true).create_new(true).open(stamp);
    !matches!(made, Err(error) if error.kind() == io::ErrorKind::AlreadyExists)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn is_due_once_in_a_period() {
        let dir = tempfile::tempdir().unwrap();
        let stamp = dir.path().join("new/stamp");
        assert!(is_due(&stamp, HOUR));
        assert!(!is_due(&stamp, HOUR));
        let file = File::options().write(true).open(&stamp).unwrap();
        file.set_modified(SystemTime::now() - 2 * HOUR).unwrap();
        assert!(is_due(&stamp, HOUR));
        assert!(!is_due(&stamp, HOUR));
    }

    #[test]
    fn is_always_due_where_nothing_can_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(is_due(&file.join("stamp"), HOUR) && is_due(&file.join("stamp"), HOUR));
    }
}
