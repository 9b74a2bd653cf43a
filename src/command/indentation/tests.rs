use std::fs;
use std::process::Command;

use proptest::prelude::*;

use super::*;

fn options(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn found(text: &str) -> bool {
    may_mislead(text.as_bytes(), &options("-Wall"))
}

/// Bodies of functions, and whether something is found in them.
const BODIES: [(&str, bool); 38] = [
    ("  if (a)\n    a++;\n    a--;\n", true),
    ("  if (a)\n    a++;\n  a--;\n", false),
    ("  if (a) a++; a--;\n", true),
    ("  if (a) { a++; } a--;\n", false),
    ("  if (a) {\n    a++;\n  }\n    a--;\n", false),
    ("  if (a)\n    a++;\n\ta--;\n", false),
    ("  if (a)\n        a++;\n\ta--;\n", true),
    ("  if (a)\n    a++; a--;\n", true),
    ("  if (a)\n    a++;\n  else\n    a--;\n    b(a);\n", true),
    ("  if (a)\n    a++;\n  else\n    a--;\n  b(a);\n", false),
    ("  if (a)\n    a++;\n  else if (b(a))\n    a--;\n    b(a);\n", true),
    ("  if (a) {\n    a++;\n  } else\n    a--;\n    b(a);\n", true),
    ("  if (a)\n    if (b(a))\n      a++;\n    else\n      a--;\n  b(a);\n", false),
    ("  if (a)\n    if (b(a))\n      a++;\n    else\n      a--;\n    b(a);\n", true),
    ("  for (;;)\n    a++;\n    a--;\n", true),
    ("  while (a)\n    a++;\n    a--;\n", true),
    ("  while (a);\n    a--;\n", true),
    ("  while (a);\n  {\n    a--;\n  }\n", true),
    ("  while (a)\n    ;\n  a--;\n", false),
    ("  if (a)\n    /* none */;\n    a--;\n", true),
    ("  do\n    a++;\n  while (a);\n  a--;\n", false),
    ("  do\n    if (a) a++;\n  while (a);\n    a--;\n", false),
    ("  for (;;)\n    do a++; while (a);\n    a--;\n", true),
    ("    if (a)\n  a++;\n  a--;\n", true),
    ("  if (a)\n  a++;\n  a--;\n", false),
    ("  if (a)\n    b(\n      a);\n    a--;\n", true),
    ("  if (a)\n    switch (a) { case 1: a++; default: a--; }\n    a--;\n", true),
    ("  if (a)\n    a = ({ int c = 1; c; });\n    a--;\n", true),
    ("  if (a)\n  l:\n    a++;\n    a--;\n  if (a) goto l;\n", false),
    ("  if (a)\n    a++; /* c */\n    // c\n    /* c\n    */\n    a--;\n", true),
    ("  if (a)\n    b(\";\\\"\"[0] + ';');\n    a--;\n", true),
    ("  if (a)\n#define TWICE(x) x; \\\n  x\n    a++;\n#undef TWICE\n    a--;\n", true),
    ("  if \\\n(a)\n    a++;\n    a--;\n", true),
    ("  b(a); if (a) a++; a--;\n", false),
    ("  if (a)\n    while (b(a))\n      a++;\n      a--;\n", true),
    ("  if (a)\n    for (;;) {\n      a++;\n    }\n    a--;\n", true),
    ("  if (a)\n    a++;\n    ;\n", false),
    ("  if (a)\n    a++;\n", false),
];

#[test]
fn gcc_warns_of_nothing_that_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    for (number, (body, expected)) in BODIES.into_iter().enumerate() {
        let text = format!("int b(int);\nvoid f(int a) {{\n{body}}}\n");
        assert_eq!(found(&text), expected, "{text}");
        fs::write(dir.path().join(format!("{number}.c")), text).unwrap();
    }
    for (compiler, language) in [("gcc", "c"), ("g++", "c++")] {
        let mut command = Command::new(compiler);
        command.env("LC_ALL", "C").args(["-fsyntax-only", "-Wmisleading-indentation", "-x"]);
        command.arg(language).args((0..BODIES.len()).map(|number| format!("{number}.c")));
        let output = command.current_dir(&dir).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words}");
        let warned: Vec<&str> = words.lines().filter(|line| line.contains("warning:")).collect();
        for (number, (body, expected)) in BODIES.into_iter().enumerate() {
            let start = format!("{number}.c:");
            let warns = warned.iter().any(|line| line.starts_with(&start));
            assert!(expected || !warns, "{compiler}:\n{body}");
        }
    }
}

#[test]
fn what_a_lexer_must_know_is_known() {
    const MISLEADING: &str = "if (a)\n  a++;\n  a--;\n";
    for (text, expected) in [
        (format!("const char *s = R\"x(\n)\" {MISLEADING})x\";\n"), false),
        (format!("const char *s = R\"x(\n)\")x\";\n{MISLEADING}"), true),
        (format!("int n = 1'000;\n{MISLEADING}"), true),
        (format!("#error don't\n{MISLEADING}"), true),
        (format!("#define A /* '\n*/ \"\\\"\" \\\n  '\n{MISLEADING}"), true),
        (format!("// don't \\\n'\n{MISLEADING}"), true),
        (format!("# 1 \"a.h\" 1 3 4\n'{MISLEADING}"), false),
        (format!("# 1 \"a.h\" 1 3 4\n'{MISLEADING}# 2 \"a.c\" 2\n"), false),
        (format!("# 1 \"a.h\" 1 3 4\n'\n# 2 \"a.c\" 2\n{MISLEADING}"), true),
        (format!("# 1 \"3.h\" 1\n{MISLEADING}"), true),
        (format!(") ] }} }}\n{MISLEADING}"), true),
        (format!("f() {{ ( [ }}\n{MISLEADING}"), true),
        ("if (a)\n  try { b(); } catch (...) { c(); }\n  d();\n".to_owned(), true),
        ("if (a)\n  try { b(); }\n  catch (...) { c(); }\nd();\n".to_owned(), false),
        ("if constexpr (a)\n  b();\n  d();\n".to_owned(), true),
        ("if consteval {\n  b();\n}\n  d();\n".to_owned(), false),
        ("if (a)\n  f([] { if (b)\n  c();\n  });\n  d();\n".to_owned(), true),
        ("each (a) if (b)\n  c();\n  d();\n".to_owned(), true),
        ("if (a)\n  CALL(b)\n  d();\n".to_owned(), true),
        ("if (a)\n  EACH(b) {\n  }\nd();\n".to_owned(), false),
        ("if (a) return b;\nif (a) goto b;\nif (a) asm volatile (\"\");\n".to_owned(), false),
        ("if (a)\n#if B\n  c();\n#else\n  d();\n#endif\n  e();\n".to_owned(), true),
        ("if (a) {\n#if B\n  c();\n#else\n  d();\n#endif\n}\ne();\n".to_owned(), false),
    ] {
        assert_eq!(found(&text), expected, "{text}");
    }
}

#[test]
fn gcc_looks_only_if_it_is_told_to() {
    let text = b"if (a)\n    a++;\n\ta--;\n";
    for (line, expected) in [
        ("-O2 -Wextra", false),
        ("-Wall", false),
        ("-Wall -ftabstop=4", true),
        ("-Wmisleading-indentation -ftabstop=4", true),
        ("-Werror=misleading-indentation -ftabstop=4", true),
        ("-Wmisleading-indentation -Wno-all -ftabstop=4", true),
        ("-Wno-misleading-indentation -Wall -ftabstop=4", false),
        ("-Wall -Wno-all -ftabstop=4", false),
        ("-Wall -ftabstop=4 -w", false),
        ("-Wall -ftabstop=4 -ftabstop=x", false),
    ] {
        assert_eq!(may_mislead(text, &options(line)), expected, "{line}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_looked_at(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        words in proptest::collection::vec(prop::sample::select(vec![
            "if", "else", "for", "while", "do", "switch", "case", "try", "catch", "x", "(", ")",
            "{", "}", ";", ":", "\n", "  ", "\t", "\\\n", "R\"(", "\"", "'", "/*", "*/", "//",
            "\n#", "\n# 1 \"a\" 3\n", "\n#else\n", "1'", "\\",
        ]), 0..200),
    ) {
        for text in [bytes, words.concat().into_bytes()] {
            let _ = may_mislead(&text, &options("-Wall"));
        }
    }
}
