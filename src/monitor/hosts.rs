//! The screens of `--show-hosts`, pure: the agent's answer as text.

use std::fmt::{self, Display, Formatter};

use crate::wire::control::{HostLine, HostsAnswer, VerdictLine};

/// Lines are broken to fit a terminal of this many columns.
const WIDTH: usize = 80;
/// `HostLine::source` of a discovered host.
const ZEROCONF: &str = "zeroconf";

/// The hosts that the list stands for, one token a line, as the original prints them and scripts
/// read them (distcc 3.4, `--show-hosts`).
///
/// Listed hosts are all there. A discovered one is left out if it can be used for none of the
/// compilers asked for: it is not a host of this user.
pub(crate) fn render_plain(answer: &HostsAnswer) -> String {
    answer
        .lines
        .iter()
        .filter(|line| line.source != ZEROCONF || line.verdicts.is_empty() || is_usable(line))
        .map(|line| format!("{}\n", Plain(&line.token)))
        .collect()
}

/// Every host, may it be used or not, with what decided.
pub(crate) fn render_why(answer: &HostsAnswer) -> String {
    let mut screen = String::new();
    push(&mut screen, "policy: ", &answer.policy);
    push_compilers(&mut screen, &answer.compilers);
    for line in &answer.lines {
        screen.push('\n');
        push_host(&mut screen, line, answer.compilers.len());
    }
    if answer.unanswered > 0 {
        screen.push('\n');
        let n = answer.unanswered;
        let verb = if n == 1 { "was" } else { "were" };
        push(&mut screen, "", &format!("and {n} more {verb} announced but never answered"));
    }
    screen.push('\n');
    let usable = answer.lines.iter().filter(|line| is_usable(line)).count();
    let summary = match answer.lines.len() {
        0 => "no hosts: none is listed and none was discovered".to_owned(),
        1 => format!("{usable} of 1 host can be used"),
        hosts => format!("{usable} of {hosts} hosts can be used"),
    };
    push(&mut screen, "", &summary);
    if !answer.problems.is_empty() {
        screen.push_str("\nproblems:\n");
        for problem in &answer.problems {
            push(&mut screen, "  ", problem);
        }
    }
    screen
}

/// May it be used for any of the compilers?
fn is_usable(line: &HostLine) -> bool {
    line.verdicts.iter().any(|verdict| verdict.usable)
}

/// The local compilers; their numbers stand before the verdicts if there are several.
fn push_compilers(screen: &mut String, compilers: &[String]) {
    if let [compiler] = compilers {
        push(screen, "compiler here: ", compiler);
        return;
    }
    screen.push_str("compilers here:\n");
    for (idx, compiler) in compilers.iter().enumerate() {
        push(screen, &format!("  [{}] ", idx + 1), compiler);
    }
}

fn push_host(screen: &mut String, line: &HostLine, n_compilers: usize) {
    let HostLine { token, name, addr, source, slots, verdicts } = line;
    push(screen, "", &if name == token { token.clone() } else { format!("{token}  {name}") });
    let from = if source == ZEROCONF { "discovered (zeroconf)" } else { "listed (hosts)" };
    let plural = if *slots == 1 { "" } else { "s" };
    push(screen, "  ", &format!("{addr}, {from}, {slots} slot{plural}"));
    for (idx, verdict) in verdicts.iter().enumerate() {
        let number = if n_compilers > 1 { format!("[{}] ", idx + 1) } else { String::new() };
        push_verdict(screen, &number, verdict);
    }
}

fn push_verdict(screen: &mut String, number: &str, verdict: &VerdictLine) {
    let answer = if verdict.usable { "yes" } else { "no " };
    let first = format!("  {number}{answer}  ");
    push(screen, &first, &verdict.reason);
    if !verdict.toolchain.is_empty() {
        let there = format!("{:indent$}there: ", "", indent = first.len());
        push(screen, &there, &verdict.toolchain);
    }
}

/// Appends `text` after `first`, broken at blanks; further lines stand below its beginning. A word
/// that is too long stays whole: a path that is cut cannot be copied.
fn push(screen: &mut String, first: &str, text: &str) {
    let indent = first.chars().count();
    screen.push_str(first);
    let mut column = indent;
    for (idx, word) in Plain(text).to_string().split(' ').enumerate() {
        let width = word.chars().count();
        if idx == 0 {
            column += width;
        } else if column + 1 + width <= WIDTH {
            screen.push(' ');
            column += 1 + width;
        } else {
            screen.push('\n');
            screen.extend(std::iter::repeat_n(' ', indent));
            column = indent + width;
        }
        screen.push_str(word);
    }
    screen.push('\n');
}

/// Text that may come from another machine, with nothing in it that a terminal would obey.
struct Plain<'a>(&'a str);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.split(char::is_control).enumerate().try_for_each(|(idx, part)| {
            let replacement = if idx == 0 { "" } else { "?" };
            write!(f, "{replacement}{part}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    fn verdict(usable: bool, toolchain: &str, reason: &str) -> VerdictLine {
        VerdictLine { usable, toolchain: text(toolchain), reason: text(reason) }
    }

    fn line(facts: [&str; 4], slots: u16, verdicts: Vec<VerdictLine>) -> HostLine {
        let [token, name, addr, source] = facts.map(text);
        HostLine { token, name, addr, source, slots, verdicts }
    }

    const GCC: &str = "gcc 12.2.0 x86_64-linux-gnu, as 2.40";
    const CLANG: &str = "clang 14.0.6 x86_64-pc-linux-gnu";

    fn farm() -> HostsAnswer {
        HostsAnswer {
            lines: vec![
                line(
                    ["10.77.0.2:3632/8,lzo", "b.local", "10.77.0.2:3632", "zeroconf"],
                    8,
                    vec![verdict(true, GCC, "same toolchain as gcc")],
                ),
                line(
                    ["10.77.0.3:3632/1,lzo", "c.local", "10.77.0.3:3632", "zeroconf"],
                    1,
                    vec![verdict(
                        false,
                        "gcc 11.3.0 x86_64-linux-gnu, as 2.40",
                        "gcc 12.2.0 here, 11.3.0 there",
                    )],
                ),
                line(
                    ["10.77.0.4:3632/4,lzo", "laptop-7.local", "10.77.0.4:3632", "zeroconf"],
                    4,
                    vec![verdict(false, "", "denied by rule 2 (host=laptop-*)")],
                ),
                line(
                    ["office/4", "office", "cannot find the address of office", "hosts"],
                    4,
                    vec![verdict(false, "", "no address")],
                ),
            ],
            compilers: vec![text(GCC)],
            policy: text("built in"),
            problems: Vec::new(),
            unanswered: 0,
        }
    }

    #[test]
    fn plain_screen_has_the_hosts_of_this_user() {
        assert_eq!(render_plain(&farm()), "10.77.0.2:3632/8,lzo\noffice/4\n");
        assert_eq!(render_plain(&HostsAnswer { lines: Vec::new(), ..farm() }), "");
    }

    #[test]
    fn why_screen_gives_every_host_its_reason() {
        let expected = "\
policy: built in
compiler here: gcc 12.2.0 x86_64-linux-gnu, as 2.40

10.77.0.2:3632/8,lzo  b.local
  10.77.0.2:3632, discovered (zeroconf), 8 slots
  yes  same toolchain as gcc
       there: gcc 12.2.0 x86_64-linux-gnu, as 2.40

10.77.0.3:3632/1,lzo  c.local
  10.77.0.3:3632, discovered (zeroconf), 1 slot
  no   gcc 12.2.0 here, 11.3.0 there
       there: gcc 11.3.0 x86_64-linux-gnu, as 2.40

10.77.0.4:3632/4,lzo  laptop-7.local
  10.77.0.4:3632, discovered (zeroconf), 4 slots
  no   denied by rule 2 (host=laptop-*)

office/4  office
  cannot find the address of office, listed (hosts), 4 slots
  no   no address

1 of 4 hosts can be used
";
        assert_eq!(render_why(&farm()), expected);
    }

    #[test]
    fn why_screen_numbers_several_compilers_and_ends_with_the_problems() {
        let mixed = vec![
            verdict(
                true,
                "gcc 12.2.0 x86_64-linux-gnu, as 2.40.1",
                "near enough to gcc-12: assembler 2.40 here, 2.40.1 there, allowed by rule 1 \
                 (net=10.0.0.0/8)",
            ),
            verdict(false, "", "no clang there"),
        ];
        let answer = HostsAnswer {
            lines: vec![line(["10.77.0.9", "10.77.0.9", "10.77.0.9:3632", "hosts"], 4, mixed)],
            compilers: vec![text(GCC), text(CLANG)],
            policy: text("/home/me/.distcc/policy.toml"),
            problems: vec![
                text(
                    "/home/me/.distcc/hosts:3: a:b: expected a port between 1 and 65535 after ':'",
                ),
                text("DISTCC_HOSTS:1: ,lzo: expected a host name"),
            ],
            unanswered: 0,
        };
        let expected = "\
policy: /home/me/.distcc/policy.toml
compilers here:
  [1] gcc 12.2.0 x86_64-linux-gnu, as 2.40
  [2] clang 14.0.6 x86_64-pc-linux-gnu

10.77.0.9
  10.77.0.9:3632, listed (hosts), 4 slots
  [1] yes  near enough to gcc-12: assembler 2.40 here, 2.40.1 there, allowed by
           rule 1 (net=10.0.0.0/8)
           there: gcc 12.2.0 x86_64-linux-gnu, as 2.40.1
  [2] no   no clang there

1 of 1 host can be used

problems:
  /home/me/.distcc/hosts:3: a:b: expected a port between 1 and 65535 after ':'
  DISTCC_HOSTS:1: ,lzo: expected a host name
";
        assert_eq!(render_why(&answer), expected);
        assert!(expected.lines().all(|line| line.len() <= WIDTH));
    }

    #[test]
    fn why_screen_counts_hosts_that_never_answered() {
        let screen = render_why(&HostsAnswer { unanswered: 492, ..farm() });
        let line = "\n\nand 492 more were announced but never answered\n\n";
        assert!(screen.contains(line), "{screen}");
        let screen = render_why(&HostsAnswer { unanswered: 1, ..farm() });
        assert!(screen.contains("and 1 more was announced but"), "{screen}");
    }

    #[test]
    fn why_screen_says_that_there_are_no_hosts() {
        let answer = HostsAnswer { lines: Vec::new(), ..farm() };
        let expected = "policy: built in\ncompiler here: gcc 12.2.0 x86_64-linux-gnu, as 2.40\n\n\
                        no hosts: none is listed and none was discovered\n";
        assert_eq!(render_why(&answer), expected);
    }

    #[test]
    fn peers_cannot_steer_the_terminal() {
        let mut answer = farm();
        answer.lines[0].name = text("evil\x1b[2J\nhost");
        answer.lines[0].verdicts[0].reason = text("same\r\u{9b}31m");
        answer.lines[0].token = text("a\tb");
        for screen in [render_plain(&answer), render_why(&answer)] {
            assert!(!screen.contains(|c: char| c.is_control() && c != '\n'), "{screen}");
        }
        assert!(render_why(&answer).contains("evil?[2J?host"));
    }
}
