//! What tells two toolchains apart, in the words that people read.

use std::fmt::{self, Display, Formatter};

use crate::fingerprint::Family;

/// Text of a peer is cut to this many characters in a message.
const MAX_SHOWN: usize = 80;
/// At most this many configure words are named in a message.
const MAX_WORDS: usize = 3;

/// Why none of a peer's compilers will do: how the nearest of them differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The first thing in which it differs.
    pub(crate) what: Dissent,
    /// Its index among those offered; none where none of the family and driver is.
    pub(crate) idx: Option<usize>,
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)
    }
}

/// One thing in which two toolchains differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dissent {
    /// The peer has no compiler of this family.
    NoFamily(Family),
    /// The peer has this family, but not this driver of it (`g++`).
    NoDriver(String),
    /// The peer has no program of this name (only for unknown families).
    NoProgram(String),
    /// Versions differ too much.
    Version {
        /// Of both.
        family: Family,
        /// The client's.
        here: String,
        /// The peer's.
        there: String,
    },
    /// Code for another machine or system.
    Target {
        /// The client's.
        here: String,
        /// The peer's.
        there: String,
    },
    /// Another assembler.
    Assembler {
        /// The client's.
        here: Assembler,
        /// The peer's.
        there: Assembler,
    },
    /// Built by another distributor.
    Distributor {
        /// The client's, empty if it names none.
        here: String,
        /// The peer's, likewise.
        there: String,
    },
    /// Other words that change defaults were given to configure.
    Configure {
        /// Those which only the client's has.
        here: Vec<String>,
        /// Those which only the peer's has.
        there: Vec<String>,
    },
    /// Another revision of the distributor's package.
    Revision {
        /// The client's, empty if it names none.
        here: String,
        /// The peer's, likewise.
        there: String,
    },
    /// Another mark in objects.
    Mark {
        /// The client's `.comment`, empty if it leaves none.
        here: String,
        /// The peer's, likewise.
        there: String,
    },
    /// Nothing but the files themselves.
    Files {
        /// The program's name.
        name: String,
        /// The client's digest, all zero if unknown.
        here: [u8; 16],
        /// The peer's, likewise.
        there: [u8; 16],
    },
}

/// Which assembler a compiler runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assembler {
    /// The compiler's own.
    Integrated,
    /// GNU as of this version.
    Version(String),
    /// An external one that is not known.
    Unknown,
}

impl Display for Dissent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFamily(family) => write!(f, "no {} there", Shown(&family.to_string())),
            Self::NoDriver(name) | Self::NoProgram(name) => write!(f, "no {} there", Shown(name)),
            Self::Version { family, here, there } => {
                both(f, &format!("{family} "), or_unknown(here), or_unknown(there))
            }
            Self::Target { here, there } => both(f, "target ", or_unknown(here), or_unknown(there)),
            Self::Assembler { here, there } => both(f, "assembler ", here.text(), there.text()),
            Self::Distributor { here, there } => {
                both(f, "built by ", or_nobody(here), or_nobody(there))
            }
            Self::Configure { here, there } if there.is_empty() => {
                write!(f, "built with {} here, without there", Words(here))
            }
            Self::Configure { here, there } if here.is_empty() => {
                write!(f, "built without {} here, with it there", Words(there))
            }
            Self::Configure { here, there } => {
                write!(f, "built with {} here, {} there", Words(here), Words(there))
            }
            Self::Revision { here, there } => {
                both(f, "package ", or_unknown(here), or_unknown(there))
            }
            Self::Mark { here, there } => {
                write!(f, "marks objects \"{}\" here, \"{}\" there", Shown(here), Shown(there))
            }
            Self::Files { name, here, there } => write!(
                f,
                "file digest of {} {} here, {} there",
                Shown(name),
                ShortDigest(here),
                ShortDigest(there)
            ),
        }
    }
}

/// `gcc 12.2.0 here, 11.3.0 there`
fn both(f: &mut Formatter<'_>, what: &str, here: &str, there: &str) -> fmt::Result {
    write!(f, "{what}{} here, {} there", Shown(here), Shown(there))
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

fn or_nobody(text: &str) -> &str {
    if text.is_empty() { "nobody known" } else { text }
}

impl Assembler {
    fn text(&self) -> &str {
        match self {
            Self::Integrated => "integrated",
            Self::Version(version) => version,
            Self::Unknown => "unknown",
        }
    }
}

/// A peer's text made safe for a terminal and a log: no control characters, not endless.
struct Shown<'a>(&'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(MAX_SHOWN) {
            let c = if c.is_control() { '?' } else { c };
            write!(f, "{c}")?;
        }
        if chars.next().is_some() { f.write_str("...") } else { Ok(()) }
    }
}

/// The first few of a list of words.
struct Words<'a>(&'a [String]);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (idx, word) in self.0.iter().take(MAX_WORDS).enumerate() {
            let separator = if idx == 0 { "" } else { " " };
            write!(f, "{separator}{}", Shown(word))?;
        }
        match self.0.len().saturating_sub(MAX_WORDS) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// The first half of a digest's first half: enough to see that two are not equal.
struct ShortDigest<'a>(&'a [u8; 16]);

impl Display for ShortDigest<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == &[0; 16] {
            return f.write_str("unknown");
        }
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| text(word)).collect()
    }

    #[test]
    fn every_difference_names_both_values() {
        let here = text("12.2.0");
        for (what, expected) in [
            (Dissent::NoFamily(Family::Clang), "no clang there"),
            (Dissent::NoDriver(text("g++")), "no g++ there"),
            (Dissent::NoProgram(text("tcc")), "no tcc there"),
            (
                Dissent::Version { family: Family::Gcc, here, there: text("11.3.0") },
                "gcc 12.2.0 here, 11.3.0 there",
            ),
            (
                Dissent::Target { here: text("x86_64-linux-gnu"), there: text("arm-none-eabi") },
                "target x86_64-linux-gnu here, arm-none-eabi there",
            ),
            (
                Dissent::Assembler {
                    here: Assembler::Version(text("2.40")),
                    there: Assembler::Unknown,
                },
                "assembler 2.40 here, unknown there",
            ),
            (
                Dissent::Assembler {
                    here: Assembler::Integrated,
                    there: Assembler::Version(text("2.40")),
                },
                "assembler integrated here, 2.40 there",
            ),
            (
                Dissent::Distributor { here: text("Debian"), there: text("") },
                "built by Debian here, nobody known there",
            ),
            (
                Dissent::Configure { here: words(&["--enable-default-pie"]), there: words(&[]) },
                "built with --enable-default-pie here, without there",
            ),
            (
                Dissent::Configure { here: words(&[]), there: words(&["--enable-cet"]) },
                "built without --enable-cet here, with it there",
            ),
            (
                Dissent::Configure {
                    here: words(&["--with-arch=i686"]),
                    there: words(&["--a", "--b", "--c", "--d", "--e"]),
                },
                "built with --with-arch=i686 here, --a --b --c and 2 more there",
            ),
            (
                Dissent::Revision { here: text("12.2.0-14"), there: text("12.2.0-14+deb12u1") },
                "package 12.2.0-14 here, 12.2.0-14+deb12u1 there",
            ),
            (
                Dissent::Mark { here: text("GCC: (GNU) 12.2.0"), there: text("") },
                "marks objects \"GCC: (GNU) 12.2.0\" here, \"\" there",
            ),
            (
                Dissent::Files { name: text("tcc"), here: [0xab; 16], there: [0; 16] },
                "file digest of tcc abababab here, unknown there",
            ),
        ] {
            assert_eq!(Difference { what, idx: None }.to_string(), expected);
        }
    }

    #[test]
    fn hostile_text_cannot_reach_the_terminal() {
        let there = format!("\x1b[31m\n{}", "9".repeat(500));
        let shown =
            Dissent::Version { family: Family::Gcc, here: text("12.2.0"), there }.to_string();
        assert!(!shown.contains(char::is_control) && shown.len() < 150, "{shown}");
    }
}
