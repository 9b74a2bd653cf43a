//! `--help`: every option and variable, and where host lists come from.

use std::fmt::Write;

/// A word and what it does.
type Entry = (&'static str, &'static str);

const OPTIONS: &[Entry] = &[
    ("COMPILER", "the compiler; cc if the first word is an option or a source"),
    ("--help", "this text"),
    ("--version", "the version"),
    ("--show-hosts", "the hosts that jobs may go to, one a line"),
    ("--show-hosts --why [COMPILER...]", "every host, may it be used, and why or why not"),
    ("--networks", "the networks used, and whether discovered hosts there get jobs"),
    ("--trust-network[=NAME|all]", "let hosts of the current, that or every network compile"),
    ("--forget-network=NAME|all", "do not, from now on"),
    ("-j", "how many jobs all hosts take together, at least the cores here"),
];

const HOST_FORMS: &[Entry] = &[
    ("+zeroconf", "the machines found on this network"),
    ("HOST, HOST:PORT, [IPV6]:PORT", "a host by TCP; the port is 3632 unless given"),
    ("USER@HOST, @HOST:COMMAND", "a host by ssh; COMMAND is run there instead of distccd"),
    ("HOST/LIMIT", "with at most LIMIT jobs at once (4 unless given)"),
    ("HOST,lzo", "with compression"),
    ("HOST,down", "listed, but not used"),
    ("localhost, localhost/LIMIT", "this machine, without the network"),
    ("--localslots=N", "compiles on this machine at once; never more than its cores"),
    ("--localslots_cpp=N", "preprocessors on this machine at once"),
    ("--randomize", "use hosts in random order"),
    ("# ...", "a comment, to the end of the line"),
];

const HOST_LISTS: &[Entry] = &[
    ("$DISTCC_HOSTS", "the list itself; if set, even empty, no file is read"),
    ("$DISTCC_DIR/hosts", "a file; $DISTCC_DIR is ~/.distcc unless set"),
    ("/etc/distcc/hosts", "a file"),
];

const VARIABLES: &[Entry] = &[
    ("DISTCC_HOSTS", "the host list"),
    ("DISTCC_DIR", "directory of host list, policy, locks and agent (~/.distcc)"),
    ("DISTCC_POLICY", "the policy, not $DISTCC_DIR/policy.toml or /etc/distcc/policy.toml"),
    ("DISTCC_VERBOSE", "1: say every step"),
    ("DISTCC_LOG", "write messages to this file instead of standard error"),
    ("UNCACHED_ERR_FD", "write messages to this descriptor (set by ccache)"),
    ("DISTCC_FALLBACK", "0: fail where a job cannot be distributed, do not compile it here"),
    ("DISTCC_SKIP_LOCAL_RETRY", "if set, a compiler's error elsewhere is not checked here"),
    ("DISTCC_NO_REWRITE_CROSS", "if set, hosts are asked for the compiler as typed, without agent"),
    ("DISTCC_NO_CROSS_REWRITE", "the same"),
    ("DISTCC_NATIVE", "local: compile here what is for the processor here (-march=native)"),
    ("DISTCC_SSH", "how to call ssh (ssh)"),
    ("DISTCC_IO_TIMEOUT", "seconds without any progress until a host is given up (300)"),
    ("DISTCC_CONNECT_TIMEOUT", "seconds for which one address of a host is waited for (4)"),
    ("DISTCC_BACKOFF_PERIOD", "seconds for which a failed host is left alone (60)"),
    ("DISTCC_PAUSE_TIME_MSEC", "longest pause between looks at lock files (1000)"),
    ("DISTCC_AGENT", "off: do not start an agent; without one, +zeroconf finds nothing"),
    ("DISTCC_AGENT_IDLE", "seconds after which an unused agent leaves (600)"),
    ("DISTCC_SAVE_TEMPS", "1: keep the preprocessed source"),
    ("TMPDIR", "directory for the preprocessed source (/tmp)"),
];

/// The text.
pub(super) fn text() -> String {
    let mut text = String::from(
        "Usage:\n  \
           distcc [COMPILER] [compile options] -o OBJECT -c SOURCE\n  \
           distcc --help | --version | --show-hosts [--why] | -j\n  \
           distcc --networks | --trust-network[=NAME|all] | --forget-network=NAME|all\n\n\
         Compiles on other machines that run distccd with the same compiler. What cannot\n\
         travel, such as linking, runs here. Use it with make's -j option. It may also be\n\
         called by a compiler's name: a link named gcc to distcc, in a directory that stands\n\
         before the compiler's own on PATH.\n",
    );
    for (title, entries) in [
        ("Options", OPTIONS),
        ("The host list is the first of these that exists", HOST_LISTS),
        ("It holds, separated by spaces or lines", HOST_FORMS),
        ("Environment variables", VARIABLES),
    ] {
        section(&mut text, title, entries);
    }
    text
}

fn section(text: &mut String, title: &str, entries: &[Entry]) {
    let width = entries.iter().map(|(word, _)| word.len()).max().unwrap_or(0);
    let _ = writeln!(text, "\n{title}:");
    for (word, meaning) in entries {
        let _ = writeln!(text, "  {word:width$}  {meaning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_a_wide_terminal_and_names_everything() {
        let text = text();
        assert!(text.starts_with("Usage:"));
        for line in text.lines() {
            assert!(line.len() <= 100, "{line}");
        }
        for (word, _) in [OPTIONS, HOST_FORMS, HOST_LISTS, VARIABLES].concat() {
            assert!(text.contains(word), "{word}");
        }
    }
}
