use clap::CommandFactory;

use super::*;

fn caller() -> Caller {
    Caller {
        cwd: "/start".into(),
        io_timeout: None,
        is_root: false,
        system_file: "/nonexistent/distccd.toml".into(),
    }
}

fn parse_as(words: &[&str], caller: &Caller) -> Result<Request, UsageError> {
    parse(["distccd"].iter().chain(words).map(OsString::from), caller)
}

fn parse_words(words: &[&str]) -> Result<Request, UsageError> {
    parse_as(words, &caller())
}

fn settings(words: &[&str]) -> DaemonSettings {
    match parse_words(words).unwrap() {
        Request::Serve(settings) => *settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_flags_are_consistent() {
    RawFlags::command().debug_assert();
}

#[test]
fn the_advertised_command_line_detaches_and_advertises() {
    let settings = settings(&["--zeroconf", "--allow", "192.168.1.0/24"]);
    assert!(settings.detach && settings.zeroconf && !settings.allow_private);
    assert_eq!(settings.allow, ["192.168.1.0/24"]);
    assert_eq!((settings.port, settings.jobs, settings.nice), (3632, None, 5));
    assert_eq!(settings.log, LogTarget::Default);
    assert_eq!(settings.job_lifetime, Some(Duration::from_secs(600)));
}

#[test]
fn the_original_test_suite_s_command_line_is_understood() {
    let settings = settings(&[
        "--verbose",
        "--lifetime=120",
        "--daemon",
        "--log-file",
        "d.log",
        "--pid-file",
        "/run/d.pid",
        "--port",
        "42000",
        "--allow",
        "127.0.0.1",
        "--enable-tcp-insecure",
    ]);
    assert_eq!(settings.log, LogTarget::File("/start/d.log".into()));
    assert_eq!(settings.pid_file, Some("/run/d.pid".into()));
    assert_eq!(settings.lifetime, Some(Duration::from_secs(120)));
    assert_eq!(settings.log_level, LogLevel::Debug);
    assert!(settings.any_program);
}

#[test]
fn the_command_line_of_ssh_clients_is_understood() {
    let settings = settings(&["--inetd", "--enable-tcp-insecure"]);
    assert!(settings.inetd && settings.any_program);
}

#[test]
fn short_forms_and_aliases_mean_the_same() {
    let settings =
        settings(&["-p", "4000", "-a", "::1", "-j4", "-N", "-3", "-P", "p", "--make-me-a-botnet"]);
    assert_eq!((settings.port, settings.jobs, settings.nice), (4000, Some(4), -3));
    assert_eq!(settings.pid_file, Some("/start/p".into()));
    assert!(settings.any_program);
}

#[test]
fn words_that_are_no_options_are_ignored_and_told() {
    assert_eq!(settings(&["--daemon"]).note_of_ignored(), None);
    assert_eq!(
        settings(&["check", "--daemon", "1\n0"]).note_of_ignored().unwrap(),
        r#""check", "1\n0" on the command line is no option, and ignored"#
    );
}

#[test]
fn syslog_s_socket_may_be_named() {
    let log = |word| settings(&[word, "ignored"]).log;
    assert_eq!(log("--log-syslog"), LogTarget::Syslog("/dev/log".into()));
    assert_eq!(log("--log-syslog=sock"), LogTarget::Syslog("/start/sock".into()));
}

#[test]
fn a_wrong_word_is_reported_in_one_line_with_what_was_expected() {
    for (words, expected) in [
        (&["--port", "80000"][..], "80000 is not in 1..=65535"),
        (&["--port", "0"], "0 is not in 1..=65535"),
        (&["--jobs", "0"], "0 is not in 1..=4096"),
        (&["gcc", "--bogus-option"], "unexpected argument '--bogus-option'"),
        (&["--listen", "a..b"], "--listen a..b: expected an address or a host name"),
        (&["--limit", "jobs"], "--limit jobs: expected NAME=VALUE"),
        (&["--limit", "jobs=1"], "--limit jobs=1: no such limit, expected one of connections,"),
        (&["--limit", "head_time=0"], "expected a time of at most a week"),
        (&["--auth"], "--auth cannot be used: built without GSS-API"),
        (&["--blacklist=f"], "--blacklist cannot be used: built without GSS-API"),
        (&["--whitelist", "f"], "--whitelist cannot be used: built without GSS-API"),
        (&["--show-principal"], "--show-principal cannot be used: built without GSS-API"),
        (&["--log-level", "loud"], "possible values: error, warning, info, debug"),
        (&["--log-stderr", "--log-file", "x"], "cannot be used with"),
        (&["--log-syslog", "--log-file", "x"], "cannot be used with"),
    ] {
        let error = parse_words(words).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\n') && !error.contains('\u{1b}'), "{error}");
    }
}

#[test]
fn the_last_of_two_counts_and_negative_times_mean_none() {
    let said = settings(&["--port=1", "-p", "2", "--job-lifetime=-5", "--lifetime", "-1"]);
    assert_eq!((said.port, said.job_lifetime, said.lifetime), (2, None, None));
    let level = |words: &[&str]| settings(words).log_level;
    assert_eq!(level(&["--log-level", "error", "--verbose"]), LogLevel::Debug);
    assert_eq!(level(&["--verbose", "--log-level", "error"]), LogLevel::Error);
}

#[test]
fn all_names_of_syslog_s_levels_are_known() {
    for (name, expected) in [
        ("emerg", LogLevel::Error),
        ("emergency", LogLevel::Error),
        ("alert", LogLevel::Error),
        ("crit", LogLevel::Error),
        ("critical", LogLevel::Error),
        ("err", LogLevel::Error),
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warning),
        ("warning", LogLevel::Warning),
        ("notice", LogLevel::Info),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("NOTICE", LogLevel::Info),
    ] {
        assert_eq!(settings(&["--log-level", name]).log_level, expected, "{name}");
    }
}

/// The lines that services of distributions make of their settings, as their scripts and units
/// expand them.
#[test]
fn the_lines_of_distributions_services_are_understood() {
    let debian = "--pid-file=/var/run/distccd.pid --log-file=/var/log/distccd.log --daemon";
    let allowed = |settings: DaemonSettings| settings.allow;
    for (line, allow) in [
        (debian, &[][..]),
        (
            &format!(
                "{debian}  --allow 127.0.0.1 --allow 10.0.0.0/8 --listen 127.0.0.1 --nice 10 \
                 --jobs 4 --zeroconf"
            ),
            &["127.0.0.1", "10.0.0.0/8"],
        ),
        // Gentoo's OpenRC script with its /etc/conf.d/distccd, and with a line of the user's.
        (
            "--user distcc --daemon --no-detach  --port 3632 --log-level critical --allow \
             192.168.0.0/24 -N 15 --zeroconf",
            &["192.168.0.0/24"],
        ),
        (
            "--user distcc --daemon --no-detach  --port 3632 --log-level notice --log-file \
             /var/log/distccd.log -N 15 --allow 192.168.0.4 --allow 192.168.0.5 --port 3633",
            &["192.168.0.4", "192.168.0.5"],
        ),
        // Its unit, with each way of writing ALLOWED_SERVERS that is in use.
        ("--no-detach --daemon --port 3632 -N 15 --allow 127.0.0.1", &["127.0.0.1"]),
        (
            "--no-detach --daemon --port 3632 -N 15 --allow 10.0.0.5 --allow 10.0.0.6",
            &["10.0.0.5", "10.0.0.6"],
        ),
        (
            "--no-detach --daemon --port 3632 -N 15 --allow 10.0.0.5 10.1.0.0/16 --zeroconf",
            &["10.0.0.5", "10.1.0.0/16"],
        ),
        // Arch's unit with its /etc/conf.d/distccd.
        ("--no-detach --daemon", &[]),
        (
            "--no-detach --daemon --allow 192.168.0.0/24 --log-level error --log-file \
             /tmp/distccd.log",
            &["192.168.0.0/24"],
        ),
        ("--no-detach --daemon --user nobody --allow-private --listen=127.0.0.1", &[]),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let settings = settings(&words);
        assert_eq!(settings.detach, !line.contains("--no-detach"), "{line}");
        assert_eq!(settings.zeroconf, line.contains("--zeroconf"), "{line}");
        assert_eq!(allowed(settings), allow, "{line}");
    }
}

#[test]
fn variables_of_services_may_stand_in_a_line_unset_and_as_they_are() {
    let line = |allow, zeroconf, jobs| {
        settings(&[
            &format!("--allow={allow}"),
            "--listen=",
            "--nice=",
            &format!("--jobs={jobs}"),
            &format!("--zeroconf={zeroconf}"),
        ])
    };
    let unset = line("", "", "");
    assert!(unset.allow.is_empty() && unset.listen.is_empty() && !unset.zeroconf);
    assert_eq!((unset.nice, unset.jobs), (5, None));
    let set = line("127.0.0.1 10.0.0.0/8", "YES", "4");
    assert_eq!(set.allow, ["127.0.0.1", "10.0.0.0/8"]);
    assert!(set.zeroconf && set.jobs == Some(4));
    assert!(!line("", "false", "").zeroconf);
    // Without its `=` an empty value is the mistake that it is in the original.
    assert!(parse_words(&["--jobs", ""]).is_err());
}

#[test]
fn a_network_is_allowed_behind_allow_only() {
    let settings = settings(&["--listen", "127.0.0.1", "10.0.0.1", "-a", "::1", "gcc", "::2"]);
    assert_eq!(settings.allow, ["::1"]);
}

#[test]
fn the_command_line_counts_instead_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("distccd.toml");
    let text = "allow = [\"10.0.0.0/8\"]\nzeroconf = true\nport = 4000\nverbose = true\n\
                log-file = \"log\"\nstate-dir = \"/s\"\n\
                [limits]\nconnections = 7\narguments = 8\n";
    std::fs::write(&path, text).unwrap();
    let with = |words: &[&str], is_root| {
        let caller = Caller { system_file: path.clone(), is_root, ..caller() };
        match parse_as(words, &caller).unwrap() {
            Request::Serve(settings) => *settings,
            other => panic!("{other:?}"),
        }
    };
    let settings = with(&[], false);
    assert_eq!((settings.port, settings.allow), (4000, vec!["10.0.0.0/8".to_owned()]));
    assert_eq!(settings.file, Some(path.clone()));
    assert_eq!(settings.log, LogTarget::File(dir.path().join("log")));
    assert_eq!((settings.limits.connections, settings.limits.arguments), (7, 8));
    assert!(settings.zeroconf && settings.log_level == LogLevel::Debug);

    let words = "-p 5 --allow ::1 --zeroconf=no --log-level info --limit connections=9 \
                 --log-stderr";
    let settings = with(&words.split_whitespace().collect::<Vec<_>>(), false);
    assert_eq!((settings.port, settings.allow), (5, vec!["::1".to_owned()]));
    assert!(!settings.zeroconf && settings.log_level == LogLevel::Info);
    assert_eq!((settings.limits.connections, settings.limits.arguments), (9, 8));
    assert_eq!(settings.log, LogTarget::Stderr);
    assert_eq!(with(&["--wizard"], false).log, LogTarget::Stderr);

    // Who comes by ssh cannot write the daemon's log, nor is that advertised.
    let visit = with(&["--inetd"], false);
    assert!(visit.log == LogTarget::Default && visit.state_dir.is_none() && !visit.zeroconf);
    assert_eq!(with(&["--inetd"], true).state_dir, Some("/s".into()));

    let named = Caller { cwd: dir.path().to_owned(), ..caller() };
    assert!(parse_as(&["--config", "distccd.toml"], &named).is_ok());
    let error = parse_as(&["--config", "other.toml"], &named).unwrap_err().to_string();
    assert!(error.contains("/other.toml: cannot be read: "), "{error}");
}

#[test]
fn the_original_s_variable_for_waiting_counts_before_all_else() {
    let progress = |value: &str, words: &[&str]| {
        let caller = Caller { io_timeout: Some(value.into()), ..caller() };
        parse_as(words, &caller).map(|request| match request {
            Request::Serve(settings) => settings.limits.progress_time.as_secs(),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(progress("77", &[]), Ok(77));
    assert_eq!(progress("77", &["--limit", "progress_time=5"]), Ok(5));
    for value in ["0", "-1", "soon", "10s"] {
        let error = progress(value, &[]).unwrap_err().to_string();
        assert!(error.starts_with("DISTCC_IO_TIMEOUT must be a number"), "{error}");
    }
}

#[test]
fn help_names_every_flag() {
    let Request::Print(help) = parse_words(&["--help"]).unwrap() else { panic!("no help") };
    assert!(help.contains("Usage:"), "{help}");
    let command = RawFlags::command();
    let told = command.get_arguments().filter(|arg| !arg.is_hide_set());
    for flag in told.filter_map(|arg| arg.get_long()) {
        assert!(help.contains(&format!("--{flag}")), "--{flag} is missing");
    }
    assert!(help.contains("--make-me-a-botnet"), "{help}");
}

#[test]
fn the_version_has_the_original_s_shape() {
    let Request::Print(text) = parse_words(&["--version"]).unwrap() else { panic!("none") };
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() >= 3 && text.ends_with('\n'));
    assert_eq!(lines[0].split(' ').count(), 3, "{text}");
    assert!(lines[0].starts_with("distccd "));
    assert!(lines[1].trim_start().starts_with("(protocol"), "{text}");
    assert!(lines[1].ends_with(") (default port 3632)"), "{text}");
}
