//! Tests of the scan.

use super::super::reason::Weight;
use super::super::testing::{compile_of, words};
use super::*;

fn scan_words(argv: &[OsString]) -> Plan {
    scan(argv, Path::new(&argv[0]))
}

fn reason_of(line: &str) -> LocalReason {
    match scan_words(&words(line)) {
        plan @ (Plan::Distribute(_) | Plan::Split(_)) => panic!("{line}: {plan:?}"),
        Plan::Local(reason) => reason,
    }
}

#[test]
fn compiles_of_one_source_travel() {
    let cases = [
        ("gcc -c a.c", "a.o", Kind::Object, Language::C),
        ("gcc -c d/a.b.c", "a.b.o", Kind::Object, Language::C),
        ("gcc a.c -c -o x", "x", Kind::Object, Language::C),
        ("gcc a.c -c -ox", "x", Kind::Object, Language::C),
        ("gcc -c a.c -o /dev/null", "/dev/null", Kind::Object, Language::C),
        ("gcc -S a.c", "a.s", Kind::Assembly, Language::C),
        ("gcc -S -c a.c", "a.s", Kind::Assembly, Language::C),
        ("gcc -c -S a.c -o b.s", "b.s", Kind::Assembly, Language::C),
        ("g++ -c a.c", "a.o", Kind::Object, Language::Cxx),
        ("gcc -c a.cc", "a.o", Kind::Object, Language::Cxx),
        ("gcc -c a.mm", "a.o", Kind::Object, Language::ObjCxx),
        ("gcc -c a.m", "a.o", Kind::Object, Language::ObjC),
        ("gcc -x c++ -c a.c", "a.o", Kind::Object, Language::Cxx),
        ("gcc -xc++ -c a.c", "a.o", Kind::Object, Language::Cxx),
        ("gcc -x c -c a.txt", "a.o", Kind::Object, Language::C),
        ("gcc -x c++ -x none -c a.c", "a.o", Kind::Object, Language::C),
        ("gcc -x objective-c -c a.c", "a.o", Kind::Object, Language::ObjC),
        ("gcc -include b.c -MF c.c -MD -MT d.c -u e.c -c a.c", "a.o", Kind::Object, Language::C),
    ];
    for (line, output, kind, language) in cases {
        let compile = compile_of(line);
        assert_eq!(compile.output.path, Path::new(output), "{line}");
        assert_eq!((compile.kind, compile.language), (kind, language), "{line}");
    }
}

#[test]
fn the_commands_of_well_known_builds_travel() {
    let lines = [
        "gcc -Wp,-MMD,kernel/.fork.o.d -nostdinc -I./arch/x86/include -include \
         ./include/linux/kconfig.h -D__KERNEL__ -fmacro-prefix-map=./= -Wall -Wundef \
         -Werror=strict-prototypes -fno-strict-aliasing -fshort-wchar -fno-PIE \
         -std=gnu11 -mno-sse -m64 -falign-loops=1 -mno-80387 \
         -mpreferred-stack-boundary=3 -mskip-rax-setup -mtune=generic -mno-red-zone \
         -mcmodel=kernel -Wno-sign-compare -fno-asynchronous-unwind-tables \
         -mindirect-branch=thunk-extern -mindirect-branch-register -mharden-sls=all \
         -fpatchable-function-entry=16,16 -O2 --param=allow-store-data-races=0 \
         -fstack-protector-strong -ftrivial-auto-var-init=zero -pg -mrecord-mcount \
         -mfentry -DCC_USING_FENTRY -Wframe-larger-than=2048 -fconserve-stack -g \
         -gdwarf-5 -DKBUILD_MODFILE=kernel/fork -c -o kernel/fork.o kernel/fork.c",
        "/usr/bin/c++ -DQT_CORE_LIB -I/home/me/build -isystem /usr/include/qt -O2 -g \
         -DNDEBUG -fPIC -fvisibility=hidden -fvisibility-inlines-hidden -Wall \
         -Wextra -std=gnu++17 -Winvalid-pch -MD -MT CMakeFiles/x.dir/a.cpp.o -MF \
         CMakeFiles/x.dir/a.cpp.o.d -o CMakeFiles/x.dir/a.cpp.o -c \
         /home/me/src/a.cpp",
        "clang++ -fcolor-diagnostics -stdlib=libc++ -fexperimental-new-pass-manager \
         -pthread -faligned-new -fansi-escape-codes -Wthread-safety -D_LIBCPP \
         -std=c++20 -c x.cc -o x.o",
        "gcc -DHAVE_CONFIG_H -I. -g -O2 -MT foo.lo -MD -MP -MF .deps/foo.Tpo -c \
         foo.c -fPIC -DPIC -o .libs/foo.o",
        "gcc -fsanitize=address,undefined -fno-omit-frame-pointer \
         -fno-sanitize-recover=all -c a.c -o a.o",
    ];
    for line in lines {
        compile_of(line);
    }
}

#[test]
fn everything_else_stays_here() {
    let cases = [
        ("gcc -E a.c", Weight::Preprocess, "only the preprocessor"),
        ("gcc -M a.c", Weight::Preprocess, "only the preprocessor"),
        ("gcc -MM -c a.c", Weight::Preprocess, "only the preprocessor"),
        ("gcc -Wp,-MM -c a.c", Weight::Preprocess, "only the preprocessor"),
        ("gcc --version", Weight::Free, "--version asks"),
        ("gcc -dumpmachine", Weight::Free, "-dumpmachine asks"),
        ("gcc -print-file-name=x", Weight::Free, "asks"),
        ("gcc --help=target", Weight::Free, "asks"),
        ("gcc", Weight::Free, "no source"),
        ("gcc -v", Weight::Free, "no source"),
        ("gcc -c conftest.c", Weight::Free, "conftest.c"),
        ("gcc -o conftest -O2 x/conftest.cc", Weight::Free, "conftest.cc"),
        ("gcc -c tmp.conftest.c", Weight::Free, "tmp.conftest.c"),
        ("gcc a.c", Weight::Compile, "neither -c nor -S"),
        ("gcc a.o", Weight::Compile, "neither -c nor -S"),
        ("gcc a.o b.o -o x", Weight::Compile, "2 files"),
        ("gcc a.c b.c -o x", Weight::Compile, "2 files"),
        ("gcc -c a.c b.c -o x", Weight::Compile, "2 files"),
        ("gcc -c a.c d/a.cc", Weight::Compile, "2 files"),
        ("gcc -c a.c b.c -MD -MF x", Weight::Compile, "2 files"),
        ("gcc -c a.c b.c -Wp,-MD,x", Weight::Compile, "2 files"),
        ("gcc -c a.c b.c -save-temps", Weight::Compile, "2 files"),
        ("gcc -S a.c b.s", Weight::Compile, "2 files"),
        ("gcc -c a.c -", Weight::Compile, "2 files"),
        ("gcc -c a.c b.o", Weight::Compile, "2 files"),
        ("gcc -c -", Weight::Compile, "standard input"),
        ("gcc -x c -c -", Weight::Compile, "standard input"),
        ("gcc -c a.c -o -", Weight::Compile, "standard output"),
        ("gcc -c a.c -o x -o y", Weight::Compile, "output is not clear"),
        ("gcc -c a.c -o", Weight::Compile, "-o has no value"),
        ("gcc -c a.c -include", Weight::Compile, "-include has no value"),
        ("gcc -c a.s", Weight::Compile, "a.s is not a source"),
        ("gcc -c a.S", Weight::Compile, "a.S is not a source"),
        ("gcc -c a.h", Weight::Compile, "a.h is not a source"),
        ("gcc -c a.go", Weight::Compile, "a.go is not a source"),
        ("gcc -c a", Weight::Compile, "a is not a source"),
        ("gcc -c @args", Weight::Compile, "@args"),
        ("gcc @args", Weight::Compile, "@args"),
        ("gcc -x c-header -c a.h", Weight::Compile, "-x c-header"),
        ("gcc -x assembler -c a.c", Weight::Compile, "-x assembler"),
        ("gcc -x assembler-with-cpp -c a.c", Weight::Compile, "-x assembler-with-cpp"),
        ("gcc -c a.c -x c++", Weight::Compile, "-x c++"),
        ("g++ -x c -c a.c", Weight::Compile, "-x c does not"),
        ("gcc -c a.i -MD", Weight::Compile, "dependencies"),
        ("gcc -c a.c --bogus-option", Weight::Compile, "--bogus-option is not known"),
        ("gcc -c a.c -qfoo", Weight::Compile, "-qfoo is not known"),
        ("gcc -c a.c -fanything=/etc/passwd", Weight::Compile, "may name a file"),
    ];
    for (line, weight, text) in cases {
        let reason = reason_of(line);
        assert!(reason.to_string().contains(text), "{line}: {reason}");
        assert_eq!(reason.weight(), weight, "{line}");
    }
}

#[test]
fn compiles_of_several_sources_are_split() {
    for (line, n_sources) in [
        ("gcc -c a.c b.cc", 2),
        ("gcc -S -O2 a.c b.c c.m -MD", 3),
        ("gcc -c a.c b.s c.S -x c d", 4),
    ] {
        let plan = scan_words(&words(line));
        assert!(
            matches!(&plan, Plan::Split(singles) if singles.len() == n_sources),
            "{line}: {plan:?}"
        );
    }
}

#[test]
fn c_that_clang_takes_for_cxx_stays_here_unless_the_preprocessor_warns() {
    assert_eq!(reason_of("clang++ -c a.i"), LocalReason::TakenForCxx("a.i".to_owned()));
    for line in ["clang++ -xnone -c a.i", "g++ -x c++ -x none -c a.c"] {
        assert_eq!(reason_of(line), LocalReason::LanguageOption("none".to_owned()), "{line}");
    }
    for line in ["clang++ -c a.c b.cc", "clang++ -c b.cc a.i", "g++ -xc++ -c a.c b.c"] {
        assert_eq!(reason_of(line), LocalReason::SeveralInputs { n_inputs: 2 }, "{line}");
    }
    for line in ["clang++ -c a.c", "clang++ -c a.ii", "clang -c a.i", "g++ -c a.i"] {
        compile_of(line);
    }
    for line in ["clang++ -c a.cc b.cc", "g++ -xc++ -c a.cc b.txt", "g++ -c a.c b.c"] {
        assert!(matches!(scan_words(&words(line)), Plan::Split(_)), "{line}");
    }
}

#[test]
fn what_clang_calls_unused_in_expanded_text_is_not_sent() {
    let sent = |line: &str| !compile_of(line).options().is_empty();
    assert!(!sent("clang -fmacro-prefix-map=a=b -c a.c"));
    assert!(sent("clang -fmacro-prefix-map=a=b -c a.i"));
    assert!(sent("clang -ffile-prefix-map=a=b -c a.c"));
    assert!(sent("gcc -fmacro-prefix-map=a=b -c a.c"));
}

#[test]
fn assembly_that_shows_the_options_stays_here() {
    for line in ["gcc -g -S a.c", "clang -O2 -ggdb3 -S a.c -o x", "gcc -S -gdwarf-4 a.i"] {
        let why = Why::RecordsCommand;
        assert!(matches!(reason_of(line), LocalReason::Option { why: found, .. } if found == why));
    }
    compile_of("gcc -g0 -S a.c");
}

#[test]
fn options_that_write_elsewhere_or_run_code_stay_here() {
    let options = "-save-temps -save-temps=obj --save-temps -fstack-usage -gsplit-dwarf --coverage \
        -coverage -fprofile-arcs -fprofile-generate -fprofile-use=x -fauto-profile -ftest-coverage \
        -fdump-tree-all -fdump-rtl-expand=x -fcallgraph-info=su -fopt-info-vec=x -fopt-info=x \
        -aux-info=x -fplugin=x.so \
        -fplugin-arg-x-y -specs=x --specs=x -Bdir -fmodules -fmodules-ts -fmodule-mapper=x \
        -Wa,-a=x -Wa,-ahl -Wa,--MD,x -Wa,@x -time -time=x -v -### -Q -dM -dD -C -CC -P -frepo \
        --output=x -fpass-plugin=x --config=x -emit-llvm -fsyntax-only -fpreprocessed \
        -frecord-gcc-switches -ftime-trace -fsave-optimization-record -MJx -fpch-preprocess \
        --gcc-toolchain=/x -fvtv-counts -fthin-link-bitcode=x -fdiagnostics-format=json -no-integrated-cpp -fcoverage-mapping \
        -fverbose-asm -ftime-report -fmem-report -fstats -fdebug-cpp -fsample-profile=x \
        -fno-preprocessed -fno-directives-only -fembed-bitcode -fdiagnostics-generate-patch";
    for option in words(options) {
        if option == "\\" {
            continue;
        }
        let mut argv = words("gcc -c a.c");
        argv.push(option.clone());
        let plan = scan_words(&argv);
        assert!(matches!(plan, Plan::Local(_)), "{option:?}: {plan:?}");
    }
    for option in [
        "-wrapper",
        "-B",
        "-specs",
        "-aux-info",
        "-dumpdir",
        "-dumpbase",
        "-Xclang",
        "-mllvm",
        "-iplugindir",
        "-arch",
        "--config",
        "-MJ",
    ] {
        let reason = reason_of(&format!("gcc -c {option} x.c a.c"));
        assert!(matches!(reason, LocalReason::Option { .. }), "{option}: {reason}");
    }
}

#[test]
fn dependency_files_are_known_beforehand() {
    let cases = [
        ("gcc -c a.c", None),
        ("gcc -c a.c -MP", None),
        ("gcc -c -MD d/a.c", Some("a.d")),
        ("gcc -c -MD d/a.c -o e/b.o", Some("e/b.d")),
        ("gcc -c -MMD a.c -MF x -o e/b.o", Some("x")),
        ("gcc -c -Wp,-MD,y a.c -o e/b.o", Some("y")),
    ];
    for (line, file) in cases {
        assert_eq!(compile_of(line).dependency_file.as_deref(), file.map(Path::new), "{line}");
    }
}

#[test]
fn an_ident_is_expected_unless_the_command_forbids_it() {
    let cases = [
        ("gcc -c a.c", true),
        ("gcc -S a.c", false),
        ("gcc -c -fno-ident a.c", false),
        ("clang -c -Qn a.c", false),
        ("clang -c -flto=thin a.c", false),
        ("gcc -c -flto=auto a.c", true),
        ("clang -c -flto a.c", false),
    ];
    for (line, expected) in cases {
        assert_eq!(compile_of(line).wants_ident, expected, "{line}");
    }
}

#[test]
fn only_servers_of_ours_take_lto_as_gcc_spells_it() {
    for (line, only_ours) in [
        ("gcc -c -flto a.c", true),
        ("gcc -c -flto=auto a.c", false),
        ("clang -c -flto a.c", false),
    ] {
        assert_eq!(compile_of(line).only_ours, only_ours, "{line}");
    }
}

#[test]
fn clang_is_told_the_directory_for_debuggers() {
    let told = |line: &str, compiler: &str| {
        let Plan::Distribute(mut compile) = scan(&words(line), Path::new(compiler)) else {
            panic!("{line} stays here");
        };
        compile.note_directory(Path::new("/home/me/x"));
        compile.travels.contains(&b"-fdebug-compilation-dir=/home/me/x".to_vec())
    };
    let clang = "/usr/lib/llvm-14/bin/clang";
    assert!(told("clang-14 -g -c a.c", clang));
    assert!(told("cc -g -c a.c", clang));
    assert!(!told("clang-14 -c a.c", clang));
    assert!(!told("clang-14 -g -ffile-compilation-dir=. -c a.c", clang));
    assert!(!told("gcc -g -c a.c", "/usr/bin/x86_64-linux-gnu-gcc-12"));
}
