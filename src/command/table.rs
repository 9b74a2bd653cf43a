//! The option table: gcc up to 15 and clang up to 21, as their lists (`complete` compares them) and
//! manuals give them, for C, C++, Objective-C and Objective-C++. What is not here is not known to be safe elsewhere: the client
//! compiles locally, the server refuses.

use super::options::{Check, Client, Dependency, Row, Server, Takes, Why};

use Takes::{Either, Glued, Nothing};

/// Sent to the server when its value passes `value`.
const fn travels(takes: Takes, value: Check, spellings: &'static [&'static str]) -> Row {
    Row { spellings, takes, value, client: Client::Travels, server: Server::Kept }
}

/// Of use here only; a server that gets it all the same leaves it out.
const fn stays(takes: Takes, spellings: &'static [&'static str]) -> Row {
    let (client, server) = (Client::Stays, Server::Dropped);
    Row { spellings, takes, value: Check::Text, client, server }
}

/// About dependency files.
const fn depends(takes: Takes, of: Dependency, spellings: &'static [&'static str]) -> Row {
    let (client, server) = (Client::Dependency(of), Server::Dropped);
    Row { spellings, takes, value: Check::Text, client, server }
}

/// Never leaves the machine, never accepted.
const fn local(takes: Takes, why: Why, spellings: &'static [&'static str]) -> Row {
    let (client, server) = (Client::Local(why), Server::Refused(why));
    Row { spellings, takes, value: Check::Text, client, server }
}

/// Asks the compiler about itself.
const fn query(takes: Takes, spellings: &'static [&'static str]) -> Row {
    let (client, server) = (Client::Query, Server::Refused(Why::Prints));
    Row { spellings, takes, value: Check::Text, client, server }
}

/// Runs the preprocessor only.
const fn preprocesses(takes: Takes, spellings: &'static [&'static str]) -> Row {
    let (client, server) = (Client::PreprocessOnly, Server::Refused(Why::OtherOutput));
    Row { spellings, takes, value: Check::Text, client, server }
}

/// Says what is made of what.
const fn shapes(takes: Takes, client: Client, server: Server, spelling: &'static [&str]) -> Row {
    Row { spellings: spelling, takes, value: Check::Text, client, server }
}

/// The next word, of an option that never travels.
const NEXT: Takes = Takes::Separate("");

/// Every option known, by kind; the longest spelling that fits a word decides.
// Lists of words, which rustfmt would set one a line.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    shapes(Nothing, Client::Object, Server::Object, &["-c"]),
    shapes(Nothing, Client::Assembly, Server::Assembly, &["-S"]),
    shapes(Either, Client::Output, Server::Output, &["-o"]),
    shapes(Either, Client::Language, Server::Language, &["-x"]),
    preprocesses(Nothing, &["-E", "--preprocess", "--dependencies", "--user-dependencies"]),
    preprocesses(Glued, &["-M"]),
    // Dependency files, written by the preprocessor here.
    depends(Nothing, Dependency::Written, &["-MD", "-MMD"]),
    shapes(
        Glued,
        Client::Dependency(Dependency::WrittenByPreprocessor),
        Server::Refused(Why::PassesOn),
        &["-Wp,-MD,", "-Wp,-MMD,"],
    ),
    depends(Either, Dependency::File, &["-MF"]),
    depends(Either, Dependency::Target, &["-MT", "-MQ"]),
    depends(Nothing, Dependency::Form, &["-MP", "-MG", "-MV"]),
    local(Either, Why::SideFiles, &["-MJ"]),
    // The preprocessor's: done before the source travels.
    stays(Either, &[
        "-D", "-U", "-I", "-A", "-F", "-include", "-imacros", "-iprefix", "-iwithprefix",
        "-iwithprefixbefore", "-isystem", "-isystem-after", "-iquote", "-idirafter", "-isysroot",
        "-iwithsysroot", "-imultilib", "-imultiarch", "-iframework", "-iframeworkwithsysroot",
        "-c-isystem", "-cxx-isystem", "-stdlib++-isystem",
    ]),
    stays(Nothing, &[
        "-undef", "-nostdinc", "-nostdinc++", "-nostdlibinc", "-nobuiltininc", "-remap", "-H",
        "-ibuiltininc", "-trigraphs", "-traditional-cpp", "-no-canonical-prefixes", "-canonical-prefixes",
    ]),
    stays(NEXT, &["--sysroot"]),
    // The text that travels is in UTF-8 already: a second conversion would spoil it.
    stays(Glued, &[
        "--sysroot=", "-stdlib=", "--stdlib=", "-finput-charset=", "-mzos-sys-include=",
        "--embed-dir=",
    ]),
    local(Nothing, Why::Preprocessing, &[
        "-C", "-CC", "-P", "-traditional", "--comments", "--comments-in-macros",
        "--no-line-commands", "-fkeep-system-includes",
    ]),
    local(Glued, Why::Preprocessing, &[
        "-fpreprocessed", "-fno-preprocessed", "-fno-directives-only",
        "-fsearch-include-path", "-d",
    ]),
    shapes(
        Nothing,
        Client::Local(Why::Preprocessing),
        Server::Directives,
        &["-fdirectives-only"],
    ),
    local(Nothing, Why::Preprocessing, &[
        "-no-integrated-cpp", "-frewrite-includes", "-frewrite-imports", "-fdebug-cpp",
        "-fuse-line-directives", "-fminimize-whitespace",
    ]),
    // The linker's: nothing is linked with -c or -S.
    stays(Either, &["-l", "-L", "-T"]),
    stays(NEXT, &["-Xlinker", "-u", "-z", "-e", "-Tbss", "-Tdata", "-Ttext", "-rpath"]),
    stays(Glued, &["-Wl,", "-fuse-ld=", "--ld-path=", "--rtlib=", "-rtlib=", "--unwindlib=", "-unwindlib="]),
    stays(Nothing, &[
        "-s", "-r", "-static", "-shared", "-pie", "-no-pie", "-static-pie", "-rdynamic",
        "-symbolic", "-nostdlib", "-nodefaultlibs", "-nostartfiles", "-nolibc", "-nostdlib++",
        "-static-libgcc", "-shared-libgcc", "-static-libstdc++", "-static-libasan",
        "-static-libtsan", "-static-liblsan", "-static-libubsan", "-static-libsan", "-shared-libsan",
        "-static-openmp", "-gpulibc",
    ]),
    // How the compiler's own parts talk to each other; the server decides for itself.
    stays(Nothing, &["-pipe", "--pipe"]),
    // What is to be made of the source: families of options that name no file.
    travels(Glued, Check::Word, &["-f", "-m", "-W", "-O", "-g", "-std=", "--std="]),
    travels(Nothing, Check::Word, &[
        "-ansi", "-pedantic", "-pedantic-errors", "-w", "-p", "-pg", "-pthread", "-no-pthread",
        "-Qn", "-Qy", "-Qunused-arguments", "--all-warnings", "--extra-warnings", "--pedantic",
        "--pedantic-errors", "--no-warnings", "--ansi",
        // Kernels give it to clang up to 15.
        "-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang",
    ]),
    travels(Either, Check::Word, &[
        "-fxray-modes=", "-fxray-instruction-threshold=", "-fxray-instrumentation-bundle=",
    ]),
    travels(Takes::Separate("--param="), Check::Word, &["--param"]),
    travels(Takes::Separate("--target="), Check::Word, &["-target"]),
    travels(Glued, Check::Word, &["--param=", "--target="]),
    travels(Either, Check::Word, &["-G"]),
    travels(Glued, Check::Assembler, &["-Wa,"]),
    travels(Takes::Separate("-Wa,"), Check::AssemblerOption, &["-Xassembler"]),
    // Names and paths that are only written into the object or compared with line markers.
    travels(Glued, Check::Text, &[
        "-fdebug-prefix-map=", "-ffile-prefix-map=", "-fmacro-prefix-map=", "-frandom-seed=",
        "-fdebug-compilation-dir=", "-ffile-compilation-dir=",
        "-finstrument-functions-exclude-file-list=",
    ]),
    // Longer than `-femit-`, which writes modules.
    travels(Glued, Check::Word, &[
        "-femit-struct-debug-", "-femit-class-debug-always", "-femit-all-decls",
    ]),
    // Kept here: further files, which the protocol cannot bring back.
    local(Glued, Why::SideFiles, &[
        "-save-temps", "--save-temps", "-fstack-usage", "-gsplit-dwarf", "-fdump-",
        "-fcallgraph-info", "-fopt-info-", "-fopt-info=", "-fsave-optimization-record",
        "-foptimization-record-", "-ftime-trace", "-fproc-stat-report", "-fcrash-diagnostics",
        "-fdiagnostics-add-output=", "-fdiagnostics-set-output=", "-fdiagnostics-format=",
        "-fdeps-", "-gen-reproducer", "-fada-spec", "-femit-", "-fcompare-debug", "-time=",
        "-dumpdir=", "-dumpbase=", "-fvtv-counts", "-fvtv-debug", "-fthin-link-bitcode",
        "-freport-bug",
    ]),
    local(NEXT, Why::SideFiles, &[
        "-aux-info", "-dumpdir", "-dumpbase", "-dumpbase-ext", "--serialize-diagnostics",
        "-serialize-diagnostics", "-index-store-path", "-dependency-file",
        "-module-dependency-dir", "-gen-cdb-fragment-path",
    ]),
    // Of clang, with the next word as their value; glued to its option it travels.
    local(NEXT, Why::Unusual, &[
        "-fdebug-compilation-dir", "-filelist", "-fnew-alignment", "-ftrapv-handler",
        "-fxray-instruction-threshold",
    ]),
    local(Glued, Why::SideFiles, &[
        "--output", "-aux-info=", "--dump", "-save-stats", "-via-file-asm", "-flto-incremental",
    ]),
    local(Glued, Why::Profile, &[
        "--coverage", "-coverage", "-fprofile", "-fauto-profile", "-fbranch-probabilities",
        "-ftest-coverage", "-fcoverage-", "-fcs-profile", "-fcondition-coverage",
        "-fpath-coverage", "-fmemory-profile", "-fpgo-", "-fpseudo-probe-for-profiling",
        "-fsample-profile", "-fno-sample-profile", "-fcodegen-data-", "-ftemporal-profile",
        "-forder-file-instrumentation",
    ]),
    // Of this processor; said in the words of every processor before it is sent.
    shapes(
        Glued,
        Client::Native,
        Server::Refused(Why::Native),
        &["-march=native", "-mtune=native", "-mcpu=native"],
    ),
    // Code execution and files of the server.
    local(Glued, Why::RunsCode, &[
        "-fplugin", "-fpass-plugin", "-wrapper=", "-load", "-fltrans", "-fwpa", "-foffload",
        "-fself-test", "-ccc-", "-fthinlto-distributor", "-fdepscan", "-fcas-", "--dxv-path",
        "--verify-debug-info", "--wasm-opt", "--no-wasm-opt", "--amdgpu-arch-tool",
        "--nvptx-arch-tool", "--ptxas-path",
    ]),
    local(NEXT, Why::RunsCode, &["-wrapper", "-b"]),
    local(Either, Why::RunsCode, &["-specs", "--specs", "-iplugindir", "-B"]),
    local(Either, Why::NamesPath, &[
        "--config", "-working-directory", "-resource-dir", "-ivfsoverlay", "-vfsoverlay",
        "-iapinotes-modules",
    ]),
    local(Glued, Why::NamesPath, &[
        "--gcc-toolchain", "-gcc-", "--gcc-install-dir", "--gcc-triple", "--no-default-config",
        "--warning-suppression-mappings", "-mdevices-csv-loc", "--cuda-path", "--driver-mode",
        "-fsanitize-blacklist", "-fsanitize-ignorelist", "-fsanitize-coverage-allowlist",
        "-fsanitize-coverage-ignorelist", "-fsanitize-coverage-whitelist",
        "-fsanitize-coverage-blacklist", "-fsanitize-system-", "-fxray-attr-list",
        "-fxray-always-instrument", "-fxray-never-instrument", "-fthinlto-index", "-fresolution",
        "-frandomize-layout-seed-file", "-fbasic-block-sections=list", "-fapinotes",
        "-fintrinsic-modules-path", "-fms-secure-hotpatch-functions-file", "-gembed-source",
        "-fembed-offload-object", "-fexperimental-sanitize-metadata-ignorelist",
    ]),
    local(NEXT, Why::PassesOn, &[
        "-Xclang", "-Xpreprocessor", "-Xanalyzer", "-mmlir", "-Xcuda-ptxas", "-mthread-model",
        "-meabi",
        "-Xcuda-fatbinary", "-Xopenmp-target",
    ]),
    local(Either, Why::PassesOn, &["-mllvm"]),
    local(Glued, Why::PassesOn, &[
        "-Wp,", "-Xopenmp-target=", "-Xarch_", "-Xclang=", "-Xoffload-", "-Xthinlto-",
    ]),
    local(Glued, Why::Modules, &[
        "-fmodule", "-fimplicit-module", "-fprebuilt-", "-fbuild-session", "-fpch", "-include-pch",
        "-gmodules", "-fcxx-modules", "-fno-implicit-module", "-fno-modules",
        "-fbuiltin-module-map", "-fsystem-module", "-module-file-info", "-relocatable-pch",
    ]),
    local(Nothing, Why::Modules, &["--precompile", "-emit-pch"]),
    local(Nothing, Why::RecordsCommand, &[
        "-frecord-gcc-switches", "-frecord-command-line", "-grecord-command-line",
        "-gcodeview-command-line",
    ]),
    local(Glued, Why::RecordsCommand, &["-fembed-bitcode"]),
    shapes(Nothing, Client::Local(Why::RecordsCommand), Server::Kept, &["-fverbose-asm"]),
    local(Nothing, Why::OtherOutput, &[
        "-fsyntax-only", "-emit-llvm", "-emit-ast", "--analyze", "-analyze", "-rewrite-objc",
        "-verify-pch", "-ObjC", "-ObjC++", "-frepo", "-fdriver-only", "-extract-api", "--migrate",
        "--pretty-sgf",
    ]),
    local(Glued, Why::OtherOutput, &[
        "-emit-interface-stubs", "-emit-merged-ifs", "-emit-symbol-graph", "--emit-", "-arcmt-",
        "-rewrite-legacy-objc", "--extract-api-", "--symbol-graph-dir", "--analyzer-output",
    ]),
    local(NEXT, Why::SeveralTargets, &["-arch"]),
    local(Glued, Why::SeveralTargets, &[
        "-fopenmp-targets=", "-fsycl", "--offload", "--no-offload", "--cuda-", "--no-cuda-", "--hip",
        "--no-hip", "-no-hip-rt", "-nohip", "--gpu-", "--no-gpu-", "-nogpu", "--rocm-",
        "--libomptarget-", "-cuid=",
    ]),
    // Long forms, whose short ones are what anybody writes, and those of other languages.
    local(Glued, Why::Unusual, &[
        "--assert", "--define-macro", "--undefine-macro", "--include", "--imacros",
        "--no-standard-includes", "--trace-includes", "--traditional-cpp", "--trigraphs",
        "--write-dependencies", "--write-user-dependencies", "--debug", "--optimize", "--profile",
        "--system-header-prefix", "--no-system-header-prefix", "--rsp-quoting",
        "--start-no-unused-arguments", "--end-no-unused-arguments", "-index-header-map", "-cl-",
        "-cpp=", "-hlsl-entry", "-sycl-std=", "-regcall4",
    ]),
    local(NEXT, Why::Unusual, &["-fexperimental-openacc-macro-override"]),
    // What is printed would be the server's, or twice.
    local(Nothing, Why::Prints, &[
        "-###", "-time", "-Q", "--verbose", "-fversion", "-ftarget-help", "-fdbg-cnt-list",
        "-fdiagnostics-generate-patch", "-fopt-info", "-fsarif-time-report", "-quiet", "-version",
        "-fno-help", "-fno-target-help", "-fno-version",
    ]),
    local(Glued, Why::Prints, &["-fhelp", "-fdump-internal-locations", "-fdbg-cnt", "-R"]),
    shapes(Glued, Client::Local(Why::Prints), Server::Kept, &[
        "-ftime-report", "-fmem-report", "-fpre-ipa-mem-report", "-fpost-ipa-mem-report",
        "-flto-report", "-fstats", "-mdump-tune-features",
    ]),
    shapes(Nothing, Client::Local(Why::Prints), Server::Kept, &["-v"]),
    query(Glued, &[
        "--version", "--completion", "--help", "-help", "--target-help", "-dumpversion", "-dumpfullversion",
        "-dumpmachine", "-dumpspecs", "-print-", "--print-",
    ]),
];
