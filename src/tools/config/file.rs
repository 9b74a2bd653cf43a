//! Files that are read by others while they are changed.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Failure;

/// Everybody may read what is new.
const MODE: u32 = 0o644;

/// The file's text; empty if there is none.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| Failure::Io { path: path.to_path_buf(), error }),
    }
}

/// Puts `text` in its place at once, with the mode of what was there. A link stays one.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    try_replace(&target, text).map_err(|error| Failure::Io { path: target, error })
}

fn try_replace(target: &Path, text: &str) -> io::Result<()> {
    let dir = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(dir)?;
    let mode = fs::metadata(target).map_or(MODE, |meta| meta.permissions().mode() & 0o777);
    let mut file = tempfile::Builder::new()
        .prefix(".distcc-config")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    // The mode that a new file is made with is cut by the umask.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_a_link_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        replace(&real, "a").unwrap();
        let mode = || real.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o644);
        fs::set_permissions(&real, Permissions::from_mode(0o600)).unwrap();
        symlink("real", &link).unwrap();
        replace(&link, "b").unwrap();
        assert!(link.is_symlink());
        assert_eq!((read(&real).unwrap(), mode()), ("b".to_owned(), 0o600));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn directories_are_made_and_what_is_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        replace(&dir.path().join("a/b/c"), "x").unwrap();
        let failure = replace(&dir.path().join("a/b/c/d"), "x").unwrap_err().to_string();
        assert!(failure.contains("a/b/c/d: "), "{failure}");
        assert_eq!(read(&dir.path().join("none")).unwrap(), "");
    }
}
