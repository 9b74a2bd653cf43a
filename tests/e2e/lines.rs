//! Command lines as builds write them: what they make, say and return is what the compiler alone
//! makes, says and returns, and what can travel does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::bench::{Bench, StockServer, has, text};
use crate::long;

/// Where a command is to be compiled.
#[derive(Clone, Copy, Debug)]
enum Goes {
    /// So many jobs are done by the server.
    There(usize),
    /// Here, with this in the log.
    Here(&'static str),
}

use Goes::{Here, There};

const SOURCES: [(&str, &str); 15] = [
    ("a.c", "#include \"h.h\"\nint a(int x) { return x + ONE; }\n"),
    ("b.c", "#include \"h.h\"\nint b(int x) { return x - ONE; }\n"),
    ("w.c", "#include \"h.h\"\n#warning w\nint w(int x) { return x - ONE; }\n"),
    ("bad.c", "#include \"h.h\"\nint bad = ;\n"),
    ("c.cc", "#include \"h.h\"\nint c(int x) { return x * ONE; }\n"),
    ("s.s", "\t.globl s\ns:\tret\n"),
    ("sub/d e.c", "#include \"h.h\"\nint d(int x) { return x / (ONE + 1); }\n"),
    ("text", "#include \"h.h\"\nint t(int x) { return x ^ ONE; }\n"),
    ("inc/h.h", "#ifndef ONE\n#define ONE 1\n#endif\n"),
    ("one", "-Iinc -O2\n\"-DONE=2\" @two"),
    ("two", "\t-c  a.c\n"),
    ("files", "-Iinc a.c \"sub/d e.c\" -c\n"),
    ("spaced", "-Iinc -c sub/d\\ e.c '-DX=\"y z\"'"),
    ("unclear", "-Iinc -c a.c '-DX=a\\b'"),
    ("empty", ""),
];

/// What a command leaves behind, and its exit code.
#[derive(PartialEq, Eq)]
struct Result {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// Runs a command in a fresh copy of the sources.
fn run(
    bench: &Bench,
    hosts: Option<&str>,
    words: &[&str],
    env: &[(&str, &str)],
) -> (Result, String) {
    let work = bench.path("work");
    fs::remove_dir_all(&work).unwrap();
    for (name, content) in SOURCES {
        fs::create_dir_all(work.join(name).parent().unwrap()).unwrap();
        bench.write(name, content);
    }
    let log = bench.path("log");
    let _ = fs::remove_file(&log);
    let mut command = match hosts {
        Some(hosts) => bench.distcc(hosts),
        None => bench.program(Path::new(words[0]), ""),
    };
    command.env("DISTCC_LOG", &log).envs(env.iter().copied());
    let output = command.args(&words[usize::from(hosts.is_none())..]).output().unwrap();
    let mut files = BTreeMap::new();
    for dir in ["", "sub", "inc"] {
        for entry in fs::read_dir(work.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&work).unwrap().to_str().unwrap().to_owned();
            if path.is_file() && !SOURCES.iter().any(|(source, _)| *source == name) {
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let result = Result {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
        files,
    };
    (result, fs::read_to_string(log).unwrap_or_default())
}

/// Checks every command with gcc and, among the long tests, with clang, or with the one behind `#`;
/// `@cc` and `@cxx` stand for it.
fn check(cases: &[(&str, Goes)], env: &[(&str, &str)]) {
    let bench = Bench::new();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let mut wrong = Vec::new();
    for (cc, cxx) in [("gcc", "g++"), ("clang", "clang++")] {
        if !has(cc) || (cc != "gcc" && !long::wanted()) {
            continue;
        }
        for (line, goes) in cases {
            let (line, only) = line.split_once(" #").unwrap_or((line, cc));
            if only != cc {
                continue;
            }
            let line = line.replace("@cc", cc).replace("@cxx", cxx);
            let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
            let (expected, _) = run(&bench, None, &words, env);
            let (found, log) = run(&bench, Some(&server.token), &words, env);
            let n_remote = log.lines().filter(|line| line.ends_with(" completed ok")).count();
            let went = match goes {
                There(n_jobs) => n_remote == *n_jobs,
                Here(reason) => n_remote == 0 && log.contains(reason),
            };
            let names = |result: &Result| result.files.keys().cloned().collect::<Vec<_>>();
            if expected != found || !went {
                wrong.push(format!(
                    "{line}: {:?} and {:?}; {:?} and {:?}\n{}---\n{}---\n{log}",
                    expected.code,
                    found.code,
                    names(&expected),
                    names(&found),
                    expected.stderr,
                    found.stderr,
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn files_of_words_are_read() {
    check(
        &[
            ("@cc @one", There(1)),
            ("@cc -O1 @one -o x.o", There(1)),
            ("@cc @one @empty -MD", There(1)),
            ("@cc @spaced", There(1)),
            ("@cc @files", There(2)),
            ("@cc @unclear", Here("@unclear is not clear")),
            ("@cc -Iinc -c a.c @missing", Here("@missing is not clear")),
            ("@cc @one @missing", Here("@missing is not clear")),
        ],
        &[],
    );
}

#[test]
fn every_one_of_several_sources_travels() {
    check(
        &[
            ("@cc -Iinc -c a.c b.c", There(2)),
            ("@cc -Iinc -O2 -S a.c c.cc", There(2)),
            ("@cxx -Iinc -c c.cc a.c -MD #gcc", There(2)),
            ("@cxx -Iinc -c c.cc a.c -MD #clang", Here("2 files are named")),
            ("@cc -Iinc -c a.c -xc text c.cc -x none s.s", There(3)),
            ("@cc -Iinc -c a.c s.s", There(1)),
            ("@cc -Iinc -c w.c a.c", There(2)),
            ("@cc -Iinc -c a.c bad.c w.c b.c #gcc", There(3)),
            ("@cc -Iinc -c b.c -xc text b.c -xc++ a.c", Here("4 files are named")),
            ("@cc -Iinc -c b.c -xc text -xc++ a.c", There(3)),
            ("@cc -Iinc -c bad.c a.c", There(1)),
            ("@cc -Iinc -c a.c bad.c b.c -lm", There(2)),
            ("@cc -Iinc -c a.c none.c b.c", Here("there is no none.c")),
            ("@cc -Iinc -c a.c b.c -o x.o", Here("2 files are named")),
            ("@cc -Iinc -c a.c b.c -MD -MF x.d", Here("2 files are named")),
            ("@cc -Iinc -c a.c b.c --bogus", Here("2 files are named")),
            ("@cc -Iinc -c a.c x.o", Here("2 files are named")),
            ("@cc -Iinc a.c b.c -shared -fPIC -o x.so", Here("2 files are named")),
        ],
        &[],
    );
}

#[test]
fn dependency_files_are_the_compilers_own_in_every_form() {
    check(
        &[
            ("@cc -Iinc -MD -c a.c", There(1)),
            ("@cc -Iinc -MMD -MP -S a.c -o sub/x", There(1)),
            ("@cc -Iinc -MD -c a.c -o sub/x.y.o", There(1)),
            ("@cc -Iinc -MD -MP -MT one -MQ a$b -MF sub/x.dep -c a.c", There(1)),
            ("@cc -Iinc -MD -MG -c a.c", Here("preprocessor failed")),
            ("@cc -Iinc -MD -MF one.d -MF two.d -c a.c", There(1)),
            ("@cc -Iinc -MD -MMD -c a.c", There(1)),
            ("@cc -Iinc -MMD -MD -c a.c -o x.o", There(1)),
            ("@cc -Iinc -MD -MV -c a.c -o sub/b$d.o #gcc", Here("")),
            ("@cc -Iinc -Wp,-MD,x.d -c a.c -o x.o", There(1)),
            ("@cc -Iinc -Wp,-MMD,x.d -MD -c a.c -o y.o #gcc", There(1)),
            ("@cc -Iinc -Wp,-MMD,x.d -MD -c a.c -o y.o #clang", Here("-Wp,-MMD,x.d")),
            ("@cc -Iinc -Xpreprocessor -DONE=3 -MD -c a.c", There(1)),
            ("@cc -Iinc -Xpreprocessor -MD -Xpreprocessor x.d -c a.c", Here("-Xpreprocessor")),
            ("@cc -Iinc -MD -c bad.c", There(0)),
            ("@cc -Iinc -MD -MF - -c a.c", Here("no regular file")),
            ("@cc -Iinc -MD -MF /dev/stdout -c a.c", Here("no regular file")),
            ("@cc -Iinc -MD -MF /dev/null -c a.c", There(1)),
            ("@cc -Iinc -MD -MF none/x.d -c a.c", Here("preprocessor failed")),
            ("@cc -Iinc -MD -c a.c -o none/x.o", Here("")),
            ("@cc -Iinc -E -MD a.c -o x.i", Here("only the preprocessor")),
            ("@cc -Iinc -MM a.c", Here("only the preprocessor")),
        ],
        &[],
    );
}

#[test]
fn a_file_of_dependencies_named_by_the_environment_is_added_to_once() {
    for value in ["deps", "deps target"] {
        check(
            &[
                ("@cc -Iinc -c a.c -o x.o #gcc", Here("$DEPENDENCIES_OUTPUT is set")),
                ("@cc -Iinc -c bad.c #gcc", Here("$DEPENDENCIES_OUTPUT is set")),
                ("@cc -Iinc -c a.c c.cc #gcc", Here("$DEPENDENCIES_OUTPUT is set")),
            ],
            &[("DEPENDENCIES_OUTPUT", value)],
        );
    }
    check(
        &[("@cc -Iinc -c a.c #gcc", Here("$SUNPRO_DEPENDENCIES is set"))],
        &[("SUNPRO_DEPENDENCIES", "deps")],
    );
}

#[test]
fn languages_and_outputs_are_as_the_command_says() {
    check(
        &[
            ("@cc -Iinc -xc -c text", There(1)),
            ("@cc -Iinc -x c++ -c text -o x.o", There(1)),
            ("@cc -Iinc -x c++ a.c -c -x none", Here("-x none")),
            ("@cc -Iinc -xnone -c a.c", There(1)),
            ("@cxx -Iinc -x c -c a.c", Here("-x c does not travel")),
            ("@cc -x assembler -c s.s", Here("-x assembler")),
            ("@cc -c s.s", Here("s.s is not a source")),
            ("@cc -Iinc -c a.c -o /dev/null", There(1)),
            ("@cc -Iinc -S a.c -o -", Here("standard output")),
            ("@cc -Iinc -c a.c -o inc", Here("")),
            ("@cc -Iinc -c a.c -o none/x.o", Here("")),
            ("@cc -Iinc -x c -c -", Here("standard input")),
            ("@cc -Iinc -Xassembler --noexecstack -c a.c", There(1)),
            ("@cc -Iinc -Xassembler -I -Xassembler inc -c a.c", Here("-Xassembler")),
            ("@cc -Iinc -Wp,-DONE=4,-UTWO -c a.c", There(1)),
            ("@cc -Iinc -fverbose-asm -S a.c", Here("-fverbose-asm")),
        ],
        &[],
    );
}

#[test]
fn further_files_and_reports_are_those_of_a_compile_here() {
    check(
        &[
            ("@cc -Iinc -c a.c -save-temps", Here("-save-temps writes further files")),
            ("@cc -Iinc -c a.c -o sub/x.o -save-temps=obj", Here("-save-temps=obj writes")),
            ("@cc -Iinc -c a.c -fstack-usage -o x.o", Here("-fstack-usage writes")),
            ("@cc -Iinc -c a.c -gsplit-dwarf -o x.o", Here("-gsplit-dwarf writes")),
            (
                "@cc -Iinc -c a.c --coverage -frandom-seed=1",
                Here("--coverage reads or writes profile data"),
            ),
            (
                "@cc -Iinc -c a.c -fprofile-arcs -ftest-coverage -frandom-seed=1",
                Here("profile data"),
            ),
            ("@cc -Iinc -O2 -c a.c -fprofile-use=none", Here("profile data")),
            ("@cc -Iinc -c a.c -fdump-tree-original #gcc", Here("-fdump-tree-original writes")),
            ("@cc -Iinc -c a.c -aux-info x.aux #gcc", Here("-aux-info writes")),
            ("@cc -Iinc -O2 -c a.c -fcallgraph-info=su #gcc", Here("-fcallgraph-info=su writes")),
            ("@cc -Iinc -O2 -c a.c -fopt-info=x.opt #gcc", Here("-fopt-info=x.opt writes")),
            ("@cc -Iinc -O2 -c a.c -fopt-info #gcc", Here("-fopt-info prints")),
            ("@cc -Iinc -c a.c -dumpbase x #gcc", Here("-dumpbase writes")),
            ("@cc -Iinc -c a.c -frecord-gcc-switches #gcc", Here("records the command line")),
            ("@cc -Iinc -c a.c -fplugin=none.so", Here("-fplugin=none.so names programs")),
            ("@cc -Iinc -c a.c -specs=none #gcc", Here("-specs=none names programs")),
            ("@cc -Iinc -c a.c -MJ x.json #clang", Here("-MJ writes further files")),
            ("@cc -Iinc -c a.c -fsave-optimization-record #clang", Here("writes further files")),
            ("@cc -Iinc -c a.c --serialize-diagnostics x.dia #clang", Here("writes further files")),
            ("@cc -Iinc -c a.c -emit-llvm #clang", Here("something else than an object file")),
            ("@cc -Iinc -O2 -flto -c a.c #clang", There(1)),
            ("@cc -Iinc -O2 -flto=thin -c a.c #clang", There(1)),
            ("@cc -Iinc -O2 -flto -frandom-seed=1 -c a.c #gcc", Here("no server of ours")),
            ("@cc -Iinc -O2 -flto=auto -frandom-seed=1 -c a.c #gcc", There(1)),
            ("@cc -Iinc -flto=1 -ffat-lto-objects -frandom-seed=1 -c a.c #gcc", There(1)),
            (
                "@cc -c a.c --include-directory=inc",
                Here("--include-directory=inc is an unusual one"),
            ),
        ],
        &[],
    );
}
