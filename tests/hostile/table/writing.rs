//! Options that name a file to write.

use crate::attack::Attack;

const FUNCTION: &str =
    "int f(int n) { int s = 0; for (int i = 0; i < n; i++) s += i; return s; }\n";

const fn writes(name: &'static str, argv: &'static [&'static str]) -> Attack {
    Attack::marks_by(name, argv, FUNCTION)
}

pub(super) const ATTACKS: &[Attack] = &[
    writes("-aux-info", &["gcc", "-aux-info", "{mark}"]),
    writes("-fdump-tree-X=", &["gcc", "-fdump-tree-original={mark}"]),
    writes("-x c -MD -MF", &["gcc", "-x", "c", "-MD", "-MF", "{mark}"]),
    writes("-Wp,-MD,", &["gcc", "-x", "c", "-Wp,-MD,{mark}"]),
    writes(
        "-Xpreprocessor -MD",
        &["gcc", "-x", "c", "-Xpreprocessor", "-MD", "-Xpreprocessor", "{mark}"],
    ),
    writes("-fdump-tree-all -dumpdir", &["gcc", "-fdump-tree-all", "-dumpdir", "{marks}/"]),
    writes("-fdump-final-insns=", &["gcc", "-fdump-final-insns={mark}"]),
    writes("-fdump-go-spec=", &["gcc", "-fdump-go-spec={mark}"]),
    writes("-fopt-info-all=", &["gcc", "-O2", "-fopt-info-all={mark}"]),
    writes("-time=", &["gcc", "-time={mark}"]),
    writes("-Xassembler -a=", &["gcc", "-Xassembler", "-a={mark}"]),
    writes("-Wa,-MD,", &["gcc", "-Wa,-MD,{mark}"]),
    writes("-save-temps -dumpdir", &["gcc", "-save-temps", "-dumpdir", "{marks}/"]),
    writes("-fstack-usage -dumpdir", &["gcc", "-fstack-usage", "-dumpdir", "{marks}/"]),
    writes("-fcallgraph-info -dumpdir", &["gcc", "-fcallgraph-info", "-dumpdir", "{marks}/"]),
    writes("-gsplit-dwarf -dumpdir", &["gcc", "-g", "-gsplit-dwarf", "-dumpdir", "{marks}/"]),
    writes("-coverage -fprofile-note=", &["gcc", "-coverage", "-fprofile-note={mark}"]),
    writes("--serialize-diagnostics", &["clang", "--serialize-diagnostics", "{mark}"]),
    writes(
        "-Xclang -dependency-file",
        &[
            "clang",
            "-Xclang",
            "-dependency-file",
            "-Xclang",
            "{mark}",
            "-Xclang",
            "-MT",
            "-Xclang",
            "x",
        ],
    ),
    writes(
        "-foptimization-record-file=",
        &["clang", "-O2", "-fsave-optimization-record", "-foptimization-record-file={mark}"],
    ),
];
