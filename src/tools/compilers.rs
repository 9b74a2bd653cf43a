//! Which compilers there are to make links for.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use crate::command::CompilerName;
use crate::fingerprint::files::find_compiler;

/// The names of all compilers in `dirs`, by which a real one is called and not only distcc or ccache.
/// `others` are compilers beside those that a [`CompilerName`] tells.
pub(super) fn compilers_in(dirs: &[PathBuf], others: &[&str]) -> BTreeSet<String> {
    let entries = dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| CompilerName::parse(name).is_some() || others.contains(&name.as_str()))
        .filter(|name| find_compiler(OsStr::new(name), dirs).is_some())
        .collect()
}
