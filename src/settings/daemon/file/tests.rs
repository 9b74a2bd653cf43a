use std::collections::BTreeSet;

use super::*;

const SAMPLE: &str = include_str!("../../../../config/distccd.toml");

fn words(text: &str) -> Vec<String> {
    let entries = parse(text, Path::new("/etc/distcc/d.toml")).unwrap();
    entries.into_iter().map(|entry| entry.word.into_string().unwrap()).collect()
}

/// The sample with every key in force. `#` alone begins a key, with a blank behind it prose.
fn uncommented() -> String {
    let lines = SAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn entries_are_words_of_the_command_line() {
    let text = r#"
        zeroconf = true
        daemon = false
        jobs = 4
        nice = -3
        allow = ["10.0.0.0/8", "fd00::/8"]
        listen = "127.0.0.1"
        log-file = "log"
        pid-file = "/run/distccd/pid"
        user = "builder"
        [limits]
        source_bytes = "64M"
        connections = 100
    "#;
    assert_eq!(
        words(text),
        [
            "--zeroconf",
            "--jobs=4",
            "--nice=-3",
            "--allow=10.0.0.0/8",
            "--allow=fd00::/8",
            "--listen=127.0.0.1",
            "--log-file=/etc/distcc/log",
            "--pid-file=/run/distccd/pid",
            "--user=builder",
            "--limit=connections=100",
            "--limit=source_bytes=64M",
        ]
    );
    assert_eq!(words(""), [""; 0]);
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_key() {
    for (text, expected) in [
        ("\njbos = 3", ":2: jbos: no such key, expected one of daemon, "),
        ("version = true", ":1: version: no such key"),
        ("config = \"x\"", ":1: config: no such key"),
        ("auth = true", ":1: auth: no such key"),
        ("jobs = \"3\"", ":1: jobs: expected a number, not a string"),
        ("jobs = 0", ":1: jobs: 0 is not in 1..=4096"),
        ("port = 1.5", ":1: port: expected a number, not a fraction"),
        ("zeroconf = 1", ":1: zeroconf: expected true or false, not a number"),
        ("allow = [1]", ":1: allow: expected a string or a list of strings, not a list"),
        ("log-file = true", ":1: log-file: expected a string with a path, not true or false"),
        ("log-file = \"\"", ":1: log-file: expected a string with a path, not \"\""),
        ("log-level = \"loud\"", ":1: log-level: invalid value 'loud'"),
        ("log-stderr = true\nlog-file = \"x\"", ":2: log-file: the argument"),
        ("limits = 3", ":1: limits: expected a table: [limits], not a number"),
        ("[limits]\nhead_time = \"x\"", ":2: limits.head_time: expected a time"),
        ("[limits]\nhead_time = true", ":2: limits.head_time: expected a number or a string"),
        ("[limits]\nheadtime = 3", ":2: limits.headtime: no such limit, expected one of"),
        ("jobs = ", ":1: "),
    ] {
        let error = parse(text, Path::new("d.toml")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("d.toml{expected}")), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{text}: {error}");
    }
    let error = parse("x = 1\njobs = 0\n", Path::new("d.toml")).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].starts_with("d.toml:1: x") && lines[1].starts_with("d.toml:2: jobs"));
}

#[test]
fn every_option_and_every_limit_has_a_key_and_stands_in_the_sample() {
    let sample = uncommented();
    let document = DeTable::parse(&sample).unwrap();
    let names = |table: &DeTable<'_>| -> BTreeSet<String> {
        table.iter().map(|(key, _)| key.get_ref().to_string()).collect()
    };
    let mut command = RawFlags::command();
    command.build();
    let options = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let options = options.filter_map(|arg| arg.get_long().map(str::to_owned));
    let mut expected: BTreeSet<String> = options.collect();
    for name in NOT_HERE {
        expected.remove(name);
    }
    expected.insert(LIMITS.to_owned());
    assert!(expected.len() > 25);
    assert_eq!(names(document.get_ref()), expected);
    let Some(DeValue::Table(limits)) = document.get_ref().get(LIMITS).map(Spanned::get_ref) else {
        panic!("no limits");
    };
    let limit_names = ServerLimits::names().into_iter().map(str::to_owned);
    assert_eq!(names(limits), limit_names.collect::<BTreeSet<_>>());
}

#[test]
fn the_sample_says_nothing_and_with_every_key_the_defaults() {
    assert_eq!(words(SAMPLE), [""; 0]);
    let limits: Vec<String> = ServerLimits::default()
        .shown()
        .into_iter()
        .map(|(name, value)| format!("--limit={name}={value}"))
        .collect();
    let mut said: Vec<String> =
        words(&uncommented()).into_iter().filter(|word| word.starts_with("--limit=")).collect();
    said.sort_by_key(|word| limits.iter().position(|known| known == word));
    assert_eq!(said, limits);
    for default in ["--port=3632", "--nice=5", "--job-lifetime=600", "--stats-port=3633"] {
        assert!(words(&uncommented()).contains(&default.to_owned()), "{default}");
    }
}
