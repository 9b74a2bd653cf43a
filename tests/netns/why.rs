//! Asks a host why it uses or does not use the others, and reads the answer.

use crate::farm::{DEADLINE, said};
use crate::lab::{Host, wait_for};

/// What `--show-hosts --why` says of hosts that are being looked at. It waits a few seconds for
/// them, which may be too few on a busy machine.
const UNSETTLED: [&str; 4] =
    ["being asked", "being checked", "not answered yet", "being identified"];

/// `--show-hosts --why COMPILER...`, one paragraph a host, each made one line.
pub(crate) struct Why(pub(crate) Vec<String>);

impl Why {
    /// Asks until `n_hosts` hosts are there and nothing is in the balance.
    #[track_caller]
    pub(crate) fn ask(host: &Host, hosts: &str, compilers: &[&str], n_hosts: usize) -> Self {
        wait_for("a verdict on every host", DEADLINE, || {
            let mut command = host.command("distcc");
            command.env("DISTCC_HOSTS", hosts).args(["--show-hosts", "--why"]).args(compilers);
            let screen = said(&mut command);
            let why = Self(screen.split("\n\n").map(one_line).collect());
            let settled = !UNSETTLED.iter().any(|words| screen.contains(words));
            (settled && why.hosts().count() == n_hosts).then_some(why)
        })
    }

    /// Asks until `verdict` is what is said of the host, as it will be once its records are complete
    /// and what is known of it is up to date.
    #[track_caller]
    pub(crate) fn wait_for(
        host: &Host,
        hosts: &str,
        compiler: &str,
        (peer, verdict): (&str, &str),
    ) {
        let mut last = String::new();
        wait_for(&format!("{peer} to be {verdict:?}"), DEADLINE, || {
            let mut command = host.command("distcc");
            command.env("DISTCC_HOSTS", hosts).args(["--show-hosts", "--why", compiler]);
            let why = Self(said(&mut command).split("\n\n").map(one_line).collect());
            let told = why.find(peer).unwrap_or("not there");
            if told != last {
                println!("{peer}: {told}");
                told.clone_into(&mut last);
            }
            (told == verdict).then_some(())
        });
    }

    fn hosts(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|part| part.contains(" (zeroconf), ") || part.contains(" (hosts), "))
    }

    /// The verdict on the host with this name or address, for one compiler.
    #[track_caller]
    pub(crate) fn of(&self, host: &str) -> &str {
        self.find(host).unwrap_or_else(|| panic!("nothing of {host} in {:#?}", self.0))
    }

    fn find(&self, host: &str) -> Option<&str> {
        let names = |part: &&String| {
            part.split(' ')
                .take(2)
                .any(|word| word.split(['/', ',']).next().is_some_and(|name| name == host))
        };
        let part = self.hosts().find(names)?;
        let end = part.find(" slot").expect("slots of each host");
        let verdict = part[end..].split_once(' ').and_then(|(_, rest)| rest.split_once(' '));
        let verdict = verdict.expect("a verdict follows").1;
        Some(verdict.split_once(" there: ").map_or(verdict, |(verdict, _)| verdict))
    }
}

fn one_line(part: &str) -> String {
    part.split_whitespace().collect::<Vec<_>>().join(" ")
}
