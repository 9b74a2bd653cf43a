//! From the TOML tree of a policy file to a [`Policy`], collecting every problem with its line.

use glob::Pattern;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::access;
use super::compat::{BuildMatch, Matching, TargetMatch, Unknown};
use super::file::{Policy, PolicyError, PolicyProblem, one_of};
use super::rule::{Action, Condition, Rule, Source, TargetPattern, Test};
use super::target::normalised;
use super::version::{Requirement, Tolerance};
use crate::base::node::NodeId;

/// The keys of a rule, in the order in which messages name them.
pub(super) const RULE_KEYS: [&str; 11] = [
    "action",
    "host",
    "net",
    "interface",
    "target",
    "gcc",
    "clang",
    "binutils",
    "id",
    "source",
    "network",
];
/// The keys of `[match]`.
pub(super) const MATCH_KEYS: [&str; 6] = ["gcc", "clang", "binutils", "target", "build", "unknown"];
/// The words of `match.target`.
const TARGET_WORDS: [(&str, TargetMatch); 2] =
    [("exact", TargetMatch::Exact), ("any", TargetMatch::Any)];
/// The words of `match.build`.
const BUILD_WORDS: [(&str, BuildMatch); 3] =
    [("same", BuildMatch::Same), ("vendor", BuildMatch::Vendor), ("any", BuildMatch::Any)];
/// The words of `match.unknown`.
const UNKNOWN_WORDS: [(&str, Unknown); 3] =
    [("probe", Unknown::Probe), ("deny", Unknown::Deny), ("allow", Unknown::Allow)];
/// The words of `rule.action`.
const ACTION_WORDS: [(&str, Action); 2] = [("allow", Action::Allow), ("deny", Action::Deny)];

/// A key with its place, and its value.
type Entry<'t, 'i> = (&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>);

/// Reads one file.
pub(super) struct Reader<'a> {
    text: &'a str,
    origin: &'a str,
    problems: Vec<PolicyError>,
}

impl<'a> Reader<'a> {
    /// For this text of this file.
    pub(super) fn new(text: &'a str, origin: &'a str) -> Self {
        Self { text, origin, problems: Vec::new() }
    }

    /// What was found, by line; none if all is well.
    pub(super) fn into_problems(mut self) -> Option<Vec<PolicyError>> {
        self.problems.sort_by_key(|problem| problem.line);
        (!self.problems.is_empty()).then_some(self.problems)
    }

    /// Notes a problem at this offset of the text.
    pub(super) fn report(&mut self, at: usize, key: String, problem: PolicyProblem) {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let origin = self.origin.to_owned();
        self.problems.push(PolicyError { origin, line: Some(line), key, problem });
    }

    /// The whole document. Where something is wrong the result is of no use.
    pub(super) fn policy(&mut self, document: &DeTable<'_>) -> Policy {
        let mut policy = Policy::built_in();
        for entry in document.iter() {
            match entry.0.get_ref().as_ref() {
                "match" => match entry.1.get_ref() {
                    DeValue::Table(table) => self.matching(table, &mut policy.matching),
                    _ => self.wrong_type("match", entry.1, "a table: [match]"),
                },
                "rule" => policy.rules = self.rules(entry.1),
                key => self.unknown_key(entry.0, key.to_owned(), &["match", "rule"]),
            }
        }
        policy
    }

    fn matching(&mut self, table: &DeTable<'_>, matching: &mut Matching) {
        for (key, value) in table.iter() {
            let name = key.get_ref().as_ref();
            let path = format!("match.{name}");
            match name {
                "gcc" => self.word(&path, value, &Tolerance::WORDS, &mut matching.gcc),
                "clang" => self.word(&path, value, &Tolerance::WORDS, &mut matching.clang),
                "binutils" => self.word(&path, value, &Tolerance::WORDS, &mut matching.binutils),
                "target" => self.word(&path, value, &TARGET_WORDS, &mut matching.target),
                "build" => self.word(&path, value, &BUILD_WORDS, &mut matching.build),
                "unknown" => self.word(&path, value, &UNKNOWN_WORDS, &mut matching.unknown),
                _ => self.unknown_key(key, path, &MATCH_KEYS),
            }
        }
    }

    fn rules(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Rule> {
        const EXPECTED: &str = "a list of tables, each under [[rule]]";
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type("rule", value, EXPECTED);
            return Vec::new();
        };
        let mut rules = Vec::new();
        for rule in array.iter() {
            match rule.get_ref() {
                DeValue::Table(table) => rules.extend(self.rule(table, rule.span().start)),
                _ => self.wrong_type("rule", rule, EXPECTED),
            }
        }
        rules
    }

    fn rule(&mut self, table: &DeTable<'_>, at: usize) -> Option<Rule> {
        let mut action = None;
        let mut conditions = Vec::new();
        // In the order written, which the verdicts keep.
        let mut entries: Vec<Entry<'_, '_>> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            let path = format!("rule.{name}");
            if name == "action" {
                let mut word = Action::Deny;
                self.word(&path, value, &ACTION_WORDS, &mut word);
                action = Some(word);
            } else if let Some(name) = RULE_KEYS.into_iter().find(|&known| known == name) {
                conditions.extend(self.condition(name, &path, value));
            } else {
                self.unknown_key(key, path, &RULE_KEYS);
            }
        }
        if action.is_none() {
            let expected = words(&ACTION_WORDS);
            self.report(at, "rule.action".to_owned(), PolicyProblem::Missing { expected });
        }
        Some(Rule { action: action?, conditions })
    }

    fn condition(
        &mut self,
        key: &'static str,
        path: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Condition> {
        let expected = expected(key);
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(path, value, &format!("a string with {expected}"));
            return None;
        };
        match test(key, text) {
            Some(test) => Some(Condition { key, text: text.to_string(), test }),
            None => {
                self.bad_value(path, value, text, expected);
                None
            }
        }
    }

    /// One of some words.
    fn word<T: Copy>(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        known: &[(&str, T)],
        target: &mut T,
    ) {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(path, value, &words(known));
            return;
        };
        match known.iter().find(|(word, _)| *word == text.as_ref()) {
            Some((_, meaning)) => *target = *meaning,
            None => self.bad_value(path, value, text, words(known)),
        }
    }

    fn unknown_key(&mut self, key: &Spanned<DeString<'_>>, path: String, known: &[&'static str]) {
        let problem = PolicyProblem::UnknownKey { known: known.to_vec() };
        self.report(key.span().start, path, problem);
    }

    fn wrong_type(&mut self, path: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let problem = PolicyProblem::WrongType { expected: expected.to_owned(), found };
        self.report(value.span().start, path.to_owned(), problem);
    }

    fn bad_value(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        found: &str,
        expected: String,
    ) {
        let problem = PolicyProblem::BadValue { expected, found: found.to_owned() };
        self.report(value.span().start, path.to_owned(), problem);
    }
}

/// `exact, patch or any`
fn words<T>(known: &[(&str, T)]) -> String {
    let words: Vec<&str> = known.iter().map(|&(word, _)| word).collect();
    one_of(&words)
}

/// What the key of a rule takes.
fn expected(key: &str) -> String {
    match key {
        "host" => "a host name, * and ? standing for any characters".to_owned(),
        "net" => "an address or a network such as 10.0.0.0/8 or fd00::/8".to_owned(),
        "interface" => "an interface such as eth0 or wl*".to_owned(),
        "target" => "a target such as x86_64-linux-gnu or aarch64-*".to_owned(),
        "id" => "the eight hexadecimal digits of a node".to_owned(),
        "source" => words(&Source::WORDS),
        "network" => {
            "the name of a network such as 10.77.0.0/24 or 192.168.1.0/24@aa:bb:*".to_owned()
        }
        _ => "a version or a condition on it such as 12.2.0 or \">=12, <14\"".to_owned(),
    }
}

/// What this key with this value asks; none if the value means nothing.
fn test(key: &str, text: &str) -> Option<Test> {
    match key {
        "host" => pattern(text).map(Test::Host),
        "net" => access::parse(text).ok().map(Test::Net),
        "interface" => pattern(text).map(Test::Interface),
        "target" => pattern(&normalised(text)).map(|glob| Test::Target(TargetPattern(glob))),
        "gcc" => Requirement::parse(text).map(Test::Gcc),
        "clang" => Requirement::parse(text).map(Test::Clang),
        "binutils" => Requirement::parse(text).map(Test::Binutils),
        "id" => text.parse::<NodeId>().ok().map(Test::Id),
        "source" => {
            Source::WORDS.iter().find(|(word, _)| *word == text).map(|(_, s)| Test::Source(*s))
        }
        "network" => pattern(text).map(Test::Network),
        _ => None,
    }
}

/// A glob that can match something.
fn pattern(text: &str) -> Option<Pattern> {
    if text.is_empty() || text.contains(char::is_whitespace) {
        return None;
    }
    Pattern::new(text).ok()
}
