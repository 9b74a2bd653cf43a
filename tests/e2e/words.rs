//! What a user reads, and when: the words of a local compile, once, and no word of ours.

use std::path::Path;
use std::process::Output;

use crate::bench::{Bench, StockServer, has, text};

/// Where the command is expected to be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    There,
    /// Sent there as well, perhaps: what counts is made here.
    Here,
}

use Place::{Here, There};

/// A source with what compilers warn of where macros are expanded and comments dropped.
const COMMENTED: &str = r#"#include <stdio.h>
#include <assert.h>
#include <ctype.h>
#define SQUARE(x) ((x) * (x))
#define CHECK(x) do { if (!(x)) puts(#x); } while (0)
int rise(int n) {
    switch (n) {
    case 1: puts("one"); /* fallthrough */
    case 2: puts("two");
        // Falls through.
    case 3: return isdigit(n) ? SQUARE(n) : 0;
    }
    CHECK(n > 3); assert(n != SQUARE(2)); CHECK(n == n + 0);
    if (NULL == stdin) return __LINE__; else return getchar();
}
"#;

const WARNED: &str = "#include <stdio.h>\n#define SQUARE(x) ((x) * (x))\n\
    int f(int n) {\n    int unused;\n    unsigned u = 3; if (n < u) return SQUARE(n);\n}\n";

/// Nothing that only an optimizer sees.
const PARSED: &str = "#include <stdio.h>\n#define SQUARE(x) ((x) * (x))\n\
    int f(int n) {\n    int unused;\n    unsigned u = 3; return n < u ? SQUARE(n) : 0;\n}\n";

/// A compiler's command as it runs here; the object, if there is one, is left in `out`.
fn local(bench: &Bench, words: &[&str]) -> (Output, Option<Vec<u8>>) {
    let output = bench.program(words[0].as_ref(), "").args(&words[1..]).output().unwrap();
    (output, taken(bench))
}

fn taken(bench: &Bench) -> Option<Vec<u8>> {
    let object = std::fs::read(bench.path("work/out")).ok();
    let _ = std::fs::remove_file(bench.path("work/out"));
    object
}

/// Exit code, words and object are those of the command without distcc.
fn assert_as_here(bench: &Bench, host: &str, words: &[&str], place: Place) {
    let (expected, object) = local(bench, words);
    let (output, log) = bench.run(host, words);
    assert_eq!(output.status.code(), expected.status.code(), "{words:?}: {log}");
    assert_eq!(text(&output.stderr), text(&expected.stderr), "{words:?}: {log}");
    assert_eq!(text(&output.stdout), text(&expected.stdout), "{words:?}: {log}");
    assert!(taken(bench) == object, "{words:?}: another object: {log}");
    let was_here = log.contains("exec on localhost");
    assert_eq!(was_here, place == Here, "{words:?}: {log}");
    assert!(log.contains(&format!("exec on {host}")) || place == Here, "{words:?}: {log}");
}

#[test]
fn unused_macros_are_told_of_as_here() {
    let bench = Bench::new();
    bench.write("u.c", "#define UNUSED 1\nint a;\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for compiler in ["gcc", "g++"] {
        let words = [compiler, "-Wunused-macros", "-c", "u.c", "-o", "out"];
        assert_as_here(&bench, &server.token, &words, Here);
    }
    bench.assert_tidy();
}

/// gcc reads the source itself to see how it is indented.
#[test]
fn misleading_indentation_is_told_of_as_here() {
    let bench = Bench::new();
    let misleading = "int f(int a) {\n  if (a)\n    a++;\n    a--;\n  return a;\n}\n";
    bench.write("m.c", misleading);
    bench.write("h.c", "#include \"h.h\"\nint g;\n");
    bench.write("h.h", &misleading.replace("int f", "static inline int f"));
    bench.write("time.c", &format!("const char *t = __DATE__;\n{misleading}"));
    bench.write("clear.c", &misleading.replace("    a--", "  a--"));
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for compiler in ["gcc", "g++"] {
        for (source, option, place) in [
            ("m.c", "-Wall", Here),
            ("m.c", "-Wmisleading-indentation", Here),
            ("m.c", "-Werror=misleading-indentation", Here),
            ("m.c", "-O2", There),
            ("h.c", "-Wall", Here),
            ("time.c", "-Wall", Here),
            ("clear.c", "-Wall", There),
        ] {
            let words = [compiler, option, "-c", source, "-o", "out"];
            assert_as_here(&bench, &server.token, &words, place);
        }
        let words = [compiler, "-Wall", "-Werror", "-c", "m.c", "-o", "out"];
        assert_as_here(&bench, &server.token, &words, Here);
        let (output, _) = bench.run(&server.token, &words);
        assert!(text(&output.stderr).contains("misleading-indentation"), "{compiler}");
        assert!(!output.status.success(), "{compiler}");
    }
    bench.assert_tidy();
}

/// What a preprocessor that leaves macros alone drops, or does not know.
#[test]
fn pragmas_do_what_they_do_here() {
    let bench = Bench::new();
    bench.write(
        "omp.c",
        "#define N 4\nint f(int *a) {\n    int s = 0;\n\
         #pragma omp parallel for reduction(+:s) num_threads(N)\n\
         for (int i = 0; i < N; i++)\n        s += a[i];\n    return s;\n}\n",
    );
    bench.write(
        "name.c",
        "#pragma redefine_extname f g\nint f(void);\nint h(void) { return f(); }\n",
    );
    bench.write("said.c", "#define X \"x\"\n#pragma message \"is \" X\nint x;\n");
    bench.write(
        "target.c",
        "#pragma GCC target(\"avx2\")\n#ifdef __AVX2__\nint yes;\n#else\nint no;\n#endif\n",
    );
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for (source, place) in
        [("omp.c", There), ("name.c", There), ("said.c", Here), ("target.c", Here)]
    {
        for compiler in ["gcc", "g++"] {
            // A C++ compiler reads the whole source before it obeys.
            let place = if (compiler, source) == ("g++", "target.c") { There } else { place };
            let words = [compiler, "-fopenmp", "-O1", "-c", source, "-o", "out"];
            assert_as_here(&bench, &server.token, &words, place);
        }
    }
    bench.assert_tidy();
}

#[test]
fn macros_and_comments_reach_the_compiler() {
    let bench = Bench::new();
    bench.write("x.c", COMMENTED);
    bench.write("x.cc", &format!("#include <iostream>\n#include <mutex>\n{COMMENTED}"));
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for compiler in ["gcc", "g++", "clang", "clang++"] {
        if !has(compiler) {
            continue;
        }
        for options in ["-O0 -Wall -Wextra", "-O2 -Werror -Wextra", "-O0 -DNDEBUG -Wall -std=c++17"]
        {
            let source = if compiler.ends_with("++") { "x.cc" } else { "x.c" };
            let mut words = vec![compiler];
            words
                .extend(options.split(' ').filter(|word| source == "x.cc" || !word.contains("++")));
            words.extend(["-c", source, "-o", "out"]);
            assert_as_here(&bench, &server.token, &words, There);
        }
    }
    bench.assert_tidy();
}

#[test]
fn pragmas_about_macros_reach_the_compiler() {
    let bench = Bench::new();
    bench.write(
        "h.h",
        "#pragma once\n#define LIMIT 3\n#if 1\n  #pragma push_macro(\"LIMIT\")\n#undef LIMIT\n\
         #define LIMIT 7\n#else\n#pragma pop_macro(\"LIMIT\")\n#endif\n/* inner */\n\
         enum { INNER = LIMIT };\n#pragma pop_macro(\"LIMIT\")\n\
         #pragma GCC poison gets\n",
    );
    bench.write("x.c", &format!("#include \"h.h\"\n{COMMENTED}int limits = LIMIT + INNER;\n"));
    bench.write("x.cc", &format!("#include \"h.h\"\n{COMMENTED}int limits = LIMIT + INNER;\n"));
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for (compiler, source) in
        [("gcc", "x.c"), ("g++", "x.cc"), ("clang", "x.c"), ("clang++", "x.cc")]
    {
        if !has(compiler) {
            continue;
        }
        let words = [compiler, "-O0", "-Wall", "-Wextra", "-c", source, "-o", "out"];
        assert_as_here(&bench, &server.token, &words, There);
    }
    bench.assert_tidy();
}

#[test]
fn warnings_are_those_of_a_local_compile() {
    let bench = Bench::new();
    bench.write("h.h", "static inline int odd(int n) { unsigned u = 1; return n < u; }\n");
    bench.write("x.c", &format!("#include \"h.h\"\n{WARNED}"));
    bench.write("w.c", "#warning beware\nint x;\n");
    bench.write("s.c", &format!("#include \"h.h\"\n{PARSED}"));
    bench.write("b.c", "#warning beware\nint f(void) { int unused; return 1; }\n");
    bench.write("c.c", "int a; /* \u{202e} } */\n/* x /* y */\nint b; // \u{202e} q\n");
    bench.write("m.c", "#define A 1\n#define A 2\nint x = A;\n");
    bench.write(
        "quiet.c",
        "#define QUIET _Pragma(\"GCC diagnostic ignored \\\"-Wundef\\\"\")\nQUIET\n\
         #if UNKNOWN\n#endif\nint x;\n",
    );
    bench.write(
        "twice.c",
        "_Pragma(\"clang diagnostic ignored \\\"-Wmacro-redefined\\\"\")\n#define B 1\n#define B 2\n\
         _Pragma(\"clang diagnostic warning \\\"-Wmacro-redefined\\\"\")\n#define B 3\nint x;\n",
    );
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for (compiler, source, place) in [
        // A parser here shows the lines.
        ("gcc", "s.c", There),
        // Only what comes behind the parser knows that nothing is returned.
        ("gcc", "x.c", Here),
        // clang's lines are in the text.
        ("clang", "x.c", There),
        ("gcc", "w.c", There),
        // Columns behind such characters are counted in the file.
        ("gcc", "c.c", Here),
        ("gcc", "b.c", There),
        ("clang", "b.c", Here),
        ("gcc", "m.c", Here),
        ("clang", "m.c", There),
        ("gcc", "quiet.c", Here),
        ("clang", "quiet.c", There),
        ("clang", "twice.c", There),
    ] {
        if !has(compiler) {
            continue;
        }
        let words =
            [compiler, "-Wall", "-Wextra", "-Wundef", "-O1", "-DA=3", "-c", source, "-o", "out"];
        assert_as_here(&bench, &server.token, &words, place);
    }
    // Without lines of the source nothing differs but what the server's locale takes for quotes.
    for option in ["-fno-diagnostics-show-caret", "-fdiagnostics-plain-output"] {
        let words = ["gcc", "-Wall", "-Wextra", "-O2", option, "-c", "s.c", "-o", "out"];
        assert_as_here(&bench, &server.token, &words, There);
    }
    // The parser that shows the lines writes nothing.
    let words = ["gcc", "-Wall", "-Wextra", "-MD", "-MF", "deps", "-c", "s.c", "-o", "out"];
    let _ = local(&bench, &words);
    let expected = bench.read("deps");
    assert_as_here(&bench, &server.token, &words, There);
    assert_eq!(bench.read("deps"), expected);
    assert!(!bench.path("work/s.o").exists() && !bench.path("work/s.d").exists());
    if has("clang") {
        let options = ["-Werror", "-Weverything", "-D_RESERVED", "-D__inline=inline"];
        let words = [&["clang"], &options[..], &["-c", "clean.c", "-o", "out"]].concat();
        bench.write("clean.c", "int x(void);\nint x(void) { return 1; }\n");
        assert_as_here(&bench, &server.token, &words, There);
    }
    // Where a compile here is not wanted, the words from there must do.
    let (_, object) = local(&bench, &["gcc", "-Wall", "-c", "x.c", "-o", "out"]);
    for variable in [("DISTCC_FALLBACK", "0"), ("DISTCC_SKIP_LOCAL_RETRY", "1")] {
        let mut command = bench.distcc(&server.token);
        command.env(variable.0, variable.1).args(["gcc", "-Wall", "-c", "x.c", "-o", "out"]);
        let output = command.output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(stderr.matches("unused variable").count(), 1, "{variable:?}: {stderr}");
        assert!(!stderr.contains("distcc["), "{stderr}");
        assert!(taken(&bench) == object);
    }
    bench.assert_tidy();
}

#[test]
fn what_differs_with_macros_travels_without() {
    let bench = Bench::new();
    bench.write("counter.c", "#if __COUNTER__ == 0\nint x = __COUNTER__;\n#endif\n");
    bench.write("base.c", "const char *name = __BASE_FILE__;\n");
    bench.write("string.c", "const char *text = \"\\\n#include <x>\";\n");
    bench.write("raw.cc", "const char *text = R\"(\n#include <x>\n)\";\n");
    bench.write("level.c", "#include \"level.h\"\nint outer = __INCLUDE_LEVEL__;\n");
    bench.write("level.h", "int inner = __INCLUDE_LEVEL__; const char *file = __FILE__;\n");
    bench.write(
        "push.c",
        "#define A 3\n#pragma push_macro(\"A\")\n#undef A\n#define A 7\nint a = A;\n\
         #pragma pop_macro(\"A\")\nint b = A;\n",
    );
    bench.write("poison.c", "#include \"poison.h\"\nint gets(void);\n");
    bench.write("poison.h", "#pragma GCC poison gets\n");
    bench.write("ask.c", "#define ASK __has_include(<stdio.h>)\n#if ASK\nint yes;\n#endif\n");
    bench.write("said.c", "/* see a .include file, or\n#include <x> */\nint x;\n");
    bench.write("unused.c", "#define UNUSED 1\n#define USED 2\nint x = USED;\n");
    bench.write("line.c", "#line 7 \"other.y\"\nint f(void) { return __LINE__; }\n");
    bench.write("target.c", "#include <immintrin.h>\nint f(int n) { return n; }\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for compiler in ["gcc", "clang"] {
        if !has(compiler) {
            continue;
        }
        for (source, place) in [
            ("counter.c", There),
            ("base.c", There),
            ("string.c", There),
            ("raw.cc", There),
            ("level.c", There),
            ("push.c", There),
            ("poison.c", Here),
            ("ask.c", There),
            ("said.c", There),
            ("line.c", There),
            ("target.c", There),
        ] {
            let words = [compiler, "-Wall", "-c", source, "-o", "out"];
            assert_as_here(&bench, &server.token, &words, place);
        }
        let words = [compiler, "-Wunused-macros", "-c", "unused.c", "-o", "out"];
        let place = if compiler == "gcc" { Here } else { There };
        assert_as_here(&bench, &server.token, &words, place);
    }
    bench.assert_tidy();
}

/// What appears on a terminal of 80 columns, and the exit code.
fn on_terminal(
    bench: &Bench,
    host: &str,
    command: &str,
    env: &[(&str, &str)],
) -> (Option<i32>, String) {
    let mut script = bench.program(Path::new("script"), host);
    script.envs(env.iter().copied());
    let command = format!("stty cols 60 rows 24; {command}");
    let output = script.args(["-qefc", &command, "/dev/null"]).output().unwrap();
    (output.status.code(), text(&output.stdout))
}

#[test]
fn colours_are_those_of_a_local_compile() {
    let bench = Bench::new();
    bench.write("w.c", &format!("#warning beware\n{WARNED}"));
    bench.write("x.c", WARNED);
    bench.write("s.c", PARSED);
    bench.write("e.c", &format!("{WARNED}int wrong = ;\n"));
    bench.write("p.c", "#warning beware\nint x;\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let distcc = env!("CARGO_BIN_EXE_distcc");
    let terms: [&[(&str, &str)]; 4] = [
        &[("TERM", "xterm-256color")],
        &[("TERM", "dumb")],
        &[("TERM", "xterm"), ("GCC_COLORS", "")],
        &[("TERM", "xterm"), ("GCC_COLORS", "warning=01;32"), ("CLICOLOR_FORCE", "1")],
    ];
    for compiler in ["gcc", "clang"] {
        if !has(compiler) {
            continue;
        }
        for env in terms {
            for source in ["w.c", "x.c", "s.c", "e.c", "p.c"] {
                let command = format!("{compiler} -Wall -Wextra -c {source} -o out");
                let expected = on_terminal(&bench, "", &command, env);
                let command = format!("{distcc} {command}");
                assert_eq!(on_terminal(&bench, &server.token, &command, env), expected, "{env:?}");
                let is_gcc_without = compiler == "gcc" && env.contains(&("GCC_COLORS", ""));
                let coloured = env[0].1 != "dumb" && !is_gcc_without;
                assert_eq!(expected.1.contains("\u{1b}["), coloured, "{env:?} {expected:?}");
            }
        }
        // Asked for by the user, whatever standard error is.
        let option =
            if compiler == "gcc" { "-fdiagnostics-color=always" } else { "-fcolor-diagnostics" };
        let place = if compiler == "gcc" { Here } else { There };
        for (source, place) in [("x.c", place), ("s.c", There), ("p.c", There)] {
            let words = [compiler, option, "-Wall", "-Wextra", "-c", source, "-o", "out"];
            assert_as_here(&bench, &server.token, &words, place);
        }
    }
}
