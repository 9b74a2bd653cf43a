//! What several modules' tests share.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The names in a directory, in no order.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Makes files that may be executed, each with its name in it.
pub(crate) fn make_programs(dir: &Path, names: &[&str]) {
    for name in names {
        let file = dir.join(name);
        fs::write(&file, name).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
