//! The agent's picture for `--show-hosts`: seats of the books as lines of text.

use super::books::{Books, InForce};
use super::decide::{Seat, Who};
use super::judge::{Judgement, LocalCompiler};
use super::peers::{Origin, Peer, State};
use super::speed;
use crate::wire::control::{HostLine, HostsAnswer, VerdictLine};
use crate::wire::job::Protocol;

/// Of the hosts that were announced and never answered, so many are listed: enough to see that one
/// does not answer, few enough when somebody invents them by the thousand.
const MAX_UNANSWERED: usize = 8;

/// One line a host; `columns` are the same hosts judged for each of the `compilers`.
pub(super) fn answer(
    books: &Books,
    columns: &[Vec<Seat>],
    compilers: &[LocalCompiler],
    in_force: &InForce,
    list_problems: Vec<String>,
) -> HostsAnswer {
    let hosts = columns.first().map_or(&[][..], Vec::as_slice);
    let mut lines = Vec::new();
    let mut n_unanswered = 0;
    for (row, seat) in hosts.iter().enumerate() {
        if never_answered(books, seat) {
            n_unanswered += 1;
            if n_unanswered > MAX_UNANSWERED {
                continue;
            }
        }
        let judgements = columns.iter().filter_map(|column| column.get(row));
        let verdicts = judgements.map(|seat| verdict(&seat.judgement, in_force)).collect();
        lines.push(line(books, seat, verdicts));
    }
    let unlisted = n_unanswered.saturating_sub(MAX_UNANSWERED);
    let mut problems = list_problems;
    if let Err(wrong) = &in_force.policy {
        problems.extend(wrong.iter().cloned());
    }
    HostsAnswer {
        lines,
        compilers: compilers.iter().map(compiler).collect(),
        policy: in_force.origin.clone(),
        problems,
        unanswered: u32::try_from(unlisted).unwrap_or(u32::MAX),
    }
}

/// Was it announced, and never met?
pub(super) fn never_answered(books: &Books, seat: &Seat) -> bool {
    let Who::Peer(key, None) = &seat.who else { return false };
    books.peers.get(key).is_some_and(|peer| !peer.pulse.has_answered())
}

fn compiler(compiler: &LocalCompiler) -> String {
    match compiler {
        LocalCompiler::Identifying => "not identified yet".to_owned(),
        LocalCompiler::Known(toolchain, _) => toolchain.to_string(),
        LocalCompiler::Unknown { reason, .. } => reason.clone(),
    }
}

fn verdict(judgement: &Judgement, in_force: &InForce) -> VerdictLine {
    if in_force.policy.is_err() {
        let reason = "nothing is distributed while the policy is wrong".to_owned();
        return VerdictLine { usable: false, toolchain: String::new(), reason };
    }
    match judgement {
        Judgement::Usable(matched) => VerdictLine {
            usable: true,
            toolchain: matched.toolchain.clone(),
            reason: matched.reason.clone(),
        },
        Judgement::Pending { what, .. } => {
            VerdictLine { usable: false, toolchain: String::new(), reason: what.clone() }
        }
        Judgement::HeldBack { reason, .. } => {
            VerdictLine { usable: false, toolchain: String::new(), reason: reason.clone() }
        }
        Judgement::Excluded { toolchain, reason } => {
            VerdictLine { usable: false, toolchain: toolchain.clone(), reason: reason.clone() }
        }
    }
}

fn line(books: &Books, seat: &Seat, verdicts: Vec<VerdictLine>) -> HostLine {
    let (token, name, addr, source) = match &seat.who {
        Who::ThisMachine => {
            let token = format!("localhost/{}", seat.slots);
            (token, "localhost".to_owned(), "this machine".to_owned(), "hosts")
        }
        Who::Peer(key, listed) => {
            let peer = &books.peers[key];
            let token = match listed {
                Some(host) => host.token().to_owned(),
                None => {
                    let protocol = speed::protocol(peer, &books.scene.network_names());
                    discovered_token(peer, seat.slots, protocol)
                }
            };
            let source = match peer.origin {
                Origin::Listed { .. } | Origin::Ssh(_) => "hosts",
                Origin::Discovered(_) => "zeroconf",
            };
            (token, peer.name.clone(), address(peer), source)
        }
    };
    HostLine { token, name, addr, source: source.to_owned(), slots: seat.slots, verdicts }
}

/// As it could stand in a host list.
fn discovered_token(peer: &Peer, slots: u16, protocol: Protocol) -> String {
    let options = match protocol {
        Protocol::Plain => "",
        Protocol::Lzo => ",lzo",
    };
    format!("{}/{slots}{options}", peer.host_port())
}

fn address(peer: &Peer) -> String {
    match (&peer.state, peer.addrs.first()) {
        (_, Some(first)) => first.addr.to_string(),
        (State::Silent { reason, .. }, None) => reason.clone(),
        (_, None) if matches!(peer.origin, Origin::Ssh(_)) => "by ssh".to_owned(),
        (_, None) => "not resolved yet".to_owned(),
    }
}
