//! Targets (`x86_64-linux-gnu`) without the word that names a vendor.

/// The target with its vendor word removed and `linux` spelled out as `linux-gnu`, so that equal
/// targets become equal texts: `x86_64-linux-gnu`, `x86_64-pc-linux-gnu`, `x86_64-redhat-linux`.
///
/// The vendor is the second word, unless that one is the kernel already. On Linux it says who
/// built the compiler and nothing of its code; elsewhere it may tell systems apart
/// (`i686-w64-mingw32`, `arm-none-eabi`), so only the words that stand for "no vendor" are dropped.
pub(crate) fn normalised(target: &str) -> String {
    let target = target.to_ascii_lowercase();
    let mut words: Vec<&str> = target.split('-').collect();
    if let [_, vendor, system, ..] = words[..]
        && !is_linux(vendor)
        && (is_linux(system) || matches!(vendor, "pc" | "unknown"))
    {
        words.remove(1);
    }
    if let [_, system] = words[..]
        && system == "linux"
    {
        words.push("gnu");
    }
    words.join("-")
}

/// Is this word the Linux kernel?
fn is_linux(word: &str) -> bool {
    matches!(word, "linux" | "uclinux")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vendor_word_is_dropped() {
        for (target, expected) in [
            ("x86_64-linux-gnu", "x86_64-linux-gnu"),
            ("x86_64-pc-linux-gnu", "x86_64-linux-gnu"),
            ("x86_64-unknown-linux-gnu", "x86_64-linux-gnu"),
            ("x86_64-redhat-linux", "x86_64-linux-gnu"),
            ("x86_64-suse-linux-gnu", "x86_64-linux-gnu"),
            ("x86_64-linux-gnux32", "x86_64-linux-gnux32"),
            ("x86_64-linux-musl", "x86_64-linux-musl"),
            ("x86_64-alpine-linux-musl", "x86_64-linux-musl"),
            ("aarch64-none-linux-gnu", "aarch64-linux-gnu"),
            ("arm-none-eabi", "arm-none-eabi"),
            ("arm-unknown-linux-gnueabihf", "arm-linux-gnueabihf"),
            ("i686-w64-mingw32", "i686-w64-mingw32"),
            ("i686-pc-mingw32", "i686-mingw32"),
            ("x86_64-unknown-freebsd13.2", "x86_64-freebsd13.2"),
            ("x86_64-apple-darwin22", "x86_64-apple-darwin22"),
            ("X86_64-PC-Linux-GNU", "x86_64-linux-gnu"),
            ("avr", "avr"),
            ("", ""),
        ] {
            assert_eq!(normalised(target), expected, "{target}");
        }
    }

    proptest! {
        #[test]
        fn vendor_of_a_linux_target_never_counts(
            arch in "[a-z0-9_]{1,8}", vendor in "[a-km-z][a-z0-9]{0,6}", abi in "[a-z0-9]{1,8}",
        ) {
            let without = format!("{arch}-linux-{abi}");
            prop_assert_eq!(normalised(&format!("{arch}-{vendor}-linux-{abi}")), without.clone());
            prop_assert_eq!(normalised(&without), without);
        }

        #[test]
        fn no_text_panics(target in "\\PC{0,60}") {
            normalised(&target);
        }
    }
}
