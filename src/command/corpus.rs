//! Command lines compiled by the compilers of this machine, whole and in two halves: objects and
//! dependency files must not differ by a byte.

mod kernel;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Form, Maker, Plan, may_be_obeyed, preprocess_argv, scan, server_argv, stock, vet};

/// A project in miniature: a source for every language and an include directory.
const SOURCES: [(&str, &str); 17] = [
    ("src/a.c", C_SOURCE),
    ("src/b c.c", C_SOURCE),
    ("src/d$e#f.c", C_SOURCE),
    ("src/v.1.c", C_SOURCE),
    ("a.c", C_SOURCE),
    ("plain.inc", C_SOURCE),
    ("src/x.cc", CXX_SOURCE),
    ("src/x.cpp", CXX_SOURCE),
    ("src/x.C", CXX_SOURCE),
    ("src/x.CPP", CXX_SOURCE),
    ("src/both.c", "extern int f(int); int f(int x) { return x + __LINE__; }\n"),
    (
        "src/f.c",
        "#include <string.h>\nvoid f(char *s, long n) { char b[9]; strncpy(b, s, n); memcpy(s, b, 9); }\n",
    ),
    ("src/n.m", "int f(int x); int f(int x) { return x + __OBJC__; }\n"),
    ("src/n.mm", "int f(int x) { return x + __OBJC__ + (int)__cplusplus; }\n"),
    ("src/done.i", "# 1 \"done.c\"\nint f(int x) { return x + 1; }\n"),
    ("inc/h.h", "#define TWICE(x) ((x) + (x))\nstatic inline int one(void) { return TWICE(1); }\n"),
    ("inc/forced.h", "#define FORCED 1\n#define NAME __FILE__\n"),
];

const C_SOURCE: &str = r#"
#include "h.h"
#include <stddef.h>
#ifndef VALUE
#define VALUE 3
#endif
#define LOG(x) log_line(__FILE__, __LINE__, #x, (x))
extern int log_line(const char *, int, const char *, int);
struct pair { int a; long b; };
int twice(struct pair *p) { return LOG(TWICE(p->a)) + LOG(VALUE) + one(); }
const char *text(void) { return "café ??=" __FILE__; }
"#;

const CXX_SOURCE: &str = r#"
#include "h.h"
#include <vector>
template <class T> T sum(const std::vector<T> &v) { T s{}; for (auto x : v) s += x; return s; }
int use(const std::vector<int> &v) { return sum(v) + TWICE(__LINE__) + one(); }
"#;

/// Commands that every compiler family takes; C compilers get the C ones, and so on.
const FOR_BOTH: &[&str] = &[
    "@cc -c -Iinc src/a.c",
    "@cc -Iinc -c src/a.c -o out/a.o",
    "@cc -Iinc -c -oout/a.o src/a.c",
    "@cc -c src/a.c -I inc -O2 -o out/a.o",
    "@cc -S -Iinc src/a.c",
    "@cc -c -S -Iinc src/a.c -o out/a.s",
    "@cc -g -O2 -Iinc -c src/a.c -o out/a.o",
    "@cc -g3 -Iinc -DVALUE=7 -c src/a.c -o out/a.o",
    "@cc -ggdb -gdwarf-4 -Iinc -c src/a.c -o out/a.o",
    "@cc -Iinc -DVALUE=(4+1) -UNDEBUG -c src/a.c -o out/a.o",
    "@cc -I inc -D VALUE=9 -U X -c src/a.c -o out/a.o",
    "@cc -Iinc -include forced.h -c src/a.c -o out/a.o",
    "@cc -Iinc -includeforced.h -imacros h.h -c src/a.c -o out/a.o",
    "@cc -isystem inc -iquote src -idirafter inc -c src/a.c -o out/a.o",
    "@cc -Iinc -MD -c src/a.c",
    "@cc -Iinc -MMD -c src/a.c",
    "@cc -Iinc -MD -c src/v.1.c",
    "@cc -Iinc -MD -c src/a.c -o out/a.o",
    "@cc -Iinc -MD -c src/a.c -oout/a.o",
    "@cc -Iinc -MMD -c src/a.c -o out.d/a",
    "@cc -Iinc -MMD -c src/a.c -o out/a.x.o",
    "@cc -Iinc -MMD -MP -c src/a.c -o out/a.o",
    "@cc -Iinc -MMD -MF out/dep -c src/a.c -o out/a.o",
    "@cc -Iinc -MMD -MFout/dep -c src/a.c -o out/a.o",
    "@cc -Iinc -MMD -MF out/dep -c src/a.c",
    "@cc -Iinc -MMD -MT target -c src/a.c -o out/a.o",
    "@cc -Iinc -MMD -MTa -MT b -MQ c$d -c src/a.c -o out/a.o",
    "@cc -Iinc -MD -MF out/dep -MT out/a.o -MP -c src/a.c -o out/a.o",
    "@cc -Iinc -MD -S src/a.c",
    "@cc -Iinc -MD -S src/a.c -o out/a.s",
    "@cc -Iinc -MD -c src/b\x01c.c",
    "@cc -Iinc -MD -c src/b\x01c.c -o out/b\x01c.o",
    "@cc -Iinc -MD -c src/d$e#f.c -o out/d$e#f.o",
    "@cc -Iinc -MD -c src/d$e#f.c",
    "@cc -Iinc -Wp,-MD,out/dep -c src/a.c -o out/a.o",
    "@cc -Iinc -Wp,-MMD,out/dep -c src/a.c",
    "@cc -Iinc -Wp,-MMD,out/dep -MT t -c src/a.c -o out/a.o",
    "@cc -Iinc -Wp,-DVALUE=5,-UX -c src/a.c -o out/a.o",
    "@cc -Iinc -Wp,-DVALUE=5 -DVALUE=6 -c src/a.c -o out/a.o",
    "@cc -Iinc -DVALUE=6 -Wp,-UVALUE -DVALUE=5 -c src/a.c -o out/a.o",
    "@cc -Iinc -O2 -Wp,-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=2 -c src/f.c -o out/a.o",
    "@cc -Iinc -O2 -Wp,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -c src/f.c -o out/a.o",
    "@cc -Iinc -std=c99 -trigraphs -pedantic -c src/a.c -o out/a.o",
    "@cc -Iinc -std=gnu11 -Wall -Wextra -Wno-error=unused -w -c src/a.c -o out/a.o",
    "@cc -Iinc -ansi -c src/both.c -o out/a.o",
    "@cc -Iinc -O3 -fPIC -fvisibility=hidden -fstack-protector-strong -c src/a.c -o out/a.o",
    "@cc -Iinc -O2 -fno-pie -no-pie -static -shared -lm -Llib -Wl,-z,now -s -c src/a.c -o out/a.o",
    "@cc -Iinc -pthread -pipe -fno-ident -c src/a.c -o out/a.o",
    "@cc -Iinc -march=x86-64 -mtune=generic -msse4.2 -c src/a.c -o out/a.o",
    "@cc -Iinc -ffunction-sections -fdata-sections -fno-common -c src/a.c -o out/a.o",
    "@cc -Iinc -g -fdebug-prefix-map=/tmp=x -ffile-prefix-map=src=y -c src/a.c -o out/a.o",
    "@cc -Iinc -fmacro-prefix-map=src/=z/ -c src/a.c -o out/a.o",
    "@cc -Iinc -x c -c src/a.c -o out/a.o",
    "@cc -Iinc -xc -c src/a.c -o out/a.o",
    "@cc -Iinc -x c -MD -c plain.inc -o out/a.o",
    "@cc -Iinc -x c++ -c src/x.cc -o out/a.o",
    "@cc -Iinc -x c++ -c src/both.c -o out/a.o",
    "@cc -xc -c -Iinc -x none src/a.c -o out/a.o",
    "@cc -x cpp-output -c src/done.i -o out/a.o",
    "@cc -c src/done.i",
    "@cc -Wa,--noexecstack -Iinc -c src/a.c -o out/a.o",
    "@cc -Iinc -c src/x.cc -o out/a.o",
    "@cxx -Iinc -c src/x.cc",
    "@cxx -Iinc -O2 -g -c src/x.cpp -o out/x.o",
    "@cxx -Iinc -std=c++20 -fno-exceptions -fno-rtti -c src/x.C -o out/x.o",
    "@cxx -Iinc -O1 -c src/x.CPP -o out/x.o",
    "@cxx -Iinc -O2 -c src/both.c -o out/x.o",
    "@cxx -Iinc -MMD -MP -ftemplate-depth=500 -c src/x.cpp -o out/x.o",
    "@cxx -x c++ -Iinc -c src/x.cc -o out/x.o",
    "@cxx -nostdinc++ -c src/both.c -o out/x.o",
];

const FOR_GCC: &[&str] = &[
    "@cxx -c src/done.i -o out/x.o",
    "@cc -Iinc -Wp,-DVALUE=5,-MMD,out/dep,-MP -DVALUE=6 -c src/a.c -o out/a.o",
    "@cc -Iinc --param max-inline-insns-single=50 --param=large-function-insns=99 -c src/a.c -o out/a.o",
    "@cc -Iinc -frandom-seed=src/a.c -fexec-charset=ISO-8859-1 -c src/a.c -o out/a.o",
    "@cc -Iinc -finput-charset=ISO-8859-1 -c src/a.c -o out/a.o",
    "@cc -Iinc -g -ffile-prefix-map=/=. -gz -fno-working-directory -c src/a.c -o out/a.o",
    "@cc -Iinc -O2 -fno-stack-protector -mcmodel=large -mno-red-zone -Wa,-mrelax-relocations=no -c src/a.c -o out/a.o",
];

const FOR_CLANG: &[&str] = &[
    "@cc -Iinc -target x86_64-linux-gnu -c src/a.c -o out/a.o",
    "@cc -Iinc --target=aarch64-linux-gnu -c src/both.c -o out/a.o",
    "@cc -Iinc -O2 -Qunused-arguments -fcolor-diagnostics -c src/a.c -o out/a.o",
    "@cc -Iinc -g -std=c17 -x objective-c -c src/both.c -o out/a.o",
    "@cc -c src/n.m -o out/n.o",
    "@cxx -MD -c src/n.mm -o out/n.o",
    "@cc -Iinc -Qn -c src/a.c -o out/a.o",
];

fn tool_exists(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A test that misses something says so, and fails where that must not happen.
fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "SKIPPED: {reason}");
    println!("SKIPPED: {reason}");
}

struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        for made in ["src", "inc", "out", "out.d", "lib"] {
            fs::create_dir(dir.path().join(made)).expect("directory");
        }
        let project = Self { dir };
        for (name, text) in SOURCES {
            fs::write(project.path(name), text).expect("source");
        }
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Every file that the sources are not; the files are taken away.
    fn take_products(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut products = BTreeMap::new();
        for dir in ["", "src", "inc", "out", "out.d"] {
            for entry in fs::read_dir(self.path(dir)).expect("directory") {
                let path = entry.expect("entry").path();
                let name = path.strip_prefix(self.dir.path()).expect("inside").to_path_buf();
                if path.is_file() && !SOURCES.iter().any(|(source, _)| name == Path::new(source)) {
                    products.insert(name, fs::read(&path).expect("product"));
                    fs::remove_file(&path).expect("removal");
                }
            }
        }
        products
    }
}

fn run(argv: &[OsString], dir: &Path, stdout: Stdio) -> Result<(), String> {
    let output = Command::new(&argv[0])
        .args(&argv[1..])
        .current_dir(dir)
        .env_remove("DEPENDENCIES_OUTPUT")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|child| child.wait_with_output())
        .map_err(|error| format!("{argv:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{argv:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Compiles in two halves, the second in a directory of its own, and puts the object in place.
fn run_in_halves(project: &Project, argv: &[OsString]) -> Result<PathBuf, String> {
    let compile = match scan(argv, Path::new(&argv[0])) {
        Plan::Distribute(compile) => compile,
        Plan::Split(_) => return Err(format!("{argv:?}: several sources")),
        Plan::Local(reason) => return Err(format!("{argv:?}: {reason}")),
    };
    let compiler = Path::new("/usr/bin").join(&argv[0]);
    let file = compiler.canonicalize().unwrap_or(compiler);
    let form = Form::of(&compile, Maker::of_file(&file));
    let sent = server_argv(&compile, argv[0].as_bytes(), &form);
    if let Some(objection) = stock::objection(&sent) {
        return Err(format!("distccd 3.4 would refuse {argv:?}: {objection}"));
    }
    let admitted = vet(&sent).map_err(|refusal| format!("{argv:?}: {refusal}"))?;
    let server = tempfile::tempdir().expect("temporary directory");
    let source = server.path().join(format!("job{}", admitted.suffix));
    if compile.preprocessed {
        fs::copy(project.dir.path().join(&compile.source), &source).expect("copy");
    } else {
        let file = File::create(&source).expect("preprocessed file");
        run(&preprocess_argv(&compile, &form), project.dir.path(), file.into())?;
        let written = fs::read(&source).expect("preprocessed text");
        let text = form.text(&compile, written);
        let text = text.ok_or_else(|| format!("{argv:?}: the text needs its macros expanded"))?;
        assert!(form != Form::Directives || may_be_obeyed(&text));
        fs::write(&source, text).expect("text");
    }
    let object = server.path().join("job.o");
    run(&admitted.compile_argv(&source, &object), server.path(), Stdio::null())?;
    let target = project.dir.path().join(&compile.output.path);
    fs::copy(&object, target).map_err(|error| format!("{argv:?}: {error}"))?;
    Ok(compile.output.path)
}

fn without_debug(object: &[u8]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    fs::write(file.path(), object).expect("object");
    let status = Command::new("strip").arg("--strip-debug").arg(file.path()).status();
    assert!(status.is_ok_and(|status| status.success()), "strip failed");
    fs::read(file.path()).expect("stripped object")
}

fn compare(project: &Project, line: &str, argv: &[OsString]) -> Result<(), String> {
    run(argv, project.dir.path(), Stdio::null())?;
    let whole = project.take_products();
    let output = run_in_halves(project, argv)?;
    let halves = project.take_products();
    let names =
        |products: &BTreeMap<PathBuf, Vec<u8>>| products.keys().cloned().collect::<Vec<_>>();
    if names(&whole) != names(&halves) {
        return Err(format!("{line}: made {:?}, not {:?}", names(&halves), names(&whole)));
    }
    let debug = argv.iter().any(|word| word.as_bytes().starts_with(b"-g"));
    for (name, expected) in &whole {
        let made = &halves[name];
        let same = if debug && *name == output && name.extension() == Some(OsStr::new("o")) {
            without_debug(expected) == without_debug(made)
        } else {
            expected == made
        };
        if !same {
            let shown =
                |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(600)]).into_owned();
            return Err(format!("{line}: {name:?} differs:\n{}\n{}", shown(expected), shown(made)));
        }
    }
    Ok(())
}

fn compare_all(cc: &str, cxx: &str, lines: &[&[&str]]) {
    for tool in [cc, cxx, "strip"] {
        if !tool_exists(tool) {
            return skip(&format!("{tool} is not installed"));
        }
    }
    let project = Project::new();
    let mut failures = Vec::new();
    for line in lines.iter().copied().flatten() {
        let argv: Vec<OsString> = line
            .split(' ')
            .map(|word| match word {
                "@cc" => cc.into(),
                "@cxx" => cxx.into(),
                word => word.replace('\x01', " ").into(),
            })
            .collect();
        if let Err(failure) = compare(&project, line, &argv) {
            failures.push(failure);
            project.take_products();
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn gcc_makes_the_same_files_in_two_halves() {
    compare_all("gcc", "g++", &[FOR_BOTH, FOR_GCC]);
}

#[test]
fn an_older_gcc_makes_the_same_files_in_two_halves() {
    compare_all("gcc-11", "g++-11", &[FOR_BOTH, FOR_GCC]);
}

#[test]
fn clang_makes_the_same_files_in_two_halves() {
    compare_all("clang", "clang++", &[FOR_BOTH, FOR_CLANG]);
}
