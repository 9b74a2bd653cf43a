//! Programs that stand in for a compiler and look for the real one themselves.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A link to one of them is looked through.
const STAND_INS: [&str; 4] = ["distcc", "ccache", "sccache", "icecc"];

/// The program that a file of this name is; it may be called by its version, `ccache-4.8`.
pub(crate) fn stand_in(file_name: &OsStr) -> Option<&'static str> {
    STAND_INS.into_iter().find(|program| {
        let rest = file_name.as_bytes().strip_prefix(program.as_bytes());
        rest.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphabetic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_with_and_without_a_version() {
        let cases = [
            ("distcc", Some("distcc")),
            ("distcc-3.4", Some("distcc")),
            ("ccache", Some("ccache")),
            ("ccache4", Some("ccache")),
            ("sccache", Some("sccache")),
            ("icecc", Some("icecc")),
            ("distccd", None),
            ("gcc", None),
            ("x86_64-linux-gnu-gcc-12", None),
        ];
        for (name, program) in cases {
            assert_eq!(stand_in(OsStr::new(name)), program, "{name}");
        }
    }
}
