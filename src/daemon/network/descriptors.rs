//! How many connections and jobs the descriptors of this process are enough for.

use crate::daemon::server::Identity;
use crate::settings::daemon::ServerLimits;

/// For the log, the listeners, discovery, the runtime and the search for compilers.
const OURS: u64 = 32;
/// Of a compile: its outputs' pipes, the file that tells its end, the source or object.
const PER_JOB: u64 = 8;
/// The socket and a source on its way.
const PER_CONNECTION: u64 = 2;

/// Lowers what would need more than `available` descriptors; what the administrator should know
/// of it.
pub(crate) fn fit(
    limits: &mut ServerLimits,
    identity: &mut Identity,
    available: u64,
) -> Option<String> {
    let left = available.saturating_sub(OURS);
    // Jobs come by connections, so that half must be left for these.
    let jobs = u16::try_from(left / 2 / PER_JOB).unwrap_or(u16::MAX).max(1).min(identity.jobs);
    let left = left.saturating_sub(u64::from(jobs) * PER_JOB);
    let connections = usize::try_from(left / PER_CONNECTION).unwrap_or(usize::MAX).max(1);
    if jobs == identity.jobs && connections >= limits.connections {
        return None;
    }
    identity.jobs = jobs;
    limits.connections = limits.connections.min(connections);
    Some(format!(
        "{available} open files are allowed, so {jobs} jobs and {} connections at once (see ulimit \
         -n, or LimitNOFILE of systemd)",
        limits.connections
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::node::NodeId;

    #[test]
    fn few_descriptors_are_shared_out() {
        for (available, wanted, jobs, connections) in [
            (1 << 20, 66, 66, 512),
            (1024, 4, 4, 480),
            (1024, 66, 62, 248),
            (64, 4, 2, 8),
            (20, 4, 1, 1),
        ] {
            let mut limits = ServerLimits::default();
            let mut identity = Identity { id: NodeId(7), cores: 2, jobs: wanted };
            let note = fit(&mut limits, &mut identity, available);
            assert_eq!((identity.jobs, limits.connections), (jobs, connections), "{available}");
            assert_eq!(note.is_none(), available == 1 << 20);
        }
    }
}
