//! What gcc and clang print under `-v`, to a value. Pure.
//!
//! gcc speaks the user's language (`Ziel:`, `配置为：`, `Версія gcc`), and a stock peer runs it in a
//! language of its own. So lines are known by what no translation touches: options, file names,
//! numbers and parentheses. clang and the lines with `=` are never translated.

use super::words;
use super::{Family, Toolchain};

/// More of a compiler's output is not read; a complete answer has some 6 KiB.
const MAX_READ: usize = 256 << 10;
/// Longest name or version that is kept, in bytes.
const MAX_TEXT: usize = 160;

/// What a compiler says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// gcc or clang.
    pub(crate) family: Family,
    /// Digits and dots only, `12.2.0`.
    pub(crate) version: String,
    /// `x86_64-linux-gnu`.
    pub(crate) target: String,
    /// Who built it: the words before the first one with a digit, `Debian`, `Red Hat`,
    /// `Gentoo Hardened`; `GNU` and `LLVM` for a build that names nobody.
    pub(crate) distributor: String,
    /// What is left of the builder's words, `12.2.0-14+deb12u1`; for a build that names nobody what
    /// makes the version more precise, such as a snapshot's date `20240522`.
    pub(crate) revision: String,
    /// Words that change defaults, see [`words`]; sorted.
    pub(crate) configure: Vec<String>,
    /// Version of the external assembler, if one ran and said so.
    pub(crate) assembler: Option<String>,
    /// Files that were used.
    pub(crate) programs: Programs,
}

/// Names of files that the output mentions, as printed: absolute, or to be found on PATH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Programs {
    /// The driver that really ran, if a script called it.
    pub(crate) driver: Option<String>,
    /// cc1, cc1plus, or clang itself.
    pub(crate) compiler: Option<String>,
    /// The external assembler.
    pub(crate) assembler: Option<String>,
    /// gcc's specs files and clang's configuration files.
    pub(crate) settings: Vec<String>,
}

impl Parsed {
    /// The toolchain that this describes.
    pub(crate) fn into_toolchain(self, ident: String, digest: [u8; 16]) -> Toolchain {
        Toolchain {
            family: self.family,
            version: self.version,
            target: self.target,
            assembler: self.assembler,
            distributor: self.distributor,
            revision: self.revision,
            configure: self.configure,
            digest,
            ident,
        }
    }
}

/// Reads the standard error of `COMPILER -v`, with or without a compile; none if this is neither gcc
/// nor clang.
pub(crate) fn parse_verbose(stderr: &str) -> Option<Parsed> {
    let stderr = stderr.get(..stderr.floor_char_boundary(MAX_READ))?;
    let (family, build) = match stderr.lines().find_map(clang_build) {
        Some(build) => (Family::Clang, build),
        None => (Family::Gcc, stderr.lines().find_map(gcc_build)?),
    };
    let configured = stderr.lines().find(|line| is_configure_line(line)).map(words::split);
    let configured = configured.unwrap_or_default();
    let mut defaults = words::of_configure(configured.iter().map(String::as_str));
    let mut programs = Programs::default();
    for line in stderr.lines() {
        read_settings(line, &mut programs);
        let Some((program, options)) = command(line) else { continue };
        let name = program.rsplit('/').next().unwrap_or_default();
        let is_compiler = match family {
            Family::Clang => options.first().is_some_and(|option| option == "-cc1"),
            _ => matches!(name, "cc1" | "cc1plus"),
        };
        if is_compiler && programs.compiler.is_none() {
            defaults.extend(words::of_command(&family, &options));
            programs.compiler = Some(program);
        } else if (name == "as" || name.ends_with("-as")) && programs.assembler.is_none() {
            programs.assembler = Some(program);
        }
    }
    Some(Parsed {
        family,
        version: build.version,
        target: words::printable(&target(stderr, &configured)?, MAX_TEXT),
        distributor: words::printable(&build.distributor, MAX_TEXT),
        revision: words::printable(&build.revision, MAX_TEXT),
        configure: words::settle(defaults),
        assembler: stderr.lines().find_map(assembler_version),
        programs,
    })
}

/// The number of GNU as in its `-v` or `--version` output: `2.40` in
/// `GNU assembler version 2.40 (x86_64-linux-gnu) using BFD version (GNU Binutils for Debian) 2.40`.
pub(crate) fn assembler_version(line: &str) -> Option<String> {
    // `BFD` and `GNU` are the words that no translation changes.
    if line.starts_with(' ') || !line.contains("GNU") || !line.contains("BFD") {
        return None;
    }
    first_version(line)
}

/// The number in the first line of `as --version`, `GNU assembler (GNU Binutils for Debian) 2.40`.
pub(crate) fn assembler_banner_version(stdout: &str) -> Option<String> {
    let line = stdout.lines().next().filter(|line| line.contains("GNU"))?;
    let after = line.rfind(')').map_or(line, |end| &line[end..]);
    first_version(after.trim_start_matches(')'))
}

/// A number with at least one dot, at the beginning of a word.
fn first_version(text: &str) -> Option<String> {
    text.split_whitespace()
        .map(|word| split_version(word).0)
        .find(|version| version.contains('.'))
        .map(|version| words::printable(version, MAX_TEXT))
}

struct Build {
    version: String,
    distributor: String,
    revision: String,
}

/// `gcc version 12.2.0 (Debian 12.2.0-14+deb12u1) `, `Версія gcc 12.2.0 (...)`,
/// `gcc version 14.1.1 20240522 (GCC) `.
fn gcc_build(line: &str) -> Option<Build> {
    if line.starts_with([' ', '\t']) || line.starts_with("GNU ") {
        return None;
    }
    let body = line.trim_end().strip_suffix(')')?;
    let package_at = matching_parenthesis(body)?;
    let (head, package) = (&body[..package_at], &body[package_at + 1..]);
    let (number_at, number) = words_with_place(head)
        .find(|(_, word)| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let label = &head[..number_at];
    if !label.to_ascii_lowercase().contains("gcc") || label.contains(['=', '(', '/']) {
        return None;
    }
    let (version, suffix) = split_version(number);
    let detail = head[number_at + number.len()..].trim();
    let unnamed = matches!(package.trim(), "GCC" | "GNU" | "");
    let (mut distributor, mut revision) =
        if unnamed { ("GNU".to_owned(), String::new()) } else { split_builder(package) };
    if distributor.is_empty() {
        distributor = "GNU".to_owned();
    }
    // A snapshot's date, or Debian's `12-win32`, is in no package's words.
    if revision.is_empty() {
        let exact = if suffix.is_empty() { "" } else { number };
        revision = format!("{exact} {detail}").trim().to_owned();
    }
    Some(Build { version: version.to_owned(), distributor, revision })
}

/// `Debian clang version 14.0.6`, `clang version 16.0.6 (Fedora 16.0.6-3.fc39)`,
/// `Ubuntu clang version 14.0.0-1ubuntu1.1`, `clang version 17.0.6 (https://... hash)`.
fn clang_build(line: &str) -> Option<Build> {
    let (before, after) = line.split_once("clang version ")?;
    let number = after.split_whitespace().next()?;
    let (version, suffix) = split_version(number);
    if version.is_empty() {
        return None;
    }
    let detail = after[after.find(number)? + number.len()..].trim();
    let inner = detail.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let exact = if suffix.is_empty() { "" } else { number };
    let (before_name, before_rest) = split_builder(before);
    let (distributor, revision) = match inner {
        // A build that puts its name behind the version, unless that is where the source came from.
        Some(inner) if before_name.is_empty() && !inner.contains("://") => split_builder(inner),
        _ => (before_name, format!("{before_rest} {exact} {detail}")),
    };
    let distributor = if distributor.is_empty() { "LLVM".to_owned() } else { distributor };
    let revision = revision.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Build { version: version.to_owned(), distributor, revision })
}

/// The words before the first one with a digit, and the rest.
fn split_builder(text: &str) -> (String, String) {
    let all: Vec<&str> = text.split_whitespace().collect();
    let has_digit = |word: &&str| word.contains(|char: char| char.is_ascii_digit());
    let name_len = all.iter().position(has_digit).unwrap_or(all.len());
    let (name, rest) = all.split_at(name_len);
    (name.join(" "), rest.join(" "))
}

/// Leading digits and dots, and what follows: `14.0.0` and `-1ubuntu1.1`.
fn split_version(word: &str) -> (&str, &str) {
    let is_part = |char: char| char.is_ascii_digit() || char == '.';
    if !word.starts_with(|first: char| first.is_ascii_digit()) {
        return ("", word);
    }
    let end = word.find(|char| !is_part(char)).unwrap_or(word.len());
    let version = word[..end].trim_end_matches('.');
    (version, &word[version.len()..])
}

/// Where the parenthesis opens whose closing one has just been cut off.
fn matching_parenthesis(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, char) in text.char_indices().rev() {
        match char {
            ')' => depth += 1,
            '(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn words_with_place(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = text.as_ptr() as usize;
    text.split_whitespace().map(move |word| (word.as_ptr() as usize - start, word))
}

/// `Configured with: ../src/configure -v --enable-...`, the label in any language or missing.
fn is_configure_line(line: &str) -> bool {
    !line.starts_with(' ') && line.contains("configure ") && line.contains(" --")
}

/// `Target: x86_64-linux-gnu`, else that line in another language, else `--target=` of configure.
fn target(stderr: &str, configured: &[String]) -> Option<String> {
    let plain = stderr.lines().find_map(|line| line.strip_prefix("Target: "));
    let translated = || stderr.lines().find_map(translated_target);
    let configured = || configured.iter().find_map(|word| word.strip_prefix("--target="));
    let target = plain.or_else(translated).or_else(configured)?.trim();
    (!target.is_empty()).then(|| target.to_owned())
}

/// A line of a label, a colon (ASCII or full width) and nothing but a target triplet.
fn translated_target(line: &str) -> Option<&str> {
    let (label, value) = line.rsplit_once([':', '\u{ff1a}'])?;
    let value = value.trim();
    let is_triplet = value.starts_with(|first: char| first.is_ascii_lowercase())
        && value.contains('-')
        && value.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
    (is_triplet && !label.contains(['=', '/', '('])).then_some(value)
}

/// Reading specs from /usr/lib/gcc/x/12/specs, and clang's `Configuration file: /etc/clang/x.cfg`.
fn read_settings(line: &str, programs: &mut Programs) {
    if let Some(driver) = line.strip_prefix("COLLECT_GCC=") {
        programs.driver.get_or_insert_with(|| driver.trim().to_owned());
    } else if let Some(file) = line.strip_prefix("Configuration file: ") {
        programs.settings.push(file.trim().to_owned());
    } else if !line.starts_with(' ')
        && let Some(file) = line.split_whitespace().last()
        && file.starts_with('/')
        && file.ends_with("/specs")
    {
        programs.settings.push(file.to_owned());
    }
}

/// A command that the driver runs: one space, the program, its options.
fn command(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.strip_prefix(' ').filter(|line| !line.starts_with(' '))?;
    let mut words = words::split(line).into_iter();
    let program = words.next().filter(|program| !program.is_empty())?;
    Some((program, words.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! captured {
        ($name:literal) => {
            include_str!(concat!("../../tests/data/verbose/", $name, ".txt"))
        };
    }

    fn gcc(version: &str, distributor: &str, revision: &str) -> (String, String, String) {
        (version.to_owned(), distributor.to_owned(), revision.to_owned())
    }

    #[test]
    fn reads_gcc() {
        let parsed = parse_verbose(captured!("gcc-12.2.0-debian")).unwrap();
        assert_eq!(
            parsed,
            Parsed {
                family: Family::Gcc,
                version: "12.2.0".into(),
                target: "x86_64-linux-gnu".into(),
                distributor: "Debian".into(),
                revision: "12.2.0-14+deb12u1".into(),
                configure: [
                    "--enable-cet",
                    "--enable-default-pie",
                    "--enable-gnu-unique-object",
                    "--enable-offload-defaulted",
                    "--enable-offload-targets=nvptx-none,amdgcn-amdhsa",
                    "--with-abi=m64",
                    "--with-arch-32=i686",
                    "--with-tune=generic",
                    "-fasynchronous-unwind-tables",
                    "-march=x86-64",
                    "-mtune=generic",
                ]
                .map(str::to_owned)
                .to_vec(),
                assembler: Some("2.40".into()),
                programs: Programs {
                    driver: Some("gcc".into()),
                    compiler: Some("/usr/lib/gcc/x86_64-linux-gnu/12/cc1".into()),
                    assembler: Some("as".into()),
                    settings: Vec::new(),
                },
            }
        );
        let cxx = parse_verbose(captured!("g++-11.3.0-debian")).unwrap();
        assert_eq!((&*cxx.version, &*cxx.revision), ("11.3.0", "11.3.0-12"));
        assert_eq!(
            cxx.programs.compiler.as_deref(),
            Some("/usr/lib/gcc/x86_64-linux-gnu/11/cc1plus")
        );
    }

    #[test]
    fn reads_gcc_in_every_language() {
        let english = parse_verbose(captured!("gcc-12.2.0-debian"));
        for (language, text) in [
            ("de", captured!("gcc-12.2.0-debian.de")),
            ("es", captured!("gcc-12.2.0-debian.es")),
            ("fi", captured!("gcc-12.2.0-debian.fi")),
            ("fr", captured!("gcc-12.2.0-debian.fr")),
            ("id", captured!("gcc-12.2.0-debian.id")),
            ("ja", captured!("gcc-12.2.0-debian.ja")),
            ("ru", captured!("gcc-12.2.0-debian.ru")),
            ("tr", captured!("gcc-12.2.0-debian.tr")),
            ("uk", captured!("gcc-12.2.0-debian.uk")),
            ("zh_CN", captured!("gcc-12.2.0-debian.zh_CN")),
        ] {
            assert_eq!(parse_verbose(text), english, "{language}");
        }
    }

    #[test]
    fn reads_clang() {
        let parsed = parse_verbose(captured!("clang-14.0.6-debian")).unwrap();
        assert_eq!(parsed.family, Family::Clang);
        assert_eq!((&*parsed.version, &*parsed.target), ("14.0.6", "x86_64-pc-linux-gnu"));
        assert_eq!((&*parsed.distributor, &*parsed.revision), ("Debian", ""));
        assert_eq!(parsed.assembler, None);
        assert_eq!(parsed.programs.compiler.as_deref(), Some("/usr/lib/llvm-14/bin/clang"));
        assert!(parsed.configure.contains(&"-pic-is-pie".to_owned()));
        assert!(parsed.configure.contains(&"-target-cpu=x86-64".to_owned()));
    }

    #[test]
    fn reads_version_lines_of_gcc() {
        for (line, expected) in [
            (
                "gcc version 12.2.0 (Debian 12.2.0-14+deb12u1) ",
                gcc("12.2.0", "Debian", "12.2.0-14+deb12u1"),
            ),
            (
                "gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04) ",
                gcc("11.4.0", "Ubuntu", "11.4.0-1ubuntu1~22.04"),
            ),
            (
                "gcc version 13.2.1 20240113 (Gentoo 13.2.1_p20240113-r1 p12) ",
                gcc("13.2.1", "Gentoo", "13.2.1_p20240113-r1 p12"),
            ),
            (
                "gcc version 12.3.1 20230526 (Gentoo Hardened 12.3.1_p20230526 p2) ",
                gcc("12.3.1", "Gentoo Hardened", "12.3.1_p20230526 p2"),
            ),
            ("gcc version 14.1.1 20240522 (GCC) ", gcc("14.1.1", "GNU", "20240522")),
            ("gcc version 12.2.0 (GCC) ", gcc("12.2.0", "GNU", "")),
            (
                "gcc version 13.2.1 20231205 (Red Hat 13.2.1-6) (GCC) ",
                gcc("13.2.1", "GNU", "20231205 (Red Hat 13.2.1-6)"),
            ),
            (
                "gcc version 13.2.1 20231205 (Red Hat 13.2.1-6) ",
                gcc("13.2.1", "Red Hat", "13.2.1-6"),
            ),
            ("gcc version 7.5.0 (SUSE Linux) ", gcc("7.5.0", "SUSE Linux", "")),
            ("gcc version 8.3.0 (crosstool-NG 1.25.0) ", gcc("8.3.0", "crosstool-NG", "1.25.0")),
            ("gcc version 12-win32 (GCC) ", gcc("12", "GNU", "12-win32")),
            (
                "gcc version 15.0.0 20240501 (experimental) [master r15-9] (GCC) ",
                gcc("15.0.0", "GNU", "20240501 (experimental) [master r15-9]"),
            ),
            (
                "gcc version 11.2.1 20220111 (GNU Toolchain for the Arm Architecture 11.2-2022.02 (arm-11.14)) ",
                gcc("11.2.1", "GNU Toolchain for the Arm Architecture", "11.2-2022.02 (arm-11.14)"),
            ),
            ("gcc version 4.9.2 ( 4.9.2-10) ", gcc("4.9.2", "GNU", "4.9.2-10")),
        ] {
            let build = gcc_build(line).unwrap();
            assert_eq!((build.version, build.distributor, build.revision), expected, "{line}");
        }
    }

    #[test]
    fn reads_version_lines_of_clang() {
        for (line, expected) in [
            ("Debian clang version 14.0.6", gcc("14.0.6", "Debian", "")),
            (
                "Ubuntu clang version 14.0.0-1ubuntu1.1",
                gcc("14.0.0", "Ubuntu", "14.0.0-1ubuntu1.1"),
            ),
            (
                "Debian clang version 19.1.7 (++20250114103320+cd708029e0b2-1~exp1)",
                gcc("19.1.7", "Debian", "(++20250114103320+cd708029e0b2-1~exp1)"),
            ),
            (
                "clang version 16.0.6 (Fedora 16.0.6-3.fc39)",
                gcc("16.0.6", "Fedora", "16.0.6-3.fc39"),
            ),
            ("clang version 17.0.6", gcc("17.0.6", "LLVM", "")),
            (
                "clang version 19.0.0git (https://github.com/llvm/llvm-project.git 0a1b2c3)",
                gcc(
                    "19.0.0",
                    "LLVM",
                    "19.0.0git (https://github.com/llvm/llvm-project.git 0a1b2c3)",
                ),
            ),
            (
                "Android (8508608, based on r450784e) clang version 14.0.7 (https://x.org/y 4c6)",
                gcc("14.0.7", "Android", "(8508608, based on r450784e) (https://x.org/y 4c6)"),
            ),
            (
                "Apple clang version 15.0.0 (clang-1500.1.0.2.5)",
                gcc("15.0.0", "Apple", "(clang-1500.1.0.2.5)"),
            ),
        ] {
            let build = clang_build(line).unwrap();
            assert_eq!((build.version, build.distributor, build.revision), expected, "{line}");
        }
        assert!(clang_build("clang -cc1 version 14.0.6 based upon LLVM 14.0.6").is_none());
    }

    #[test]
    fn finds_targets_without_a_dash_or_label() {
        let avr = "COLLECT_GCC=avr-gcc\nTarget: avr\ngcc version 5.4.0 (GCC) \n";
        assert_eq!(parse_verbose(avr).unwrap().target, "avr");
        let unlabelled = "配置为：../configure --target=avr --x\n目标：avr\ngcc 版本 5.4.0 (GCC)\n";
        assert_eq!(parse_verbose(unlabelled).unwrap().target, "avr");
        assert_eq!(parse_verbose("gcc version 5.4.0 (GCC)\n"), None);
    }

    #[test]
    fn notes_files_that_set_defaults() {
        let gcc = "Lese Spezifikationen von /opt/lib/gcc/x/12/specs\nZiel: x-y-z\n\
                   gcc-Version 12.2.0 (GCC) \n";
        assert_eq!(parse_verbose(gcc).unwrap().programs.settings, ["/opt/lib/gcc/x/12/specs"]);
        let clang = "clang version 17.0.6\nTarget: x-y-z\nConfiguration file: /etc/clang/a.cfg\n";
        assert_eq!(parse_verbose(clang).unwrap().programs.settings, ["/etc/clang/a.cfg"]);
    }

    #[test]
    fn knows_no_other_program() {
        for text in [
            "",
            "tcc version 0.9.27 (x86_64 Linux)\n",
            "nvcc: NVIDIA (R) Cuda compiler driver\n",
            "Intel(R) oneAPI DPC++/C++ Compiler 2024.0.0 (2024.0.0.20231017)\nTarget: x-y-z\n",
            "gcc: fatal error: no input files (12)\ncompilation terminated.\n",
        ] {
            assert_eq!(parse_verbose(text), None, "{text}");
        }
    }

    #[test]
    fn reads_assembler_versions() {
        for (line, version) in [
            (
                "GNU assembler version 2.41 (x86_64-redhat-linux) using BFD version version 2.41-37.fc40",
                "2.41",
            ),
            (
                "GNU assembler version 2.41.50.20230801 (x) using BFD version (GNU Binutils) 2.41.50",
                "2.41.50.20230801",
            ),
            (
                "Version de l'assembleur GNU 2.40 (x86_64-linux-gnu) utilisant la version BFD () 2.40",
                "2.40",
            ),
        ] {
            assert_eq!(assembler_version(line).as_deref(), Some(version));
        }
        for (banner, version) in [
            ("GNU assembler (GNU Binutils for Debian) 2.40\nCopyright\n", "2.40"),
            ("GNU assembler version 2.41-37.fc40\n", "2.41"),
        ] {
            assert_eq!(assembler_banner_version(banner).as_deref(), Some(version));
        }
        assert_eq!(assembler_banner_version("LLVM 3.1\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[ -~é：()\n]{0,200}", tail in "(gcc|clang) version [0-9.() a-z：-]{0,40}") {
            let _ = parse_verbose(&format!("{text}\n{tail}\nTarget: x-y"));
            let _ = parse_verbose(&text);
        }
    }
}
