//! Options by which a compiler runs a program or loads code.

use crate::attack::Attack;

const MODULE: &str = "export module m;\n";

pub(super) const ATTACKS: &[Attack] = &[
    Attack::marks("-wrapper", &["gcc", "-wrapper", "sh,-c,echo > {mark}"]),
    Attack::marks("-wrapper of g++", &["g++", "-wrapper", "{plant}/run/tool"]),
    Attack::marks_by(
        "-fmodule-mapper=|",
        &["g++", "-std=c++20", "-fmodules-ts", "-fmodule-mapper=|{plant}/run/tool"],
        MODULE,
    ),
    Attack::marks("@ with -wrapper", &["gcc", "@{plant}/args"]),
    Attack::marks("-specs FILE", &["gcc", "-specs", "{plant}/specs"]),
    Attack::marks("--specs=FILE", &["gcc", "--specs={plant}/specs"]),
    Attack::marks("--specs FILE", &["gcc", "--specs", "{plant}/specs"]),
    Attack::marks("-B of gcc", &["gcc", "-B", "{plant}/run/"]),
    Attack::marks("-B of clang", &["clang", "-no-integrated-as", "-B", "{plant}/run"]),
    Attack::marks("-Xclang -load", &["clang", "-Xclang", "-load", "-Xclang", "{plant}/evil.so"]),
    Attack::marks("-fpass-plugin=", &["clang", "-fpass-plugin={plant}/evil.so"]),
    Attack::marks("--config", &["clang", "--config", "{plant}/evil.cfg"]),
    Attack::marks("@ of clang", &["clang", "@{plant}/evil.cfg"]),
    Attack::marks("--prefix", &["gcc", "--prefix={plant}/run/"]),
];
