//! What outlives a run of the daemon: the node's id and the directory that it is kept in.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::base::node::NodeId;

/// Eight hexadecimal digits and a line end.
const ID_FILE: &str = "node-id";
/// What is known of the machine's compilers.
pub(crate) const CACHE_FILE: &str = "toolchains";

/// Makes the directory, with those above it, if it is not there. It is handed over to `owner`, a
/// user and a group id, if it is new or holds nothing but ours: one that serves others too stays
/// whose it is.
pub(crate) fn make_dir(dir: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    let is_there = dir.is_dir();
    if !is_there {
        DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    }
    match owner {
        Some((uid, gid)) if !is_there || holds_only_ours(dir)? => chown(dir, Some(uid), Some(gid)),
        _ => Ok(()),
    }
}

fn holds_only_ours(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if name != ID_FILE && name != CACHE_FILE {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The id kept in `dir`, else a new one that is kept there from now on.
pub(crate) fn node_id(dir: &Path) -> io::Result<NodeId> {
    let path = dir.join(ID_FILE);
    if let Some(id) = read_id(&path) {
        return Ok(id);
    }
    let id = random_id()?;
    let mut file = NamedTempFile::new_in(dir)?;
    writeln!(file, "{id}")?;
    if path.exists() {
        // It holds no id: what is in it is lost already.
        file.persist(&path).map_err(|error| error.error)?;
        return Ok(id);
    }
    // Another daemon of this machine may start at the same moment; the first one's id holds.
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(id),
        Err(error) => read_id(&path).ok_or(error.error),
    }
}

fn read_id(path: &Path) -> Option<NodeId> {
    fs::read_to_string(path).ok()?.trim_end().parse().ok()
}

/// An id of its own for a daemon that can keep none.
pub(crate) fn random_id() -> io::Result<NodeId> {
    let mut bytes = [0; 4];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(NodeId(u32::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        make_dir(&state, None).unwrap();
        let id = node_id(&state).unwrap();
        assert_eq!(node_id(&state).unwrap(), id);
        assert_eq!(fs::read_to_string(state.join(ID_FILE)).unwrap(), format!("{id}\n"));
    }

    #[test]
    fn a_directory_of_others_too_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        assert!(holds_only_ours(dir.path()).unwrap());
        for (file, ours) in [(ID_FILE, true), (CACHE_FILE, true), ("other", false)] {
            fs::write(dir.path().join(file), "").unwrap();
            assert_eq!(holds_only_ours(dir.path()).unwrap(), ours, "{file}");
        }
    }

    #[test]
    fn a_damaged_id_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(ID_FILE), "7f3a").unwrap();
        let id = node_id(dir.path()).unwrap();
        assert_eq!(node_id(dir.path()).unwrap(), id);
    }
}
