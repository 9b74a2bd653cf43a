//! What is compiled for this very processor: elsewhere as here.

use std::fs;

use crate::bench::{Bench, StockServer, has, text};

const SOURCE: &str = "typedef struct { char bytes[300]; } Big;\n\
    double dot(const double *a, const double *b, int n) {\n\
    double sum = 0; for (int i = 0; i < n; i++) sum += a[i] * b[i]; return sum; }\n\
    int bits(const unsigned long *x, int n) {\n\
    int c = 0; for (int i = 0; i < n; i++) c += __builtin_popcountl(x[i]); return c; }\n\
    void copy(Big *to, const Big *from) { *to = *from; }\n\
    #ifdef __AVX2__\nint avx2 = 1;\n#endif\n";

const WORDS: [&str; 8] = [
    "-march=native",
    "-mtune=native",
    "-march=native -mtune=native",
    "-mno-avx -march=native",
    "-march=native -mno-avx2",
    "-march=haswell -march=native",
    "-march=native -march=haswell",
    "-mtune=haswell -march=native",
];

#[test]
fn native_means_the_processor_of_the_client() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    bench.write("x.cc", SOURCE);
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for (compiler, source) in
        [("gcc", "x.c"), ("g++", "x.cc"), ("clang", "x.c"), ("clang++", "x.cc")]
    {
        if !has(compiler) {
            continue;
        }
        let n_words = if compiler.ends_with("++") { 3 } else { WORDS.len() };
        let levels = ["-O3", "-O0", "-O1", "-O2"].into_iter().cycle();
        for (level, words) in levels.zip(WORDS).take(n_words) {
            let mut options = vec![level, "-g"];
            options.extend(words.split(' '));
            options.extend(["-c", source, "-o", "out"]);
            let local = bench.program(compiler.as_ref(), "").args(&options).status();
            assert!(local.unwrap().success());
            let expected = stripped(&bench);
            let command: Vec<&str> = [compiler].into_iter().chain(options).collect();
            let (output, log) = bench.run(&server.token, &command);
            assert!(output.status.success() && log.contains("completed ok"), "{command:?}: {log}");
            assert_eq!(text(&output.stderr) + &text(&output.stdout), "", "{command:?}");
            let sent = log.lines().find(|line| line.contains("exec on")).unwrap();
            assert!(!sent.contains("=native") && !sent.contains("-Xclang"), "{sent}");
            assert!(stripped(&bench) == expected, "{command:?} differs");
        }
    }
    bench.assert_tidy();
}

/// The object without what it says to debuggers; it is gone then.
fn stripped(bench: &Bench) -> Vec<u8> {
    let status = bench.program("strip".as_ref(), "").args(["--strip-debug", "out"]).status();
    assert!(status.unwrap().success());
    let object = bench.read("out");
    fs::remove_file(bench.path("work/out")).unwrap();
    object
}

#[test]
fn twenty_clients_at_once_ask_the_compiler_once() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let hosts = format!("{}/4", server.token);
    let start = |n: usize| {
        let mut client = bench.distcc(&hosts);
        client.args(["gcc", "-march=native", "-c", "x.c", "-o", &format!("{n}.o")]);
        client.env("DISTCC_LOG", bench.path(&format!("log-{n}"))).spawn().unwrap()
    };
    let clients: Vec<_> = (0..20).map(start).collect();
    for mut client in clients {
        assert!(client.wait().unwrap().success());
    }
    let asked = |n: usize| {
        let log = fs::read_to_string(bench.path(&format!("log-{n}"))).unwrap();
        assert!(log.contains("completed ok"), "{log}");
        log.matches("asking").count()
    };
    assert_eq!((0..20).map(asked).sum::<usize>(), 1);
    assert_eq!(bench.read("0.o"), bench.read("19.o"));
}

#[test]
fn native_stays_here_where_the_user_or_the_compiler_says_so() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    // Its file is another one than the compiler's, so that it is asked every time.
    let odd = bench.script("bin/gcc", "case $* in *-###*) exit 0;; esac\nexec /usr/bin/gcc \"$@\"");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let odd = odd.to_str().unwrap();
    for (compiler, native, reason) in [
        ("gcc", "local", "-march=native depends on the processor of this machine"),
        (odd, "", "stands for is not known: the compiler does not show its options"),
    ] {
        let log = bench.path("log");
        let mut command = bench.distcc(&server.token);
        command.env("DISTCC_NATIVE", native).env("DISTCC_LOG", &log);
        let status = command.args([compiler, "-march=native", "-c", "x.c"]).status().unwrap();
        let log_text = fs::read_to_string(&log).unwrap();
        assert!(status.success() && log_text.contains(reason), "{log_text}");
        assert!(!log_text.contains(&server.token), "{log_text}");
        fs::remove_file(log).unwrap();
    }
}
