//! The command lines of Linux kernels (6.1 to 6.12, as `make V=1` shows them for x86-64 and arm64, by
//! gcc and by clang, with debug information, sanitizers and mitigations as distributors set them):
//! which of them travel, and that what travels makes the same object.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::{Plan, Project, compare, scan, server_argv, skip, tool_exists, vet};
use crate::command::Form;

/// What every file of every kernel is compiled with.
const EVERYWHERE: &str = "-Wp,-MMD,out/.fork.o.d -nostdinc -Ilib/arch/include -Ilib -include \
    lib/compiler-version.h -include lib/kconfig.h -include lib/compiler_types.h -D__KERNEL__ \
    -fmacro-prefix-map=./= -std=gnu11 -fshort-wchar -funsigned-char -fno-common -fno-PIE \
    -fno-strict-aliasing -Wall -Wextra -Wundef -Werror=implicit-function-declaration \
    -Werror=implicit-int -Werror=return-type -Werror=strict-prototypes -Wno-format-security \
    -Wno-trigraphs -Wno-frame-address -Wno-address-of-packed-member -Wmissing-declarations \
    -Wmissing-prototypes -Wframe-larger-than=2048 -Wvla -Wno-pointer-sign -Wcast-function-type \
    -Wimplicit-fallthrough -Werror=date-time -Werror=incompatible-pointer-types -Wenum-conversion \
    -Wno-unused-but-set-variable -Wno-unused-const-variable -Wno-override-init -Wno-sign-compare \
    -Wno-missing-field-initializers -Wno-type-limits -Wno-shift-negative-value \
    -fno-asynchronous-unwind-tables -fno-delete-null-pointer-checks -O2 -fstack-protector-strong \
    -ftrivial-auto-var-init=zero -fno-strict-overflow \
    -fno-stack-check -DKBUILD_MODFILE=\"kernel/fork\" -DKBUILD_BASENAME=\"fork\" \
    -DKBUILD_MODNAME=\"fork\" -D__KBUILD_MODNAME=kmod_fork -c -o out/fork.o lib/fork.c";

/// Of gcc.
const GCC: &str = "-fno-allow-store-data-races -fconserve-stack -Wno-main -Wno-array-bounds \
    -Wno-stringop-overflow -Wno-alloc-size-larger-than -Werror=designated-init \
    -Wno-packed-not-aligned -Wno-format-overflow -Wno-format-truncation -Wno-maybe-uninitialized \
    -Wno-stringop-truncation -Wno-restrict -Wno-dangling-pointer -fmin-function-alignment=16";

/// Of clang.
const CLANG: &str = "-fintegrated-as -Werror=unknown-warning-option \
    -Werror=ignored-optimization-argument -Werror=option-ignored -Wno-gnu \
    -Werror=unused-command-line-argument -Wno-initializer-overrides -Wno-format-invalid-specifier \
    -Wno-tautological-constant-out-of-range-compare -Wno-unaligned-access \
    -Wno-enum-compare-conditional -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang";

const X86: &str = "-fno-stack-clash-protection -mno-sse -mno-mmx -mno-sse2 -mno-3dnow -mno-avx -fcf-protection=branch \
    -fno-jump-tables -m64 -falign-loops=1 -mno-80387 -mno-red-zone -mcmodel=kernel -mtune=generic \
    -mharden-sls=all -fpatchable-function-entry=16,16 -pg -mfentry -DCC_USING_FENTRY";
const X86_GCC: &str = "-falign-jumps=1 -mno-fp-ret-in-387 -mpreferred-stack-boundary=3 \
    -mskip-rax-setup -mindirect-branch=thunk-extern -mindirect-branch-register \
    -mindirect-branch-cs-prefix -mfunction-return=thunk-extern -mrecord-mcount \
    -fzero-call-used-regs=used-gpr -falign-functions=16";
const X86_CLANG: &str = "--target=x86_64-linux-gnu -mstack-alignment=8 -mretpoline-external-thunk \
    -mfunction-return=thunk-extern -mskip-rax-setup";
const ARM64: &str = "-mlittle-endian -mgeneral-regs-only -DCONFIG_CC_HAS_K_CONSTRAINT=1 \
    -mbranch-protection=pac-ret -Wa,-march=armv8.5-a -DARM64_ASM_ARCH=\"armv8.5-a\" \
    -fpatchable-function-entry=4,2 -mstack-protector-guard=sysreg \
    -mstack-protector-guard-reg=sp_el0 -mstack-protector-guard-offset=1368 -moutline-atomics";

/// What single files, directories and settings add, and how often by the hundred of files.
const ADDED: [&str; 22] = [
    "",
    "-g -gdwarf-5",
    "-g",
    "-DMODULE",
    "-DMODULE -g -gdwarf-4 -gz=zlib",
    "-ffunction-sections -fdata-sections",
    "-fno-stack-protector -fno-optimize-sibling-calls",
    "-fno-omit-frame-pointer -fno-optimize-sibling-calls",
    "-Os -fno-builtin",
    "-O3 -Wno-unused-function",
    "-Werror -Wno-error=unused-variable",
    "-I./drivers/gpu/drm/amd/include -DAMDGPU=1 -Wno-uninitialized",
    "-fsanitize=kernel-address -fasan-shadow-offset=0xdffffc0000000000",
    "-fsanitize=bounds -fsanitize=shift",
    "-fsanitize=undefined -fno-sanitize=alignment",
    "-fsanitize-coverage=trace-pc",
    "-fsanitize-coverage=trace-pc,trace-cmp",
    "-ffreestanding -fno-pic",
    "-fPIC -fvisibility=hidden -fno-builtin",
    "-femit-struct-debug-baseonly -fno-var-tracking -g",
    "-Wa,--fatal-warnings -Wa,--noexecstack",
    "-fdebug-info-for-profiling -g1 -mno-omit-leaf-frame-pointer",
];

/// What keeps a kernel's file here, and why.
const LOCAL: [(&str, &str); 9] = [
    ("-fplugin=./scripts/gcc-plugins/latent_entropy_plugin.so", "load"),
    ("-fplugin-arg-latent_entropy_plugin-disable", "load"),
    ("-fprofile-arcs -ftest-coverage", "profile"),
    ("-gsplit-dwarf", "further files"),
    ("-fstack-usage", "further files"),
    ("-mllvm -asan-mapping-offset=0xdfff800000000000", "passes options"),
    ("-fauto-profile=./kernel.afdo", "profile"),
    ("-march=native -fverbose-asm", "records the command"),
    ("-save-temps=obj", "further files"),
];

const SOURCE: &str = "#include <linux/init.h>\nint fork(struct task *t);\n\
    int fork(struct task *t)\n{\n\tswitch (t->n) {\n\tcase 1:\n\t\tt->n++;\n\t\tfallthrough;\n\
    \tdefault:\n\t\treturn t->n + HZ;\n\t}\n}\n\
    static const char file[] __attribute__((used)) = __FILE__ KBUILD_MODNAME;\n";

fn words(parts: &[&str]) -> Vec<OsString> {
    parts.iter().flat_map(|part| part.split_whitespace()).map(OsString::from).collect()
}

/// Compiler, and what its lines begin with.
fn kinds() -> [(&'static str, Vec<&'static str>); 4] {
    [
        ("gcc", vec![EVERYWHERE, GCC, X86, X86_GCC]),
        ("clang", vec![EVERYWHERE, CLANG, X86, X86_CLANG]),
        ("aarch64-linux-gnu-gcc", vec![EVERYWHERE, GCC, ARM64, "-mabi=lp64"]),
        ("clang", vec![EVERYWHERE, CLANG, ARM64, "--target=aarch64-linux-gnu"]),
    ]
}

/// Why a line stays here or is refused; none if it is compiled elsewhere.
fn stays(argv: &[OsString]) -> Option<String> {
    match scan(argv, Path::new(&argv[0])) {
        Plan::Distribute(compile) => {
            let sent = server_argv(&compile, b"gcc", &Form::Plain);
            vet(&sent).err().map(|refusal| format!("refused: {refusal}"))
        }
        Plan::Split(_) => Some("several sources".to_owned()),
        Plan::Local(reason) => Some(reason.to_string()),
    }
}

#[test]
fn kernels_are_compiled_elsewhere_but_for_plugins_coverage_and_further_files() {
    let (mut n_lines, mut kept) = (0, Vec::new());
    for (compiler, base) in kinds() {
        for added in ADDED {
            let argv = words(&[&[compiler], &base[..], &[added]].concat());
            n_lines += 1;
            kept.extend(stays(&argv).map(|why| format!("{compiler} {added}: {why}")));
        }
        for (added, reason) in LOCAL {
            let argv = words(&[&[compiler], &base[..], &[added]].concat());
            let why = stays(&argv).unwrap_or_else(|| panic!("{added} travels"));
            assert!(why.contains(reason), "{added}: {why}");
        }
    }
    println!("{} of {n_lines} lines travel", n_lines - kept.len());
    assert_eq!(kept, [""; 0]);
}

/// Those of this machine's compilers make the same object of it in two halves.
#[test]
fn objects_of_kernels_are_those_of_a_local_compile() {
    // Of versions later than those that are tested with.
    let later =
        ["-fmin-function-alignment=16", "-mfunction-return=thunk-extern", "-mharden-sls=all"];
    for (compiler, base) in kinds() {
        if !tool_exists(compiler) {
            skip(&format!("{compiler} is not installed"));
            continue;
        }
        let project = Project::new();
        fs::create_dir_all(project.path("lib/linux")).expect("directory");
        for (name, text) in [
            ("lib/compiler-version.h", "#ifdef __GCC_VERSION\n#endif\n"),
            ("lib/kconfig.h", "#define HZ 250\n"),
            ("lib/compiler_types.h", "#define fallthrough __attribute__((__fallthrough__))\n"),
            ("lib/linux/init.h", "struct task { int n; };\n"),
            ("lib/fork.c", SOURCE),
        ] {
            fs::write(project.path(name), text).expect("source");
        }
        // The `strip` that is at hand knows no other machine's debug information.
        let debug = if base.contains(&ARM64) { "-DMODULE" } else { "-g -gdwarf-5 -DMODULE" };
        for added in ["", debug, "-Os -ffunction-sections -Wa,--noexecstack"] {
            let argv = words(&[&[compiler], &base[..], &[added]].concat());
            let is_later = |word: &OsString| later.iter().any(|later| word == later);
            let argv: Vec<OsString> = argv.into_iter().filter(|word| !is_later(word)).collect();
            if let Err(failure) = compare(&project, added, &argv) {
                panic!("{failure}");
            }
        }
    }
}
