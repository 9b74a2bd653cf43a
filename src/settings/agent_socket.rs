//! Where the agent of a user listens. Client and agent compute the same path.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path that a Unix socket can have (`sun_path` of 108 bytes, less the NUL).
const MAX_SOCKET_PATH: usize = 107;

/// The socket of the agent that serves `distcc_dir` for the user `uid`:
/// `$DISTCC_DIR/agent-<uid>/sock`, or a directory of a hashed name under `runtime_dir`
/// (`$XDG_RUNTIME_DIR`) or `/tmp` where that would be too long for a socket.
///
/// The directory must be made with mode 0700, and a client asks the kernel who is listening:
/// in `/tmp` anyone may have been there first.
pub(crate) fn path(distcc_dir: &Path, uid: u32, runtime_dir: Option<&OsStr>) -> PathBuf {
    let natural = distcc_dir.join(format!("agent-{uid}")).join("sock");
    if natural.as_os_str().len() <= MAX_SOCKET_PATH {
        return natural;
    }
    let name = format!("distcc-agent-{uid}-{:016x}", hash(natural.as_os_str().as_bytes()));
    let short = |parent: &Path| parent.join(&name).join("sock");
    match runtime_dir.filter(|dir| !dir.is_empty()) {
        Some(dir) if short(Path::new(dir)).as_os_str().len() <= MAX_SOCKET_PATH => {
            short(Path::new(dir))
        }
        _ => short(Path::new("/tmp")),
    }
}

/// The lock file beside `socket` that makes an agent the only one.
pub(crate) fn lock_path(socket: &Path) -> PathBuf {
    socket.with_file_name("lock")
}

/// FNV-1a, 64 bits: the same in every build, which the standard library's hasher does not promise.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_below_the_distcc_dir() {
        assert_eq!(
            path(Path::new("/home/u/.distcc"), 1000, None),
            Path::new("/home/u/.distcc/agent-1000/sock")
        );
    }

    #[test]
    fn is_hashed_where_a_socket_path_would_be_too_long() {
        let deep = PathBuf::from(format!("/{}", "d".repeat(120)));
        let in_runtime_dir = path(&deep, 7, Some(OsStr::new("/run/user/7")));
        assert!(in_runtime_dir.starts_with("/run/user/7"));
        assert!(in_runtime_dir.as_os_str().len() <= MAX_SOCKET_PATH);
        let in_tmp = path(&deep, 7, None);
        assert!(in_tmp.starts_with("/tmp"));
        assert_eq!(
            in_tmp.parent().and_then(Path::file_name),
            in_runtime_dir.parent().and_then(Path::file_name)
        );
        assert_ne!(path(&deep.join("e"), 7, None), in_tmp);
    }

    #[test]
    fn an_overlong_runtime_dir_is_not_used() {
        let deep = PathBuf::from(format!("/{}", "d".repeat(120)));
        assert!(path(&deep, 7, Some(deep.as_os_str())).starts_with("/tmp"));
    }

    #[test]
    fn hashes_as_fnv_1a_does() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
