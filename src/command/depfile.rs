//! Dependency files: naming the file and the target as the compiler itself would have, had it
//! compiled and not only preprocessed.
//!
//! gcc's driver derives both from `-o` (its specs: `%{MD:-MD %{!o:%b.d}%{o*:%.d%*}}` and
//! `%{MD|MMD:%{o*:-MQ %*}}`), clang does alike; a preprocessor run has no `-o`, so that both have
//! to be said.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::options::{Dependency, Known};
use super::scan::Output;
use super::sources::{base_name, with_suffix};

/// What a command says about dependency files.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    /// `-MD` or `-MMD`.
    by_driver: bool,
    /// The file of `-Wp,-MD,FILE`.
    by_preprocessor: Option<&'a [u8]>,
    /// `-MF`.
    file: Option<&'a [u8]>,
    /// `-MT` or `-MQ` is given.
    has_target: bool,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(options: &[(Dependency, Known<'a>)]) -> Self {
        let mut wanted = Self::default();
        for (of, known) in options {
            match of {
                Dependency::Written => wanted.by_driver = true,
                Dependency::WrittenByPreprocessor => wanted.by_preprocessor = known.value,
                Dependency::File => wanted.file = known.value,
                Dependency::Target => wanted.has_target = true,
                Dependency::Form => {}
            }
        }
        wanted
    }

    /// The file that will be written.
    pub(super) fn file(&self, source: &OsStr, output: &Output) -> Option<PathBuf> {
        if !self.by_driver && self.by_preprocessor.is_none() {
            return None;
        }
        let file = match (self.file, self.by_preprocessor) {
            (Some(file), _) | (None, Some(file)) => file.to_vec(),
            (None, None) => derived_file(source, output),
        };
        Some(PathBuf::from(OsString::from_vec(file)))
    }

    /// What to add to the preprocessor's command.
    pub(super) fn explicit_options(
        &self,
        clang: bool,
        source: &OsStr,
        output: &Output,
    ) -> Vec<OsString> {
        let mut options = Vec::new();
        if self.by_driver && self.file.is_none() {
            options.push("-MF".into());
            options.push(OsString::from_vec(derived_file(source, output)));
        }
        // gcc's driver does not see a dependency file that is asked for behind its back.
        let names_target = self.by_driver || (clang && self.by_preprocessor.is_some());
        if names_target && !self.has_target && output.given {
            options.extend(["-MQ".into(), output.path.clone().into_os_string()]);
        }
        options
    }
}

fn derived_file(source: &OsStr, output: &Output) -> Vec<u8> {
    if output.given {
        return with_suffix(output.path.as_os_str(), ".d");
    }
    with_suffix(OsStr::from_bytes(base_name(source.as_bytes())), ".d")
}
