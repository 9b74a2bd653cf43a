//! The screen of `--networks`, pure: the agent's answer as text.

use std::fmt::Write;

use crate::wire::control::{NetworkLine, NetworksAnswer};

/// Every network, the current ones first, with what the user thinks of it.
pub(crate) fn render(answer: &NetworksAnswer) -> String {
    let mut screen = String::new();
    for line in &answer.lines {
        let _ = writeln!(screen, "{}\n  {}", line.name, told(line, answer.trust_all));
    }
    if answer.lines.is_empty() {
        screen.push_str("no networks: this machine is on none and was on none\n");
    }
    if answer.trust_all {
        screen.push_str("\nevery network is trusted (--forget-network=all ends that)\n");
    } else if answer.lines.iter().any(|line| !line.trusted && !line.interfaces.is_empty()) {
        screen.push_str("\ndistcc --trust-network lets hosts of the current networks compile\n");
    }
    screen
}

/// `here (eth0), trusted: the first one used, 3 hosts`
fn told(line: &NetworkLine, trust_all: bool) -> String {
    let place = match &line.interfaces[..] {
        [] => "not here".to_owned(),
        interfaces => format!("here ({})", interfaces.join(", ")),
    };
    let trust = match (line.trusted, trust_all) {
        (true, _) => format!("trusted: {}", line.reason),
        (false, true) => "trusted, as all are".to_owned(),
        (false, false) => format!("not trusted: {}", line.reason),
    };
    let hosts = match line.hosts {
        1 => "1 host".to_owned(),
        n => format!("{n} hosts"),
    };
    format!("{place}, {trust}, {hosts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, interfaces: &[&str], trusted: bool, hosts: u32) -> NetworkLine {
        let reason = if trusted { "the first one used" } else { "new network" }.to_owned();
        let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
        NetworkLine { name: name.to_owned(), interfaces, trusted, hosts, reason }
    }

    fn travels() -> NetworksAnswer {
        let lines = vec![
            line("192.168.7.0/24@02:00:00:00:00:01", &["wlan0"], false, 3),
            line("10.77.0.0/24", &["eth0", "eth1"], true, 1),
            line("192.168.1.0/24@aa:bb:cc:dd:ee:ff", &[], true, 0),
        ];
        NetworksAnswer { lines, trust_all: false, problems: Vec::new() }
    }

    #[test]
    fn screen_tells_where_hosts_may_compile() {
        let expected = "\
192.168.7.0/24@02:00:00:00:00:01
  here (wlan0), not trusted: new network, 3 hosts
10.77.0.0/24
  here (eth0, eth1), trusted: the first one used, 1 host
192.168.1.0/24@aa:bb:cc:dd:ee:ff
  not here, trusted: the first one used, 0 hosts

distcc --trust-network lets hosts of the current networks compile
";
        assert_eq!(render(&travels()), expected);
    }

    #[test]
    fn screen_tells_that_all_are_trusted() {
        let screen = render(&NetworksAnswer { trust_all: true, ..travels() });
        assert!(screen.contains("\n  here (wlan0), trusted, as all are, 3 hosts\n"), "{screen}");
        let end = "\n\nevery network is trusted (--forget-network=all ends that)\n";
        assert!(screen.ends_with(end), "{screen}");
    }

    #[test]
    fn screen_tells_that_there_are_none() {
        let screen = render(&NetworksAnswer::default());
        assert_eq!(screen, "no networks: this machine is on none and was on none\n");
    }
}
