//! The policy in force, read again when its file has changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::books::InForce;
use crate::policy::file::{self, FileStamp};

/// Policies remembered; each client may name one of its own.
const MAX_POLICIES: usize = 64;

/// Policies by the path that a client's environment names, or none.
pub(super) struct Policies {
    distcc_dir: PathBuf,
    read: HashMap<Option<String>, (Vec<Option<FileStamp>>, InForce)>,
}

impl Policies {
    /// Policies are looked for in `distcc_dir` after the client's own choice.
    pub(super) fn new(distcc_dir: PathBuf) -> Self {
        Self { distcc_dir, read: HashMap::new() }
    }

    /// The policy for a client with this `$DISTCC_POLICY`.
    pub(super) fn in_force(&mut self, explicit: Option<&str>) -> InForce {
        let located = file::locate(explicit.map(Path::new), &self.distcc_dir);
        let stamps = located.stamps();
        let key = explicit.map(str::to_owned);
        if let Some((read, in_force)) = self.read.get(&key)
            && *read == stamps
        {
            return in_force.clone();
        }
        let in_force = match located.load() {
            Ok(loaded) => InForce {
                policy: Ok(Rc::new(loaded.policy)),
                origin: loaded
                    .path
                    .map_or_else(|| "built in".to_owned(), |path| path.display().to_string()),
            },
            Err(problems) => InForce {
                origin: problems.first().map_or_else(String::new, |first| first.origin.clone()),
                policy: Err(problems.iter().map(ToString::to_string).collect()),
            },
        };
        if self.read.len() >= MAX_POLICIES {
            self.read.clear();
        }
        self.read.insert(key, (stamps, in_force.clone()));
        in_force
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_no_more_policies_than_it_may() {
        let dir = tempfile::tempdir().unwrap();
        let mut policies = Policies::new(dir.path().to_owned());
        for n in 0..=MAX_POLICIES {
            policies.in_force(Some(&format!("{}/{n}", dir.path().display())));
        }
        assert_eq!(policies.read.len(), 1);
    }
}
