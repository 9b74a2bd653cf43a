//! Why a command is not compiled elsewhere.

use std::fmt::{self, Display, Formatter};

use super::options::Why;

/// Why a command runs on this machine. `Display` is a lowercase fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LocalReason {
    /// `-E`, `-M`: only the preprocessor is wanted.
    PreprocessOnly,
    /// `--version` and other questions to the compiler.
    Query(String),
    /// There is nothing to compile.
    NoInput,
    /// A source of `configure`: too small to travel, and often about this very machine.
    Conftest(String),
    /// Neither `-c` nor `-S`.
    Links,
    /// More than one source or other file.
    SeveralInputs {
        /// How many.
        n_inputs: usize,
    },
    /// The source comes from standard input.
    StandardInput,
    /// The object goes to standard output.
    StandardOutput,
    /// `-o` twice, or without a name.
    UnclearOutput,
    /// A source that is not C, C++, Objective-C or Objective-C++.
    NotASource(String),
    /// `-x` with a language that does not travel, or after the source.
    LanguageOption(String),
    /// An option of the table that does not travel.
    Option {
        /// As written.
        option: String,
        /// Why it does not.
        why: Why,
    },
    /// An option that the table does not have.
    UnknownOption(String),
    /// An option whose value would name something on the server.
    UnsafeValue(String),
    /// The command line ends before the value of this option.
    MissingValue(String),
    /// `@file`.
    ResponseFile(String),
    /// A C source that clang++ takes for C++, which it warns of in its own way.
    TakenForCxx(String),
    /// Dependencies are wanted of a source that is preprocessed already.
    DependenciesOfPreprocessed,
    /// What an option says of this machine's processor cannot be said elsewhere.
    Processor {
        /// `-march=native`
        option: String,
        /// Why not, a lowercase fragment.
        problem: String,
    },
    /// An environment variable changes what the compiler runs or writes.
    Environment(&'static str),
}

/// What a local command asks of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// A preprocessor run.
    Preprocess,
    /// A compile, a link or anything else that computes.
    Compile,
    /// So little that it needs no slot.
    Free,
}

impl LocalReason {
    /// What the command asks of this machine.
    pub(crate) fn weight(&self) -> Weight {
        match self {
            Self::PreprocessOnly => Weight::Preprocess,
            Self::Query(_) | Self::NoInput | Self::Conftest(_) => Weight::Free,
            _ => Weight::Compile,
        }
    }
}

impl Display for LocalReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreprocessOnly => f.write_str("only the preprocessor is wanted"),
            Self::Query(option) => write!(f, "{option} asks the compiler about itself"),
            Self::NoInput => f.write_str("no source is named"),
            Self::Conftest(name) => write!(f, "{name} is a test of a configure script"),
            Self::Links => f.write_str("neither -c nor -S is given"),
            Self::SeveralInputs { n_inputs } => write!(f, "{n_inputs} files are named"),
            Self::StandardInput => f.write_str("the source is read from standard input"),
            Self::StandardOutput => f.write_str("the output goes to standard output"),
            Self::UnclearOutput => f.write_str("the name of the output is not clear"),
            Self::NotASource(name) => {
                write!(f, "{name} is not a source of a language that travels")
            }
            Self::LanguageOption(language) => write!(f, "-x {language} does not travel"),
            Self::Option { option, why } => write!(f, "{option} {}", why.text()),
            Self::UnknownOption(option) => write!(f, "the option {option} is not known"),
            Self::UnsafeValue(option) => write!(f, "{option} may name a file of the server"),
            Self::MissingValue(option) => write!(f, "{option} has no value"),
            Self::ResponseFile(word) => write!(f, "what stands in {word} is not clear"),
            Self::TakenForCxx(name) => write!(f, "clang++ warns of {name}, which is not C++"),
            Self::DependenciesOfPreprocessed => {
                f.write_str("dependencies are wanted of a preprocessed source")
            }
            Self::Processor { option, problem } => {
                write!(f, "what {option} stands for is not known: {problem}")
            }
            Self::Environment(name) => write!(f, "${name} is set"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_lowercase_fragments() {
        let option = || "-x".to_owned();
        let reasons = [
            LocalReason::PreprocessOnly,
            LocalReason::Query(option()),
            LocalReason::NoInput,
            LocalReason::Option { option: option(), why: Why::Native },
            LocalReason::UnknownOption(option()),
            LocalReason::Environment("COMPILER_PATH"),
        ];
        for reason in reasons {
            let text = reason.to_string();
            assert!(!text.ends_with('.'), "{text}");
            assert!(!text.starts_with(|c: char| c.is_ascii_uppercase()), "{text}");
        }
    }
}
