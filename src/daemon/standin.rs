//! To be deleted: stands for fingerprint::inventory until that is merged.
use crate::fingerprint::{Driver, Family, Offered, Toolchain};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offered: Offered,
    pub(crate) path: PathBuf,
}
impl Found {
    pub(crate) fn unchanged(&self) -> bool {
        true
    }
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefaultCompiler {
    pub(crate) version: String,
    pub(crate) machine: String,
}
pub(crate) struct ToolchainCache;
impl ToolchainCache {
    pub(crate) fn open(_: Option<&Path>) -> Self {
        Self
    }
}
pub(crate) fn default_compiler(_: &OsStr) -> Option<DefaultCompiler> {
    Some(DefaultCompiler { version: "12".into(), machine: "x86_64-linux-gnu".into() })
}
pub(crate) fn scan(dirs: &[PathBuf], _: &[PathBuf], _: &mut ToolchainCache) -> Vec<Found> {
    ["gcc", "g++", "x86_64-linux-gnu-gcc", "x86_64-linux-gnu-g++", "clang"]
        .into_iter()
        .filter_map(|n| {
            let path = dirs.iter().map(|d| d.join(n)).find(|p| p.exists())?;
            Some(Found {
                offered: Offered {
                    names: vec![n.into()],
                    driver: Driver::of_name(n),
                    toolchain: Toolchain {
                        family: if n.contains("clang") { Family::Clang } else { Family::Gcc },
                        version: "12.2.0".into(),
                        target: "x86_64-linux-gnu".into(),
                        assembler: None,
                        distributor: String::new(),
                        revision: String::new(),
                        configure: vec![],
                        digest: [1; 16],
                        ident: String::new(),
                    },
                },
                path,
            })
        })
        .collect()
}
