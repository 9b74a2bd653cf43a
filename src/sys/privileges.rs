//! Giving up root.

use std::fmt::{self, Display, Formatter};
use std::fs;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, User, geteuid, getuid, setgroups, setresgid, setresuid};

/// Users tried when none is named: the original's, Debian's name of it, the one for nothing.
const CANDIDATES: [&str; 3] = ["distcc", "distccd", "nobody"];
/// The id that `nobody` has by convention, where no such name is known.
const NOBODY: u32 = 65534;

/// The user that compiles for strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// For messages.
    pub(crate) name: String,
    /// User id, never 0.
    uid: Uid,
    /// Group id.
    gid: Gid,
}

/// Why root could not be given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PrivilegeError {
    /// `--user` names nobody.
    UnknownUser(String),
    /// `--user` is root.
    WouldStayRoot(String),
    /// The system refused.
    Refused {
        /// The user wanted.
        user: String,
        /// The call that failed.
        call: &'static str,
        /// Its error.
        errno: Errno,
    },
}

impl Display for PrivilegeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUser(user) => write!(f, "there is no user '{user}'"),
            Self::WouldStayRoot(user) => {
                write!(f, "user '{user}' is root, and compilers never run as root")
            }
            Self::Refused { user, call, errno } => {
                write!(f, "{call} to user '{user}' failed: {}", errno.desc())
            }
        }
    }
}

impl std::error::Error for PrivilegeError {}

/// Does this process run as root, in any sense?
pub(crate) fn is_root() -> bool {
    getuid().is_root() || geteuid().is_root()
}

impl Account {
    /// The unprivileged user to become: `wanted`, else the first known of the usual ones.
    pub(crate) fn choose(wanted: Option<&str>) -> Result<Self, PrivilegeError> {
        let account = match wanted {
            Some(name) => {
                lookup(name).ok_or_else(|| PrivilegeError::UnknownUser(name.to_owned()))?
            }
            None => CANDIDATES.into_iter().find_map(lookup).unwrap_or_else(|| Self {
                name: NOBODY.to_string(),
                uid: Uid::from_raw(NOBODY),
                gid: Gid::from_raw(NOBODY),
            }),
        };
        if account.uid.is_root() {
            return Err(PrivilegeError::WouldStayRoot(account.name));
        }
        Ok(account)
    }

    /// Does the user exist in this user namespace? In one made by `unshare -r` only root does,
    /// and root there is the plain user who made it.
    pub(crate) fn is_mapped(&self) -> bool {
        fs::read_to_string("/proc/self/uid_map").map_or(true, |map| maps(&map, self.uid.as_raw()))
    }

    /// User and group id, for handing over files.
    pub(crate) fn ids(&self) -> (u32, u32) {
        (self.uid.as_raw(), self.gid.as_raw())
    }

    /// Becomes this user for good, with no other groups, and gains nothing back by running a
    /// set-user-id program.
    pub(crate) fn assume(&self) -> Result<(), PrivilegeError> {
        let refused =
            |call, errno| PrivilegeError::Refused { user: self.name.clone(), call, errno };
        setgroups(&[self.gid]).map_err(|errno| refused("setgroups", errno))?;
        setresgid(self.gid, self.gid, self.gid).map_err(|errno| refused("setresgid", errno))?;
        setresuid(self.uid, self.uid, self.uid).map_err(|errno| refused("setresuid", errno))?;
        if is_root() {
            return Err(PrivilegeError::WouldStayRoot(self.name.clone()));
        }
        prctl::set_no_new_privs().map_err(|errno| refused("no_new_privs", errno))?;
        Ok(())
    }
}

fn lookup(name: &str) -> Option<Account> {
    let user = User::from_name(name).ok().flatten()?;
    Some(Account { name: user.name, uid: user.uid, gid: user.gid })
}

/// Does this `uid_map` (inside, outside, length a line) hold the inside id `uid`?
fn maps(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(inside)), Some(Ok(_)), Some(Ok(length))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        (inside..inside + length).contains(&u64::from(uid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_root_and_unknown_users() {
        assert_eq!(
            Account::choose(Some("root")),
            Err(PrivilegeError::WouldStayRoot("root".to_owned()))
        );
        assert_eq!(
            Account::choose(Some("no-such-user")),
            Err(PrivilegeError::UnknownUser("no-such-user".to_owned()))
        );
        assert!(!Account::choose(None).unwrap().uid.is_root());
    }

    #[test]
    fn reads_the_map_of_a_user_namespace() {
        let everyone = "         0          0 4294967295\n";
        let only_root = "         0       1000          1\n";
        assert!(maps(everyone, NOBODY));
        assert!(!maps(only_root, NOBODY));
        assert!(maps(only_root, 0));
        assert!(maps("0 1000 1\n1 100000 65535\n", NOBODY));
        assert!(!maps("nonsense", 0));
    }
}
