//! Probing a peer that does not say which compilers it has, a stock distccd: one job over its own
//! protocol, `NAME -v -c` of an empty source, shows all that a match needs. Pure; the caller does
//! the talking.

use super::verbose::parse_verbose;
use super::{Driver, Family, Toolchain, ident, words};

/// The source of a probe job. Not quite empty: a body of length 0 is a special case in both
/// compression and the original's file handling.
pub(crate) const PROBE_SOURCE: &[u8] = b"\n";

/// Longest `.comment` that is kept of a peer's object, in bytes.
const MAX_IDENT: usize = 256;

/// The command of a probe job. distccd (3.4) names its temporary file by the source's suffix, so
/// this one decides the language.
pub(crate) fn probe_argv(name: &str, driver: Driver) -> Vec<Vec<u8>> {
    let source = match driver {
        Driver::C => "probe.c",
        Driver::Cxx => "probe.cc",
    };
    [name, "-v", "-c", source, "-o", "probe.o"].map(|word| word.as_bytes().to_vec()).to_vec()
}

/// What answered a probe job: `stderr` is the compiler's, `object` the file it made. None if this
/// is neither gcc nor clang, or made no object. The digest stays zero: no peer tells it.
pub(crate) fn toolchain(stderr: &[u8], object: &[u8]) -> Option<Toolchain> {
    let parsed = parse_verbose(&String::from_utf8_lossy(stderr))?;
    let ident = ident_of(object)?;
    Some(parsed.into_toolchain(ident, [0; 16]))
}

/// The string that stands for the compiler in an object's `.comment`: the first one, since a lone
/// compile leaves no other. Empty where the compiler writes none or the object is of another
/// format (Windows, WebAssembly); none if this is no whole object.
pub(crate) fn ident_of(object: &[u8]) -> Option<String> {
    if object.is_empty() {
        return None;
    }
    match ident::comments(object) {
        Ok(comments) => Some(comments.first().map(|text| kept(text)).unwrap_or_default()),
        Err(ident::ElfError::NotElf) => Some(String::new()),
        Err(_) => None,
    }
}

/// Blanks at the end stay, some builds of clang write one: objects are checked for the very string.
fn kept(text: &str) -> String {
    let shown = words::printable(text, MAX_IDENT);
    if shown == text.trim() { text.to_owned() } else { shown }
}

/// Names under which `local` may be known on a stock peer, in the order to try them: as the job
/// calls it, by version (`gcc-12`), by target and version, by target, and plain. Each costs one
/// probe job, so there are no more. Of a compiler of another family only its own name.
pub(crate) fn candidate_names(job_name: &str, local: &Toolchain, driver: Driver) -> Vec<String> {
    let own = job_name.rsplit('/').next().unwrap_or_default();
    let mut names = vec![own.to_owned()];
    let stem = match (&local.family, driver) {
        (Family::Gcc, Driver::C) => "gcc",
        (Family::Gcc, Driver::Cxx) => "g++",
        (Family::Clang, Driver::C) => "clang",
        (Family::Clang, Driver::Cxx) => "clang++",
        (Family::Other(_), _) => return names,
    };
    let series = series(&local.family, &local.version);
    if !series.is_empty() {
        names.push(format!("{stem}-{series}"));
    }
    // A clang takes its target from such a name, but few machines have it under one.
    if local.family == Family::Gcc && !local.target.is_empty() {
        if !series.is_empty() {
            names.push(format!("{}-{stem}-{series}", local.target));
        }
        names.push(format!("{}-{stem}", local.target));
    }
    names.push(stem.to_owned());
    let mut seen = Vec::new();
    names.retain(|name| {
        let new = !name.is_empty() && !seen.contains(name);
        seen.push(name.clone());
        new
    });
    names
}

/// How distributions number their packages: gcc 4.9 and clang 3.8 by two numbers, gcc since 5 and
/// clang since 7 by one.
fn series(family: &Family, version: &str) -> String {
    let first_with_one = if *family == Family::Gcc { 5 } else { 7 };
    let mut parts = version.split('.');
    let major = parts.next().unwrap_or_default();
    match (major.parse::<u32>(), parts.next()) {
        (Ok(number), Some(minor)) if number < first_with_one => format!("{major}.{minor}"),
        _ => major.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::process::Command;

    use super::super::probe::probe_local;
    use super::super::testing::{SYSTEM_PATH, installed};
    use super::*;

    fn local(family: Family, version: &str, target: &str) -> Toolchain {
        Toolchain {
            family,
            version: version.to_owned(),
            target: target.to_owned(),
            assembler: None,
            distributor: String::new(),
            revision: String::new(),
            configure: Vec::new(),
            digest: [1; 16],
            ident: String::new(),
        }
    }

    #[test]
    fn tries_names_from_the_nearest_to_the_plain_one() {
        let gcc = local(Family::Gcc, "12.2.0", "x86_64-linux-gnu");
        let full = |own: &str, stem: &str| {
            [
                own.to_owned(),
                format!("{stem}-12"),
                format!("x86_64-linux-gnu-{stem}-12"),
                format!("x86_64-linux-gnu-{stem}"),
                stem.to_owned(),
            ]
        };
        assert_eq!(candidate_names("cc", &gcc, Driver::C), full("cc", "gcc"));
        assert_eq!(candidate_names("/opt/bin/c++", &gcc, Driver::Cxx), full("c++", "g++"));
        assert_eq!(
            candidate_names("gcc", &gcc, Driver::C),
            ["gcc", "gcc-12", "x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-gcc",]
        );
        assert_eq!(
            candidate_names("gcc-12", &gcc, Driver::C),
            ["gcc-12", "x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-gcc", "gcc",]
        );
        let clang = local(Family::Clang, "14.0.6", "x86_64-pc-linux-gnu");
        assert_eq!(candidate_names("clang", &clang, Driver::C), ["clang", "clang-14"]);
        assert_eq!(candidate_names("c++", &clang, Driver::Cxx), ["c++", "clang++-14", "clang++"]);
        let old = local(Family::Gcc, "4.9.2", "");
        assert_eq!(candidate_names("gcc", &old, Driver::C), ["gcc", "gcc-4.9"]);
        let other = local(Family::Other("tcc".into()), "", "");
        assert_eq!(candidate_names("/usr/bin/tcc", &other, Driver::C), ["tcc"]);
    }

    #[test]
    fn probes_in_the_language_of_the_driver() {
        let line = |argv: Vec<Vec<u8>>| String::from_utf8(argv.join(&b' ')).unwrap();
        assert_eq!(line(probe_argv("gcc-12", Driver::C)), "gcc-12 -v -c probe.c -o probe.o");
        assert_eq!(line(probe_argv("g++", Driver::Cxx)), "g++ -v -c probe.cc -o probe.o");
    }

    /// A stock server runs a compiler just so, on a file of its own and in a language of its own.
    fn answer(name: &str, driver: Driver, locale: &str) -> Option<(Toolchain, Toolchain)> {
        let path = installed(name)?;
        let dir = tempfile::tempdir().unwrap();
        let suffix = if driver == Driver::C { "i" } else { "ii" };
        let source = dir.path().join(format!("distccd_1.{suffix}"));
        let object = dir.path().join("distccd_2.o");
        std::fs::write(&source, PROBE_SOURCE).unwrap();
        let output = Command::new(&path)
            .args([OsStr::new("-v"), "-c".as_ref(), source.as_ref(), "-o".as_ref()])
            .arg(&object)
            .env("LC_ALL", "C.UTF-8")
            .env("LANGUAGE", locale)
            .output()
            .unwrap();
        let there = toolchain(&output.stderr, &std::fs::read(&object).unwrap()).unwrap();
        Some((there, probe_local(&path, SYSTEM_PATH.as_ref()).unwrap().toolchain))
    }

    #[test]
    fn sees_of_a_peer_what_a_local_probe_sees_but_the_digest() {
        for (name, driver) in [
            ("gcc-12", Driver::C),
            ("g++-12", Driver::Cxx),
            ("g++-11", Driver::Cxx),
            ("clang-14", Driver::C),
            ("clang++-14", Driver::Cxx),
        ] {
            for locale in ["en", "de", "zh_CN"] {
                let Some((there, here)) = answer(name, driver, locale) else { continue };
                assert_eq!(there, Toolchain { digest: [0; 16], ..here }, "{name} {locale}");
            }
        }
    }

    /// Captured from Debian 12's distccd 3.4, set to Japanese.
    #[test]
    fn reads_the_answer_of_a_stock_server() {
        let stderr = include_bytes!("../../tests/data/stock/distccd-3.4-g++.stderr");
        let object = include_bytes!("../../tests/data/stock/distccd-3.4-g++.o");
        let there = toolchain(stderr, object).unwrap();
        assert_eq!(there.to_string(), "gcc 12.2.0 x86_64-linux-gnu, as 2.40");
        assert_eq!((&*there.distributor, &*there.revision), ("Debian", "12.2.0-14+deb12u1"));
        assert_eq!(there.ident, "GCC: (Debian 12.2.0-14+deb12u1) 12.2.0");
        assert!(there.configure.contains(&"--enable-default-pie".to_owned()));
        assert!(there.configure.contains(&"-march=x86-64".to_owned()));
    }

    #[test]
    fn keeps_the_mark_as_it_is() {
        assert_eq!(kept("clang version 10.0.0 "), "clang version 10.0.0 ");
        assert_eq!(kept("clang\u{1b}[2J"), "clang[2J");
        assert_eq!(ident_of(b"L\x01coff").as_deref(), Some(""));
        assert_eq!(ident_of(b""), None);
        assert_eq!(ident_of(b"\x7fELF\x02\x01\x01"), None);
    }

    #[test]
    fn refuses_answers_without_an_object() {
        let stderr = include_bytes!("../../tests/data/verbose/gcc-12.2.0-debian.txt");
        assert_eq!(toolchain(stderr, b""), None);
        assert_eq!(toolchain(b"tcc version 0.9.27", b"\x7fELF"), None);
    }
}
