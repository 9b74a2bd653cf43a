use std::fs;
use std::path::Path;

use super::super::testing::compile_of;
use super::*;

fn words(text: &str) -> Vec<Vec<u8>> {
    text.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
}

fn text(words: &[Vec<u8>]) -> String {
    String::from_utf8(words.join(&b' ')).unwrap()
}

/// Captured on one machine with `-### -c -x c /dev/null -o /dev/null`.
fn captured(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/native");
    fs::read(dir.join(name)).unwrap()
}

#[test]
fn asks_with_all_that_is_said_of_processors_and_nothing_else() {
    let cases = [
        ("gcc -O2 -c a.c", None),
        ("gcc -march=haswell -c a.c", None),
        ("gcc -march=native -O2 -mavx -c a.c", Some("-march=native")),
        (
            "gcc -m32 -mtune=haswell -g -march=native -c a.c",
            Some("-m32 -mtune=haswell -march=native"),
        ),
        ("clang -target x-y -mcpu=native+crc -c a.c", Some("--target=x-y -mcpu=native+crc")),
        (
            "gcc -march=native -mabi=ms -march=haswell -c a.c",
            Some("-march=native -mabi=ms -march=haswell"),
        ),
    ];
    for (line, expected) in cases {
        let question = question(&compile_of(line)).unwrap();
        assert_eq!(question.map(|words| text(&words)).as_deref(), expected, "{line}");
    }
}

#[test]
fn what_it_stands_for_comes_before_every_other_option() {
    let mut compile = compile_of("gcc -O2 -mno-avx -march=haswell -march=native -Wall -c a.c");
    answer(&mut compile, words("-march=znver3 -mavx --param=l1-cache-size=32 -mtune=znver3"));
    let expected = "-march=znver3 -mavx --param=l1-cache-size=32 -mtune=znver3 -O2 -mno-avx -Wall";
    assert_eq!(text(&compile.travels), expected);
    assert_eq!(question(&compile), Ok(None));
    let bitcode = compile_of("clang -flto=thin -march=native -c a.c");
    assert!(question(&bitcode).is_err());
}

#[test]
fn reads_what_drivers_say_of_a_processor() {
    let parameters =
        "--param=l1-cache-size=32 --param=l1-cache-line-size=64 --param=l2-cache-size=512";
    for gcc in ["gcc-11.3.0", "gcc-12.2.0"] {
        let said = captured(&format!("{gcc}-debian-march.txt"));
        let explicit = text(&explicit(&words("-march=native"), &said).unwrap());
        assert!(explicit.starts_with("-march=znver3 -mmmx -mpopcnt -msse "), "{explicit}");
        assert!(
            explicit.contains(" -mno-avx512f ") && explicit.contains(" -mxsaves "),
            "{explicit}"
        );
        assert!(explicit.ends_with(&format!("{parameters} -mtune=znver3")), "{explicit}");
    }
    for gcc in ["gcc-11.3.0", "gcc-12.2.0"] {
        let said = captured(&format!("{gcc}-debian-mtune.txt"));
        let explicit = text(&explicit(&words("-mtune=native"), &said).unwrap());
        assert_eq!(explicit, format!("{parameters} -mtune=znver3"));
    }
    for clang in ["clang-13.0.1", "clang-14.0.6"] {
        let said = captured(&format!("{clang}-debian-march.txt"));
        let explicit = text(&explicit(&words("-march=native"), &said).unwrap());
        assert!(explicit.starts_with("-march=znver3 "), "{explicit}");
        for word in [" -mavx2", " -msse4.1", " -mno-avx512f", " -mno-tsxldtrk", " -mcx16"] {
            assert!(explicit.contains(word), "{word}: {explicit}");
        }
        for word in ["cmov", "64bit", "cx8", "-mtune", "Xclang"] {
            assert!(!explicit.contains(word), "{word}: {explicit}");
        }
        let said = captured(&format!("{clang}-debian-mtune.txt"));
        let explicit = super::explicit(&words("-mtune=native"), &said).unwrap();
        assert_eq!(text(&explicit), "-mtune=znver3");
    }
}

#[test]
fn reads_forms_of_other_versions_and_machines() {
    let cases = [
        // The last word about the processor has decided already.
        (
            "-march=native -march=haswell",
            " /x/cc1 -quiet \"-march=haswell\" -o x",
            "-march=haswell",
        ),
        (
            "-mtune=native -m32",
            " cc1plus -m32 --param=l1-cache-size=48 -mtune=alderlake",
            "--param=l1-cache-size=48 -mtune=alderlake",
        ),
        (
            "-mcpu=native",
            " /x/cc1 -march=armv8-a -mlittle-endian -mcpu=cortex-a57+crypto",
            "-mlittle-endian -mcpu=cortex-a57+crypto",
        ),
        (
            "-march=native",
            " \"clang-19\" \"-cc1\" \"-triple\" \"i686-pc-linux-gnu\" \"-target-cpu\" \"x\" \
             \"-target-feature\" \"-egpr\" \"-target-feature\" \"+avx10.1\"",
            "-march=x -mavx10.1",
        ),
    ];
    for (asked, said, expected) in cases {
        let found = explicit(&words(asked), said.as_bytes()).unwrap();
        assert_eq!(text(&found), expected);
    }
}

#[test]
fn words_are_split_as_drivers_quote_them() {
    let line = r#" /x/cc1 "-D A=\"b c\"" -quiet "" e\ f"#;
    assert_eq!(split(line), ["/x/cc1", "-D A=\"b c\"", "-quiet", "", "e f"]);
}

#[test]
fn an_odd_answer_is_none() {
    let clang = |rest: &str| {
        format!(
            " \"clang\" \"-cc1\" \"-triple\" \"x86_64-pc-linux-gnu\" \"-target-cpu\" \"znver3\" {rest}"
        )
    };
    let cases = [
        ("-march=native", String::new(), "does not show its options"),
        ("-march=native", "gcc: error: nothing\n as -o x".to_owned(), "does not show its options"),
        ("-march=native", " /x/cc1 -quiet /dev/null -o x".to_owned(), "names no processor"),
        ("-march=native", " /x/cc1 -march=native".to_owned(), "says -march=native"),
        ("-march=native", " /x/cc1 -march=/etc/passwd".to_owned(), "says -march=/etc/passwd"),
        ("-mcpu=native", clang(""), "names no processor"),
        (
            "-march=native",
            clang("\"-target-feature\" \"+egpr\""),
            "no option for the feature +egpr",
        ),
        ("-march=native", clang("\"-target-feature\" \"-cx8\""), "no option for the feature -cx8"),
        (
            "-mcpu=native",
            " \"clang\" \"-cc1\" \"-triple\" \"aarch64-linux-gnu\" \"-target-cpu\" \"x\""
                .to_owned(),
            "features of aarch64-linux-gnu",
        ),
    ];
    for (asked, said, expected) in cases {
        let problem = explicit(&words(asked), said.as_bytes()).unwrap_err();
        assert!(problem.contains(expected), "{said}: {problem}");
    }
}
