//! The two commands that a compile elsewhere takes: the preprocessor's here and the compiler's
//! there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::scan::{Compile, Kind};
use super::sources::name_that_maps_to;

/// The preprocessor's command, which writes to standard output and, where dependencies are
/// wanted, the dependency file that the compiler would have written.
pub(crate) fn preprocess_argv(compile: &Compile) -> Vec<OsString> {
    compile.preprocess.clone()
}

/// The command to send: options that matter to preprocessed source, every one a single word, and
/// the source under a name that any server takes for the right language.
pub(crate) fn server_argv(compile: &Compile, compiler_name: &[u8]) -> Vec<Vec<u8>> {
    let suffix = compile.language.preprocessed_suffix();
    let mode: &[u8] = match compile.kind {
        Kind::Object => b"-c",
        Kind::Assembly => b"-S",
    };
    let mut argv = Vec::with_capacity(compile.travels.len() + 5);
    argv.push(compiler_name.to_vec());
    argv.extend(compile.travels.iter().cloned());
    argv.push(mode.to_vec());
    argv.push(b"-o".to_vec());
    argv.push(compile.output.path.as_os_str().as_bytes().to_vec());
    argv.push(name_that_maps_to(suffix, compile.source.as_os_str().as_bytes()));
    argv
}
