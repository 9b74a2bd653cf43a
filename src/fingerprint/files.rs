//! Files of a toolchain: where a name leads, which file it is, what is in it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use sha2::{Digest, Sha256};

use crate::base::stand_in::stand_in;

/// Digests kept in memory: a machine with more compilers reads some files twice.
const MAX_DIGESTS: usize = 512;
/// The kernel's own limit.
const MAX_LINKS: usize = 40;

/// Which file, and which contents of it, as far as the file system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    /// Device number.
    pub(crate) dev: u64,
    /// Inode number.
    pub(crate) ino: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// Last modification, seconds since 1970.
    pub(crate) mtime: i64,
    /// Nanoseconds of that.
    pub(crate) mtime_nsec: i64,
}

impl FileId {
    /// Of the file at `path`, links followed; none if there is no such file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::from)
    }
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime: metadata.mtime(),
            mtime_nsec: metadata.mtime_nsec(),
        }
    }
}

/// A file that a toolchain rests on, and what it was when that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Which it was; none for a file that must not exist, such as specs that would override the
    /// built-in ones.
    pub(crate) id: Option<FileId>,
    /// The name by which PATH led there: another file may come before it.
    pub(crate) found_as: Option<OsString>,
}

impl Stamp {
    /// A file named by its path.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { id: FileId::of(&path), path, found_as: None }
    }

    /// Is it still that file?
    pub(crate) fn holds(&self) -> bool {
        FileId::of(&self.path) == self.id
    }

    /// Does PATH still lead there?
    pub(crate) fn leads_there(&self, search_path: &OsStr) -> bool {
        self.found_as.as_ref().is_none_or(|name| {
            find(name, &directories(search_path)).is_some_and(|found| found == self.path)
        })
    }
}

/// The absolute directories of a PATH. Relative ones depend on where one stands, which is elsewhere
/// for an agent or a server.
pub(crate) fn directories(search_path: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(search_path).filter(|dir| dir.is_absolute()).collect()
}

/// Is this a file that may be executed?
pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
        && access(path, AccessFlags::X_OK).is_ok()
}

/// What PATH means by this name.
pub(crate) fn find(name: &OsStr, dirs: &[PathBuf]) -> Option<PathBuf> {
    dirs.iter().map(|dir| dir.join(name)).find(|path| is_executable(path))
}

/// What PATH means by this name once links to [`masquerade`]s are looked through.
pub(crate) fn find_compiler(name: &OsStr, dirs: &[PathBuf]) -> Option<PathBuf> {
    let mut candidates = dirs.iter().map(|dir| dir.join(name));
    candidates.find(|path| is_executable(path) && masquerade(path).is_none())
}

/// The link to ccache that PATH has before the compiler of this name, links to other
/// [`masquerade`]s looked through.
pub(crate) fn find_ccache(name: &OsStr, dirs: &[PathBuf]) -> Option<PathBuf> {
    let mut candidates = dirs.iter().map(|dir| dir.join(name)).filter(|path| is_executable(path));
    let first = candidates.find(|path| masquerade(path).is_none() || is_ccache(path));
    first.filter(|path| is_ccache(path))
}

/// Does `path` lead to ccache, which runs a compiler of that name itself?
pub(crate) fn is_ccache(path: &Path) -> bool {
    masquerade(path) == Some("ccache")
}

/// The program that only stands in for a compiler, if `path` leads to one.
pub(crate) fn masquerade(path: &Path) -> Option<&'static str> {
    let file = fs::canonicalize(path).ok()?;
    stand_in(file.file_name()?)
}

/// The directories that a path leads through, link by link, to its file.
pub(crate) fn way(path: &Path) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(dir) = at.parent().map(Path::to_owned) else { break };
        let target = fs::read_link(&at);
        if !dirs.contains(&dir) {
            dirs.push(dir.clone());
        }
        let Ok(target) = target else { break };
        at = dir.join(target);
    }
    dirs
}

/// SHA-256 of files, each read once as long as it stays the same file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digests {
    known: HashMap<FileId, [u8; 32]>,
}

impl Digests {
    /// The digest of the file at `path`, and which file that was.
    pub(crate) fn of(&mut self, path: &Path) -> io::Result<(FileId, [u8; 32])> {
        let mut file = File::open(path)?;
        let id = FileId::from(&file.metadata()?);
        if let Some(digest) = self.known.get(&id) {
            return Ok((id, *digest));
        }
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&buffer[..read]);
        }
        // Written to while it was read: the digest is of neither state.
        if FileId::from(&file.metadata()?) != id {
            return Err(io::Error::other("it changed while it was read"));
        }
        let digest = hasher.finalize().into();
        self.learn(id, digest);
        Ok((id, digest))
    }

    /// Takes over what is known from elsewhere.
    pub(crate) fn learn(&mut self, id: FileId, digest: [u8; 32]) {
        if self.known.len() < MAX_DIGESTS {
            self.known.insert(id, digest);
        }
    }

    /// All that is known.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&FileId, &[u8; 32])> {
        self.known.iter()
    }
}

/// One digest of all of them, in order.
pub(crate) fn combined(digests: &[[u8; 32]]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for digest in digests {
        hasher.update(digest);
    }
    let whole: [u8; 32] = hasher.finalize().into();
    let mut short = [0; 16];
    short.copy_from_slice(&whole[..16]);
    short
}
