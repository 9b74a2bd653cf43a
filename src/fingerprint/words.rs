//! Which words of a compiler's own account make it generate other code than its sibling of the same
//! version. Two lists: words of `configure` that set a default, and options that the driver hands
//! to the compiler proper without being asked (from specs, a configuration file or a wrapper).
//!
//! Words that merely differ from one rebuild to the next (paths, bug addresses, languages, checking,
//! bootstrap) are left out, or a farm of one distribution would fall apart at each package revision.

use super::Family;

/// Longest word that is kept, in bytes; a hostile peer may say anything.
const MAX_WORD: usize = 160;
/// Most words that are kept. `-march=native` in a wrapper expands to about a hundred.
const MAX_WORDS: usize = 160;

/// Names of `--enable-X`, `--disable-X`, `--with-X`, `--without-X` (gcc's "Installing GCC:
/// Configuration") that change the code generated when the command line does not say, each with the
/// reason. A `*` ends a prefix. Deliberately absent:
/// - `default-libstdcxx-abi`, `libstdcxx-*`, `clocale`: they act in headers, which the client expands;
/// - `threads`, `multilib`, `multiarch`, `linker-*`, `system-zlib`, `sysroot`: search paths, libraries
///   and linking, none of which a remote compile does;
/// - `checking`, `bootstrap`, `build-config`, `languages`, `plugin`, `nls`: not in the output.
const CONFIGURE: &[(&str, &str)] = &[
    ("arch*", "default -march, also arch-32 and arch-64"),
    ("cpu*", "default -mcpu"),
    ("tune*", "default -mtune"),
    ("abi", "default -mabi, or -m64 against -m32"),
    ("isa-spec", "RISC-V: what -march stands for"),
    ("cmodel", "default code model"),
    ("endian", "default byte order"),
    ("mode", "ARM: -marm against -mthumb"),
    ("float", "soft or hard floating point"),
    ("fpu", "default -mfpu"),
    ("fpmath", "x86: default -mfpmath"),
    ("long-double*", "size and format of long double"),
    ("decimal-float", "format of _Decimal64"),
    ("fixed-point", "fixed-point types"),
    ("s390-excess-float-precision", "type in which floats are computed"),
    ("nan", "MIPS: encoding of NaN"),
    ("fp-32", "MIPS: default -mfp"),
    ("odd-spreg-32", "MIPS: default -modd-spreg"),
    ("llsc", "MIPS: atomic instructions"),
    ("synci", "MIPS: default -msynci"),
    ("divide", "MIPS: checks for division by zero"),
    ("mips-plt", "MIPS: calling through a PLT"),
    ("lxc1-sxc1", "MIPS: indexed loads"),
    ("madd4", "MIPS: fused multiply-add"),
    ("msa", "MIPS: vector instructions"),
    ("compact-branches", "MIPS: branch instructions"),
    ("fix-*", "workarounds for processor errata"),
    ("standard-branch-protection", "AArch64: -mbranch-protection=standard"),
    ("secureplt", "PowerPC: PLT format"),
    ("altivec", "PowerPC: vector instructions"),
    ("simd", "default vector extension"),
    ("default-pie", "-fPIE when nothing is said"),
    ("default-ssp", "-fstack-protector-strong when nothing is said"),
    ("cet", "control-flow protection"),
    ("stack-clash-protection-guard-size", "distance between stack probes"),
    ("frame-pointer", "-fno-omit-frame-pointer when nothing is said"),
    ("gnu-unique-object", "binding of C++ template statics"),
    ("initfini-array", ".init_array against .ctors"),
    ("__cxa_atexit", "how static destructors are registered"),
    ("comdat", "section groups"),
    ("tls", "thread-local storage, native or emulated"),
    ("sjlj-exceptions", "exception model"),
    ("dwarf2", "exception model and debug format"),
    ("gnu-as", "directives that the assembler is given"),
    ("offload-targets", "tables for accelerators under -fopenmp"),
    ("offload-defaulted", "accelerators asked for when nothing is said"),
    ("targets", "which of -m32 and -m64 exist"),
    ("specs", "options that the driver adds"),
];

/// Options on the compiler's own command line that gcc's driver always adds and that say nothing of
/// defaults.
const GCC_NOISE: &[&str] = &[
    "-fpreprocessed",
    "-fdirectives-only",
    "-fworking-directory",
    "-fdiagnostics",
    "-fdebug-prefix-map",
    "-ffile-prefix-map",
    "-fmacro-prefix-map",
];

/// Options of `clang -cc1` that carry a default. Its line has some fifty words, most of them bound
/// to the version; a lax version match must not be undone by those. True: the value is the next word.
const CLANG_KEPT: &[(&str, bool)] = &[
    ("-O", false),
    ("-debug-info-kind=", false),
    ("-dwarf-version=", false),
    ("-fcf-protection", false),
    ("-fsanitize", false),
    ("-fstack-clash-protection", false),
    ("-ftrivial-auto-var-init", false),
    ("-fwrapv", false),
    ("-mbranch-target-enforce", false),
    ("-mframe-pointer", false),
    ("-msign-return-address", false),
    ("-pic-is-pie", false),
    ("-std=", false),
    ("-mfloat-abi", true),
    ("-mrelocation-model", true),
    ("-pic-level", true),
    ("-stack-protector", true),
    ("-target-abi", true),
    ("-target-cpu", true),
    ("-target-feature", true),
    ("-tune-cpu", true),
];

/// The words of a shell-like line; quotes as gcc (`'a b'` in `Configured with`, `"a b"` in commands)
/// and clang write them.
pub(crate) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (Some(open), close) if open == close => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// The words of a `Configured with` line that change defaults.
pub(crate) fn of_configure<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    words.filter(|word| changes_defaults(word)).map(without_paths).collect()
}

fn changes_defaults(word: &str) -> bool {
    let name = ["--enable-", "--disable-", "--with-", "--without-"]
        .iter()
        .find_map(|prefix| word.strip_prefix(prefix));
    let Some(name) = name else { return false };
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    CONFIGURE.iter().any(|(known, _)| match known.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *known,
    })
}

/// Accelerators are configured with the directory they were built in,
/// `--enable-offload-targets=nvptx-none=/build/x/usr`, another one at each rebuild.
fn without_paths(word: &str) -> String {
    let Some(targets) = word.strip_prefix("--enable-offload-targets=") else {
        return word.to_owned();
    };
    let targets: Vec<&str> = targets
        .split(',')
        .map(|target| target.split_once('=').map_or(target, |(name, _)| name))
        .collect();
    format!("--enable-offload-targets={}", targets.join(","))
}

/// The options that the driver of this family gave the compiler proper by itself; `words` is that
/// command line without the program.
pub(crate) fn of_command(family: &Family, words: &[String]) -> Vec<String> {
    match family {
        Family::Gcc => words.iter().filter(|word| is_gcc_default(word)).cloned().collect(),
        Family::Clang => clang_defaults(words),
        Family::Other(_) => Vec::new(),
    }
}

fn is_gcc_default(word: &str) -> bool {
    let kind = ["-m", "-f", "-O", "-g", "-std=", "-ansi"];
    kind.iter().any(|prefix| word.starts_with(prefix))
        && !GCC_NOISE.iter().any(|noise| word.starts_with(noise))
}

fn clang_defaults(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match CLANG_KEPT.iter().find(|(name, takes_value)| {
            if *takes_value { word == name } else { word.starts_with(name) }
        }) {
            Some((_, false)) => kept.push(word.clone()),
            Some((_, true)) => {
                kept.extend(words.next().map(|value| format!("{word}={value}")));
            }
            None => {}
        }
    }
    kept
}

/// Sorted, each once, bounded in number and length, and printable.
pub(crate) fn settle(words: Vec<String>) -> Vec<String> {
    let mut words: Vec<String> = words.iter().map(|word| printable(word, MAX_WORD)).collect();
    words.sort_unstable();
    words.dedup();
    words.truncate(MAX_WORDS);
    words
}

/// At most `limit` bytes of `text`, control characters left out: it may come from a peer and be
/// shown on a terminal.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for char in text.trim().chars().filter(|char| !char.is_control()) {
        if shown.len() + char.len_utf8() > limit {
            break;
        }
        shown.push(char);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_gcc_and_clang_quote() {
        for (line, words) in [
            (
                "../src/configure -v --with-pkgversion='Debian 1-2'",
                vec!["../src/configure", "-v", "--with-pkgversion=Debian 1-2"],
            ),
            (
                r#" "/opt/my gcc/cc1" -o "a \"b\" c" ''"#,
                vec!["/opt/my gcc/cc1", "-o", "a \"b\" c", ""],
            ),
            (r" a\ b c\", vec!["a b", "c"]),
            (" \t", vec![]),
            ("'open end", vec!["open end"]),
        ] {
            assert_eq!(split(line), words, "{line}");
        }
    }

    #[test]
    fn keeps_configure_words_that_change_code_only() {
        let words = [
            "--enable-default-pie",
            "--disable-default-pie",
            "--with-arch-32=i686",
            "--with-tune=generic",
            "--enable-cet=auto",
            "--without-long-double-128",
            "--enable-fix-cortex-a53-835769",
            "--enable-offload-targets=nvptx-none=/build/a-b/usr,amdgcn-amdhsa=/build/a-b/usr",
            "--with-default-libstdcxx-abi=new",
            "--enable-libstdcxx-debug",
            "--enable-clocale=gnu",
            "--enable-languages=c,c++",
            "--with-pkgversion=Debian 12.2.0-14",
            "--with-bugurl=file:///x",
            "--with-build-config=bootstrap-lto-lean",
            "--with-modest",
            "--target=x86_64-linux-gnu",
            "-v",
        ];
        assert_eq!(
            of_configure(words.into_iter()),
            [
                "--enable-default-pie",
                "--disable-default-pie",
                "--with-arch-32=i686",
                "--with-tune=generic",
                "--enable-cet=auto",
                "--without-long-double-128",
                "--enable-fix-cortex-a53-835769",
                "--enable-offload-targets=nvptx-none,amdgcn-amdhsa",
            ]
        );
    }

    #[test]
    fn keeps_what_the_driver_adds() {
        let gcc = split(
            "-fpreprocessed e.i -quiet -dumpbase x.i -mtune=generic -march=x86-64 -version \
             -fasynchronous-unwind-tables -fstack-protector-strong -Wformat -o /tmp/x.s",
        );
        assert_eq!(
            of_command(&Family::Gcc, &gcc),
            [
                "-mtune=generic",
                "-march=x86-64",
                "-fasynchronous-unwind-tables",
                "-fstack-protector-strong",
            ]
        );
        let clang = split(
            "-cc1 -triple x86_64-pc-linux-gnu -emit-obj -mrelax-all -mrelocation-model pic \
             -pic-level 2 -pic-is-pie -mframe-pointer=all -target-cpu x86-64 -v",
        );
        assert_eq!(
            of_command(&Family::Clang, &clang),
            [
                "-mrelocation-model=pic",
                "-pic-level=2",
                "-pic-is-pie",
                "-mframe-pointer=all",
                "-target-cpu=x86-64",
            ]
        );
    }

    #[test]
    fn bounds_what_a_peer_may_say() {
        let words = (0..1000).map(|n| format!("-f{n:03}\x1b[2J{}", "é".repeat(200))).collect();
        let settled = settle(words);
        assert_eq!(settled.len(), MAX_WORDS);
        assert!(settled.iter().all(|word| word.len() <= MAX_WORD && !word.contains('\x1b')));
        assert_eq!(settle(vec!["b".into(), "a".into(), "b".into()]), ["a", "b"]);
    }
}
