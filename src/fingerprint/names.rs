//! What a compiler's name promises, and which of several is the best known. Pure.

use crate::command::CompilerName;

use super::Family;

/// The family that the name promises; none for `cc`.
pub(crate) fn family(name: &CompilerName<'_>) -> Option<Family> {
    match name.stem {
        "gcc" | "g++" => Some(Family::Gcc),
        "clang" | "clang++" => Some(Family::Clang),
        _ => None,
    }
}

/// By this a list of names begins with the one by which a compiler is best known: `gcc`, `cc`,
/// `gcc-12`, `x86_64-linux-gnu-gcc`, `x86_64-linux-gnu-gcc-12`, and names of other kinds.
pub(crate) fn offer_order(name: &str) -> (u8, u8, u8, String) {
    let Some(parsed) = CompilerName::parse(name) else { return (9, 0, 0, name.to_owned()) };
    let kind = match (parsed.prefix, parsed.versioned) {
        ("", false) => 0,
        ("", true) => 1,
        (_, false) => 2,
        (_, true) => 3,
    };
    let family = match family(&parsed) {
        Some(Family::Gcc) => 0,
        Some(_) => 1,
        None => 2,
    };
    (kind, family, u8::from(parsed.stem.ends_with("++")), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_the_best_known_name_first() {
        let mut names = [
            "x86_64-linux-gnu-gcc-12",
            "zz",
            "gcc-12",
            "cc",
            "c++",
            "clang",
            "x86_64-linux-gnu-gcc",
            "gcc",
            "g++",
        ];
        names.sort_by_cached_key(|name| offer_order(name));
        assert_eq!(
            names,
            [
                "gcc",
                "g++",
                "clang",
                "cc",
                "c++",
                "gcc-12",
                "x86_64-linux-gnu-gcc",
                "x86_64-linux-gnu-gcc-12",
                "zz",
            ]
        );
    }
}
