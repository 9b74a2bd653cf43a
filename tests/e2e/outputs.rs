//! The output file: where it stands, with which mode, and what becomes of what stood there before,
//! is as with the compiler here.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::bench::{Bench, StockServer, has, text};
use crate::skip::skip;

/// What stands in the working directory, with mode, number of links and contents.
fn listing(bench: &Bench) -> Vec<String> {
    let mut lines: Vec<String> = fs::read_dir(bench.path("work"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let bytes =
                if meta.is_dir() { Vec::new() } else { fs::read(&path).unwrap_or_default() };
            let name = path.file_name().unwrap().display().to_string();
            format!("{name} {:o} {} {bytes:?}", meta.mode(), meta.nlink())
        })
        .collect();
    lines.sort();
    lines
}

/// Does the same here and there, each time after `prepare`, and compares all that is seen of it.
fn is_as_local(bench: &Bench, host: &str, what: &str, umask: &str, words: &str, prepare: Prepare) {
    let mut seen = Vec::new();
    for program in [String::new(), format!("{} ", env!("CARGO_BIN_EXE_distcc"))] {
        fs::remove_dir_all(bench.path("work")).unwrap();
        fs::create_dir(bench.path("work")).unwrap();
        bench.write("x.c", "int x;\n");
        prepare(&bench.path("work"));
        let log = bench.path("log");
        let _ = fs::remove_file(&log);
        let mut shell = bench.program("/bin/sh".as_ref(), host);
        shell.env("DISTCC_LOG", &log).arg("-c");
        let output = shell.arg(format!("umask {umask}; exec {program}{words}")).output().unwrap();
        if !program.is_empty() {
            let log = fs::read_to_string(log).unwrap();
            // What is no plain file is left to the compiler here.
            let way = match log.contains("the output is no regular file") {
                true => "localhost",
                false => host,
            };
            assert!(log.contains(&format!("on {way} completed ok")), "{what}, {words}: {log}");
        }
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        seen.push((output.status.code(), out, err, listing(bench)));
    }
    assert_eq!(seen[0], seen[1], "{what}, {words}");
}

#[test]
fn the_umask_decides_on_the_mode() {
    let bench = Bench::new();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for umask in ["0", "022", "027", "077"] {
        is_as_local(&bench, &server.token, umask, umask, "gcc -O1 -c x.c", |_| ());
    }
}

/// Puts something into the working directory.
type Prepare = fn(&Path);

/// What may stand where the output is to be.
const THERE: [(&str, Prepare); 8] = [
    ("a file that may not be written", |dir| {
        fs::write(dir.join("out"), "old").unwrap();
        fs::set_permissions(dir.join("out"), Permissions::from_mode(0o444)).unwrap();
    }),
    ("a program", |dir| {
        fs::write(dir.join("out"), "old").unwrap();
        fs::set_permissions(dir.join("out"), Permissions::from_mode(0o755)).unwrap();
    }),
    ("a file with another name", |dir| {
        fs::write(dir.join("other"), "old").unwrap();
        fs::hard_link(dir.join("other"), dir.join("out")).unwrap();
    }),
    ("a link", |dir| {
        fs::write(dir.join("other"), "old").unwrap();
        symlink("other", dir.join("out")).unwrap();
    }),
    ("an empty file with another name", |dir| {
        fs::write(dir.join("other"), "").unwrap();
        fs::hard_link(dir.join("other"), dir.join("out")).unwrap();
    }),
    ("a link to an empty file", |dir| {
        fs::write(dir.join("other"), "").unwrap();
        fs::set_permissions(dir.join("other"), Permissions::from_mode(0o600)).unwrap();
        symlink("other", dir.join("out")).unwrap();
    }),
    ("a link to nothing", |dir| symlink("other", dir.join("out")).unwrap()),
    ("a link to a device", |dir| symlink("/dev/null", dir.join("out")).unwrap()),
];

#[test]
fn what_stands_where_the_output_is_to_be_fares_as_with_the_compiler() {
    let bench = Bench::new();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for compiler in ["gcc", "clang"] {
        if !has(compiler) {
            continue;
        }
        for action in ["-c", "-S"] {
            let words = format!("{compiler} -O1 {action} x.c -o out");
            for (what, prepare) in THERE {
                is_as_local(&bench, &server.token, what, "022", &words, prepare);
            }
        }
    }
}

#[test]
fn a_full_disk_fails_as_here_and_keeps_no_part_of_an_object() {
    let bench = Bench::new();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    bench.write("x.c", "char x[200000] = {1};\n");
    fs::create_dir(bench.path("work/small")).unwrap();
    let in_small = |words: &str| -> Command {
        let mut command = bench.program("/usr/bin/unshare".as_ref(), &server.token);
        command.env("DISTCC_LOG", bench.path("log"));
        let script = format!("mount -t tmpfs -o size=64k none small || exit 99; {words}");
        command.args(["--mount", "sh", "-c", &script]);
        command
    };
    if in_small("true").output().map_or(true, |output| !output.status.success()) {
        skip("no file system can be mounted here");
        return;
    }
    let distcc = env!("CARGO_BIN_EXE_distcc");
    for there in ["", "echo old > small/x.o; "] {
        let seen = ["", distcc].map(|program| {
            let compile = format!("{there}{program} gcc -c x.c -o small/x.o; echo $?; ls -A small");
            let output = in_small(&compile).output().unwrap();
            let stderr = text(&output.stderr);
            assert!(stderr.contains("No space left on device"), "{compile}: {stderr}");
            text(&output.stdout)
        });
        assert_eq!(seen[0], seen[1], "{there}");
    }
    let log = fs::read_to_string(bench.path("log")).unwrap();
    assert!(log.contains("cannot write small/x.o: No space left on device"), "{log}");
    bench.assert_tidy();
}
