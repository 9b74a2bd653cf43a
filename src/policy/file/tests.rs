use proptest::prelude::*;

use super::super::compat::{BuildMatch, TargetMatch, Unknown};
use super::super::rule::Action;
use super::super::version::Tolerance;
use super::*;

/// The problems of this text, as shown.
fn problems(text: &str) -> Vec<String> {
    let errors = parse(text, "policy.toml").expect_err(text);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn installed_example_says_what_is_built_in() {
    let text = include_str!("../../../config/policy.toml");
    assert_eq!(parse(text, "policy.toml"), Ok(Policy::built_in()));
}

#[test]
fn installed_example_is_right_with_its_comments_removed_too() {
    let text = include_str!("../../../config/policy.toml");
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(code) if code.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => code,
            _ => line,
        })
        .collect();
    let policy = parse(&uncommented.join("\n"), "policy.toml").unwrap();
    let rules: Vec<String> = policy.rules.iter().map(ToString::to_string).collect();
    assert_eq!(
        rules,
        [
            "host=laptop-*",
            "network=192.168.1.0/24@52:54:00:12:34:56, net=192.168.1.0/24",
            "source=zeroconf",
        ]
    );
}

#[test]
fn installed_example_explains_every_key() {
    let text = include_str!("../../../config/policy.toml");
    for key in super::super::read::RULE_KEYS {
        assert!(text.contains(&format!("#   {key} ")) || key == "action", "{key}");
    }
    for key in super::super::read::MATCH_KEYS {
        assert!(text.contains(&format!("\n{key} = ")), "{key}");
    }
}

#[test]
fn reads_every_key() {
    let text = r#"
[match]
gcc = "patch"
clang = "major"
binutils = "any"
target = "any"
build = "same"
unknown = "deny"

[[rule]]
action = "allow"
host = "build-?"
net = "10.0.0.7/8"
interface = "eth*"
target = "x86_64-pc-linux-gnu"
gcc = ">=12, <14"
clang = "14.0.6"
binutils = "2.40"
id = "7f3a91c2"
source = "zeroconf"
network = "10.77.0.0/24"

[[rule]]
action = "deny"
"#;
    let policy = parse(text, "policy.toml").unwrap();
    let expected = Matching {
        gcc: Tolerance::Patch,
        clang: Tolerance::Major,
        binutils: Tolerance::Any,
        target: TargetMatch::Any,
        build: BuildMatch::Same,
        unknown: Unknown::Deny,
    };
    assert_eq!(policy.matching, expected);
    let rules: Vec<_> = policy.rules.iter().map(|rule| (rule.action, rule.to_string())).collect();
    let first = "host=build-?, net=10.0.0.7/8, interface=eth*, target=x86_64-pc-linux-gnu, \
                 gcc=>=12, <14, clang=14.0.6, binutils=2.40, id=7f3a91c2, source=zeroconf, \
                 network=10.77.0.0/24";
    assert_eq!(rules, [(Action::Allow, first.to_owned()), (Action::Deny, "every host".to_owned())]);
}

#[test]
fn all_problems_are_reported_with_line_key_and_what_was_expected() {
    let text = r#"colour = "red"
[match]
gcc = "minr"
clang = 12
bintuils = "exact"
target = "any"
build = ["same"]

[[rule]]
action = "refuse"
host = "lap[top"
net = "10.0.0.0/33"
interface = ""

[[rule]]
gcc = "=>12"
id = "7f3a"
source = "dns"
network = true
"#;
    let version = "expected a version or a condition on it such as 12.2.0 or \">=12, <14\"";
    let keys = "action, host, net, interface, target, gcc, clang, binutils, id, source or network";
    assert_eq!(
        problems(text),
        [
            "policy.toml:1: colour: no such key, expected match or rule",
            "policy.toml:3: match.gcc: expected exact, patch, minor, major or any, not \"minr\"",
            "policy.toml:4: match.clang: expected exact, patch, minor, major or any, not a number",
            "policy.toml:5: match.bintuils: no such key, expected gcc, clang, binutils, target, \
             build or unknown",
            "policy.toml:7: match.build: expected same, vendor or any, not a list",
            "policy.toml:10: rule.action: expected allow or deny, not \"refuse\"",
            "policy.toml:11: rule.host: expected a host name, * and ? standing for any \
             characters, not \"lap[top\"",
            "policy.toml:12: rule.net: expected an address or a network such as 10.0.0.0/8 or \
             fd00::/8, not \"10.0.0.0/33\"",
            "policy.toml:13: rule.interface: expected an interface such as eth0 or wl*, not \"\"",
            "policy.toml:15: rule.action: missing, expected allow or deny",
            &format!("policy.toml:16: rule.gcc: {version}, not \"=>12\""),
            "policy.toml:17: rule.id: expected the eight hexadecimal digits of a node, not \
             \"7f3a\"",
            "policy.toml:18: rule.source: expected zeroconf or hosts, not \"dns\"",
            "policy.toml:19: rule.network: expected a string with the name of a network such as \
             10.77.0.0/24 or 192.168.1.0/24@aa:bb:*, not true or false",
        ]
    );
    let unknown = problems("[[rule]]\naction = \"deny\"\nhosts = \"a\"\n");
    assert_eq!(unknown, [format!("policy.toml:3: rule.hosts: no such key, expected {keys}")]);
}

#[test]
fn wrong_shapes_are_reported() {
    let list = "expected a list of tables, each under [[rule]]";
    for (text, expected) in [
        ("match = 1", "policy.toml:1: match: expected a table: [match], not a number".to_owned()),
        ("[[match]]", "policy.toml:1: match: expected a table: [match], not a list".to_owned()),
        ("\n[rule]\naction = \"deny\"", format!("policy.toml:2: rule: {list}, not a table")),
        ("rule = [1979-05-27]", format!("policy.toml:1: rule: {list}, not a date")),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn syntax_errors_name_their_lines() {
    for (text, line) in [
        ("[match]\ngcc = exact\n", 2),
        ("[match\ngcc = \"exact\"\n", 1),
        ("[match]\ngcc = \"exact\"\ngcc = \"any\"\n", 3),
        ("# fine\n\n[[rule]]\naction = \"deny\n", 4),
        ("[match]\n[match]\n", 2),
    ] {
        let errors = parse(text, "policy.toml").unwrap_err();
        assert_eq!(errors[0].line, Some(line), "{errors:?}");
        assert!(errors.iter().all(|e| matches!(e.problem, PolicyProblem::Syntax(_))), "{errors:?}");
        assert!(!errors[0].to_string().contains('\n'), "{errors:?}");
    }
}

#[test]
fn explicit_file_is_the_only_one_looked_for() {
    let explicit = locate(Some(Path::new("/p")), Path::new("/d"));
    assert_eq!(explicit, Located { paths: vec!["/p".into()], is_explicit: true });
    for unset in [None, Some(Path::new(""))] {
        let located = locate(unset, Path::new("/d"));
        assert!(!located.is_explicit);
        assert_eq!(located.paths, [Path::new("/d/policy.toml"), Path::new(SYSTEM_POLICY)]);
    }
}

#[test]
fn first_file_that_exists_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let located = Located { paths: vec![first.clone(), second.clone()], is_explicit: false };
    let without = located.stamps();
    let loaded = located.load().unwrap();
    assert_eq!((loaded.to_string().as_str(), &loaded.policy.rules[..]), ("built in", &[][..]));

    fs::write(&second, "[match]\ngcc = \"any\"\n").unwrap();
    let with_second = located.stamps();
    let loaded = located.load().unwrap();
    assert_eq!(loaded.policy.matching.gcc, Tolerance::Any);
    assert_eq!(loaded.path, Some(second));

    fs::write(&first, "[match]\ngcc = 1\n").unwrap();
    let errors = located.load().unwrap_err();
    assert!(errors[0].to_string().starts_with(&format!("{}:2: match.gcc", first.display())));
    let with_first = located.stamps();
    assert!(without != with_second && with_second != with_first);
}

#[test]
fn file_that_cannot_be_read_is_an_error_and_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    let missing = Located { paths: vec![absent.clone()], is_explicit: true };
    let a_directory =
        Located { paths: vec![dir.path().to_owned(), absent.clone()], is_explicit: false };
    for located in [missing, a_directory] {
        let errors = located.load().unwrap_err();
        assert!(matches!(errors[0].problem, PolicyProblem::Unreadable(_)), "{errors:?}");
        assert!(errors[0].to_string().contains(": cannot be read: "), "{errors:?}");
    }
    let not_text = dir.path().join("binary");
    fs::write(&not_text, b"\xff\xfe").unwrap();
    assert!(Located { paths: vec![not_text], is_explicit: false }.load().is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        let _ = parse(&text, "policy.toml").map_err(|errors| errors[0].to_string());
    }

    #[test]
    fn no_value_panics(
        key in "host|net|interface|target|gcc|clang|binutils|id|source|network",
        value in "[a-z0-9*?\\[\\]!./:@<>=~^, -]{0,30}",
    ) {
        let text = format!("[[rule]]\naction = \"deny\"\n{key} = '{value}'\n");
        match parse(&text, "policy.toml") {
            Ok(policy) => prop_assert_eq!(policy.rules[0].to_string(), format!("{key}={value}")),
            Err(errors) => prop_assert_eq!(errors[0].line, Some(3)),
        }
    }

    #[test]
    fn lines_of_a_torn_file_are_its_lines(cut in 0usize..400, insert in "[\"\\[\\]=\n#a-z ]{0,6}") {
        let mut text = "[match]\ngcc = \"any\"\n[[rule]]\naction = \"deny\"\nnet = \"::/0\"\n".to_owned();
        text.insert_str(cut % text.len(), &insert);
        if let Err(errors) = parse(&text, "policy.toml") {
            let lines = text.matches('\n').count() + 1;
            prop_assert!(errors.iter().all(|e| e.line.is_some_and(|line| (1..=lines).contains(&line))));
        }
    }
}
