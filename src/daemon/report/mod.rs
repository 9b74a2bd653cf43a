//! What is told of clients and jobs: log and statistics. Nothing here changes what becomes of a job.

pub(crate) mod log;
pub(crate) mod observe;
pub(crate) mod stats;
pub(crate) mod stats_page;
