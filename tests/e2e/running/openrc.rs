//! Our script for OpenRC, by a shell that knows as much of OpenRC as the script needs.

use std::path::Path;
use std::process::Stdio;

use super::{assert_compiles, distccd, log_option, server_log, serving};
use crate::bench::Bench;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
/// What supervise-daemon does with the variables of a script.
const SUPERVISE: &str = "need() { :; }; use() { :; }; . \"$1\"; shift; depend || exit 1; \
                         [ \"$supervisor\" = supervise-daemon ] || exit 1; \
                         exec \"$SERVICE${command##*/}\" $command_args \"$@\"";

#[test]
fn what_openrc_starts_compiles() {
    let bench = Bench::new();
    let (_server, port) = serving(|port| {
        let daemon = distccd(&bench, &["--allow", "127.0.0.1", &log_option(&bench)]);
        let mut shell = bench.program(Path::new("/bin/sh"), "");
        shell.args(["-c", SUPERVISE, "sh"]).arg(format!("{CONFIG}/openrc/distccd"));
        shell.env("SERVICE", format!("{CONFIG}/")).env("DISTCCD_EXEC", daemon.get_program());
        shell.args(daemon.get_args()).arg(format!("--port={port}")).stdout(Stdio::null());
        shell
    });
    assert_compiles(&bench, &format!("127.0.0.1:{port}"));
    assert!(server_log(&bench).contains(" COMPILE_OK exit:0 "), "{}", server_log(&bench));
}
