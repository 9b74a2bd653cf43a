//! What `-march=native` and its like stand for: this processor, in options that mean the same on
//! every machine. The preprocessor here keeps the user's words.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;

use crate::command::{Compile, LocalReason, native};

use super::ask::{Question, ask};
use super::compiler::Compiler;
use super::session::Session;

/// Where the kernel describes the processors.
const CPUINFO: &str = "/proc/cpuinfo";
/// What it says there that differs from one moment, or one processor of a machine, to the next.
const PASSING: [&str; 11] = [
    "processor",
    "cpu MHz",
    "bogomips",
    "BogoMIPS",
    "clock",
    "physical id",
    "siblings",
    "core id",
    "cpu cores",
    "apicid",
    "initial apicid",
];

/// Lets `compile` travel with options that say what this processor is, if it asks for this one.
pub(super) fn resolve(
    session: &Session<'_>,
    compiler: &Compiler,
    compile: &mut Compile,
) -> Result<(), LocalReason> {
    let Some(asked) = native::question(compile)? else { return Ok(()) };
    if !session.env.native_travels {
        return Err(native::unwanted(compile));
    }
    let cpu = cpu().map_err(|error| native::unsayable(compile, format!("{CPUINFO}: {error}")))?;
    let words = asked.iter().map(|word| OsStr::from_bytes(word).to_owned());
    let show = ["-###", "-c", "-x", "c", "/dev/null", "-o", "/dev/null"].map(OsString::from);
    let read = |said: &[u8]| {
        let explicit = native::explicit(&asked, said)?;
        let explicit: Vec<_> = explicit.iter().map(|word| String::from_utf8_lossy(word)).collect();
        Ok(explicit.join(" "))
    };
    let question = Question { words: words.chain(show).collect(), depends_on: cpu, read: &read };
    let answer =
        ask(session, compiler, &question).map_err(|problem| native::unsayable(compile, problem))?;
    native::answer(compile, answer.split(' ').map(|word| word.as_bytes().to_vec()).collect());
    Ok(())
}

/// The first processor as the kernel describes it.
fn cpu() -> io::Result<String> {
    describe(BufReader::new(File::open(CPUINFO)?))
}

fn describe(cpuinfo: impl BufRead) -> io::Result<String> {
    let mut description = String::new();
    for line in cpuinfo.lines() {
        let line = line?;
        // An empty line ends what is said of one processor.
        if line.trim().is_empty() {
            break;
        }
        let name = line.split(':').next().unwrap_or_default().trim();
        if !PASSING.contains(&name) {
            description.push_str(&line);
            description.push('\n');
        }
    }
    if description.is_empty() {
        return Err(io::Error::other("it describes no processor"));
    }
    Ok(description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_what_does_not_change_from_moment_to_moment() {
        let text = |mhz: &str, flags: &str| {
            format!(
                "processor\t: 3\nmodel name\t: X\ncpu MHz\t\t: {mhz}\nflags\t\t: {flags}\n\n\
                 processor\t: 4\nmodel name\t: Y\n"
            )
        };
        let described = |text: String| describe(text.as_bytes()).unwrap();
        assert_eq!(described(text("1.0", "fpu sse")), described(text("2.0", "fpu sse")));
        assert_ne!(described(text("1.0", "fpu sse")), described(text("1.0", "fpu")));
        assert!(!described(text("1.0", "fpu")).contains('Y'));
        assert!(describe(&b""[..]).is_err());
        assert!(!cpu().unwrap().contains("MHz"));
    }
}
