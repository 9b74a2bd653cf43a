//! May this peer take a job of this compiler, and why not: policy, reachability and toolchains put
//! together for one peer. Pure.

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::peers::{Origin, Peer, State};
use super::scene::Scene;
use super::stock::{Known, Meaning, Need};
use crate::fingerprint::stock::candidate_names;
use crate::fingerprint::{Driver, Family, Offered, Toolchain};
use crate::policy::file::Policy;
use crate::policy::networks::Standing;
use crate::policy::rule::{Candidate, CandidateAddr, Source};
use crate::policy::verdict::{self, HeldBack, Inventory, Job};
use crate::settings::hosts::{DEFAULT_PORT, ListedHost, TcpHost};
use crate::wire::control::{ANY_PROGRAM, CompilerQuery, SshClient};

/// What is known of a compiler of this machine.
#[derive(Clone, Debug)]
pub(super) enum LocalCompiler {
    /// Being found out.
    Identifying,
    /// Known.
    Known(Box<Toolchain>, Driver),
    /// It cannot be told: why, and when to try again unless that is under way.
    Unknown { reason: String, retry_at: Option<Instant> },
}

/// The outcome for one peer and compiler.
#[derive(Clone, Debug)]
pub(super) enum Judgement {
    /// A job may go there.
    Usable(Match),
    /// Not known yet.
    Pending {
        /// What is not, for people.
        what: String,
        /// A compiler name to ask a stock peer about.
        probe: Option<String>,
    },
    /// Left out until the user trusts the network on which it was heard.
    HeldBack {
        /// The network's name; none if it cannot be told yet which one that is.
        network: Option<String>,
        /// A job could go there otherwise, as far as is known.
        offers: bool,
        /// Why, for people.
        reason: String,
    },
    /// Left out.
    Excluded {
        /// The toolchain there that came nearest; empty if none is known.
        toolchain: String,
        /// Why, for people.
        reason: String,
    },
}

/// How a job is sent.
#[derive(Clone, Debug)]
pub(super) struct Match {
    /// The compiler's name to send.
    pub(super) name: String,
    /// What `.comment` of its objects holds; empty when unknown.
    pub(super) ident: String,
    /// The target of the compiler here; empty when unknown.
    pub(super) target: String,
    /// The compiler there is known to have another one.
    pub(super) foreign: bool,
    /// Its family and version; empty when unknown.
    pub(super) maker: Box<str>,
    /// Where it may be sent to, the best address first.
    pub(super) addrs: Vec<SocketAddr>,
    /// The toolchain there, for people.
    pub(super) toolchain: String,
    /// What decided, for people.
    pub(super) reason: String,
}

impl Judgement {
    /// Left out for a reason that has nothing to do with toolchains.
    pub(super) fn excluded(reason: impl Into<String>) -> Self {
        Self::Excluded { toolchain: String::new(), reason: reason.into() }
    }

    /// `localhost`: the very same compiler.
    pub(super) fn this_machine() -> Self {
        Self::Usable(Match {
            name: String::new(),
            ident: String::new(),
            target: String::new(),
            foreign: false,
            maker: Box::default(),
            addrs: Vec::new(),
            toolchain: String::new(),
            reason: "this machine, without the network".to_owned(),
        })
    }

    fn pending(what: &str) -> Self {
        Self::Pending { what: what.to_owned(), probe: None }
    }
}

/// The compiler's name as the job has it, as text.
pub(super) fn name_of(query: &CompilerQuery) -> String {
    String::from_utf8_lossy(&query.name).into_owned()
}

/// The compiler of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// As the job has it.
    pub(super) name: &'a str,
    /// What it is here.
    pub(super) local: &'a LocalCompiler,
    /// How sure we must be of the one there.
    pub(super) need: Need,
    /// [`PlaceRequest::only_ours`](crate::wire::control::PlaceRequest::only_ours).
    pub(super) only_ours: bool,
    /// [`PlaceRequest::backoff`](crate::wire::control::PlaceRequest::backoff).
    pub(super) backoff: Duration,
    /// How the client would reach hosts by ssh.
    pub(super) ssh: &'a SshClient,
}

/// Judges `peer` for a job of this compiler. `listed` is its token, if the user wrote it into the
/// list. Names that a stock peer should be asked about meanwhile go to `confirm`.
pub(super) fn judge(
    now: Instant,
    (peer, listed): (&Peer, Option<&ListedHost>),
    wanted: Wanted<'_>,
    (policy, scene): (&Policy, &Scene),
    confirm: &mut Vec<String>,
) -> Judgement {
    if let Some(reason) = listed.and_then(unusable_token) {
        return Judgement::excluded(reason);
    }
    match listed {
        None if peer.is_among(&scene.own_addrs()) => {
            return Judgement::excluded("this machine itself");
        }
        Some(ListedHost::Tcp(host)) if names_this_machine(peer, host, scene) => {
            return Judgement::excluded("this machine itself; write localhost to compile here too");
        }
        _ => {}
    }
    let mut candidate = candidate(peer, scene);
    match judge_candidate((now, peer), wanted, (policy, &candidate), confirm) {
        Judgement::HeldBack { network, reason, .. } => {
            // Nobody is to be asked for trust in hosts of no use.
            candidate.addrs.iter_mut().for_each(|addr| addr.standing = Standing::Trusted);
            // What a stock peer has is not asked: that would be a job.
            let mut unasked = Vec::new();
            let otherwise =
                judge_candidate((now, peer), wanted, (policy, &candidate), &mut unasked);
            let offers = matches!(
                otherwise,
                Judgement::Usable(_) | Judgement::Pending { probe: Some(_), .. }
            );
            Judgement::HeldBack { network, offers, reason }
        }
        judgement => judgement,
    }
}

fn judge_candidate(
    (now, peer): (Instant, &Peer),
    wanted: Wanted<'_>,
    (policy, candidate): (&Policy, &Candidate),
    confirm: &mut Vec<String>,
) -> Judgement {
    // A rule that needs no toolchain forbids a host whatever it offers. Who it is, it was asked when
    // it was heard of: the policies of clients yet to come are not known then.
    let outright = verdict::judge_host(policy, candidate, None);
    if let Some(held_back) = outright.held_back {
        let reason = held_back.to_string();
        let network = match held_back {
            HeldBack::New { network } => Some(network),
            HeldBack::Unidentified | HeldBack::Bare => None,
        };
        return Judgement::HeldBack { network, offers: false, reason };
    }
    if !outright.allowed && !candidate.addrs.is_empty() {
        return Judgement::excluded(outright.reason);
    }
    let (toolchain, driver) = match wanted.local {
        LocalCompiler::Known(toolchain, driver) => (toolchain, *driver),
        LocalCompiler::Identifying => {
            return Judgement::pending("the compiler here is being identified");
        }
        LocalCompiler::Unknown { reason, .. } => return Judgement::excluded(reason.clone()),
    };
    if let Some(backoff) = peer.backoff(now, wanted.backoff) {
        let seconds = (backoff.since + wanted.backoff - now).as_millis().div_ceil(1000);
        return Judgement::excluded(format!("{}; tried again in {seconds} s", backoff.reason));
    }
    let job = Job { toolchain, driver, name: wanted.name };
    let judgement = match &peer.state {
        State::Asking => return Judgement::pending("it has not answered yet"),
        State::Silent { reason, .. } => {
            return Judgement::excluded(reason.clone());
        }
        State::Ours(ours) => {
            // A server that runs any program names only its compilers.
            let unnamed = matches!(toolchain.family, Family::Other(_));
            let inventory = if unnamed && peer.has_feature(ANY_PROGRAM) {
                Inventory::Probed(&ours.offered)
            } else {
                Inventory::Told(&ours.offered)
            };
            concluded(verdict::judge(policy, candidate, inventory, job), &ours.offered)
        }
        State::Stock if wanted.only_ours => {
            return Judgement::excluded("it is no server of ours, and others refuse such a job");
        }
        State::Stock => {
            let names = Names { now, peer, need: wanted.need, confirm };
            judge_stock(names, policy, candidate, job)
        }
    };
    distrusted(peer, marked(judgement, toolchain))
}

/// Does the user's list, which many machines may share, name this one? A loopback address of
/// another port is the near end of a tunnel, and 127.0.0.1 is wanted as it stands; but Debian gives
/// a machine's own name such an address.
fn names_this_machine(peer: &Peer, listed: &TcpHost, scene: &Scene) -> bool {
    let literal: Option<IpAddr> = listed.host.parse().ok();
    let own = scene.own_addrs();
    let is_own_name = literal.is_none() && listed.host != "localhost";
    let by_name = is_own_name && listed.port == DEFAULT_PORT;
    literal.is_some_and(|addr| own.contains(&addr))
        || peer.is_among(&own)
        || by_name && peer.addrs.iter().any(|known| known.addr.ip().is_loopback())
}

/// Objects are for the target of the compiler here; where nothing is known of the one there, they
/// must carry the mark of the one here.
fn marked(mut judgement: Judgement, local: &Toolchain) -> Judgement {
    if let Judgement::Usable(matched) = &mut judgement {
        let there = mem::replace(&mut matched.target, local.target.to_string());
        matched.foreign = !there.is_empty() && there != matched.target;
        matched.maker = format!("{} {}", local.family, local.version).into();
        if matched.toolchain.is_empty() {
            matched.ident.clone_from(&local.ident);
        }
    }
    judgement
}

/// The names of a stock peer, as a job wants to know them.
struct Names<'a> {
    now: Instant,
    peer: &'a Peer,
    need: Need,
    /// Those to ask about although something is known of them.
    confirm: &'a mut Vec<String>,
}

/// A stock peer is asked about one name after the other until one fits.
fn judge_stock(
    names: Names<'_>,
    policy: &Policy,
    candidate: &Candidate,
    job: Job<'_>,
) -> Judgement {
    let unseen = verdict::judge(policy, candidate, Inventory::Silent, job);
    if !matches!(unseen, verdict::Judgement::Probe { .. }) {
        return concluded(unseen, &[]);
    }
    let Names { now, peer, need, confirm } = names;
    let mut offered: Vec<Offered> = Vec::new();
    let candidates = candidate_names(job.name, job.toolchain, job.driver);
    for name in &candidates {
        let what = format!("being asked what its {name} is");
        match peer.stock.get(now, name, need) {
            Known::No => return Judgement::Pending { what, probe: Some(name.clone()) },
            Known::Asking => return Judgement::pending(&what),
            Known::Late => {
                return Judgement::excluded(format!("it is too busy to say what its {name} is"));
            }
            Known::Meaning(Meaning::Nothing) => {}
            Known::Meaning(Meaning::For(toolchain)) => {
                let driver = Driver::of_program(name.as_bytes());
                let toolchain = toolchain.as_ref().clone();
                offered.push(Offered { names: vec![name.clone()], driver, toolchain });
                let known = Inventory::Probed(&offered);
                let judgement = verdict::judge(policy, candidate, known, job);
                if matches!(judgement, verdict::Judgement::Use { .. }) {
                    confirm.extend(
                        Some(name.clone()).filter(|name| peer.stock.is_due_in_use(now, name, need)),
                    );
                    return concluded(judgement, &offered);
                }
            }
        }
    }
    let due = candidates.iter().filter(|name| peer.stock.is_due_unused(now, name));
    confirm.extend(due.cloned());
    if offered.is_empty() {
        let names = candidates.join(", ");
        return Judgement::excluded(format!("it has none of {names}, or refuses this machine"));
    }
    concluded(verdict::judge(policy, candidate, Inventory::Probed(&offered), job), &offered)
}

fn concluded(judgement: verdict::Judgement, offered: &[Offered]) -> Judgement {
    let at = |idx: Option<usize>| idx.and_then(|idx| offered.get(idx));
    match judgement {
        verdict::Judgement::Use { name, idx, addrs, reason } => Judgement::Usable(Match {
            name,
            ident: at(idx).map_or_else(String::new, |offer| offer.toolchain.ident.clone()),
            target: at(idx).map_or_else(String::new, |offer| offer.toolchain.target.to_string()),
            foreign: false,
            maker: Box::default(),
            addrs,
            toolchain: at(idx).map_or_else(String::new, |offer| offer.toolchain.to_string()),
            reason,
        }),
        verdict::Judgement::Probe { reason, .. } => {
            Judgement::Pending { what: reason, probe: None }
        }
        verdict::Judgement::Refuse { idx, reason } => Judgement::Excluded {
            toolchain: at(idx).map_or_else(String::new, |offer| offer.toolchain.to_string()),
            reason,
        },
    }
}

/// A name whose objects came from another compiler, twice, is not used again, nor is one that the
/// peer refuses.
fn distrusted(peer: &Peer, judgement: Judgement) -> Judgement {
    let Judgement::Usable(mut matched) = judgement else { return judgement };
    let name = &matched.name;
    let found = peer.distrust(name).map(|found| format!("its {name} made objects {found}"));
    let declined = || peer.declined.compiler(name).map(|why| format!("it refuses {name}: {why}"));
    if let Some(reason) = found.or_else(declined) {
        return Judgement::Excluded { toolchain: matched.toolchain, reason };
    }
    matched.reason.push_str(&peer.declined.remark(name));
    Judgement::Usable(matched)
}

fn unusable_token(host: &ListedHost) -> Option<&'static str> {
    if host.options().down {
        return Some("marked down in the list");
    }
    host.options().auth.then_some("it wants GSS-API, which is not supported")
}

fn candidate(peer: &Peer, scene: &Scene) -> Candidate {
    let addrs = peer.addrs.iter().map(|heard| {
        let heard_on = Some(heard.interface.as_str()).filter(|_| peer.is_discovered());
        let link = heard_on.map(|heard_on| scene.link_to(heard.addr, heard_on));
        CandidateAddr {
            addr: heard.addr,
            interface: heard.interface.clone(),
            // It was when it was heard; the interface may have gone or moved elsewhere since.
            on_link: peer.is_discovered() && scene.is_on_link(heard.addr, &heard.interface),
            networks: scene.all_names(link),
            standing: link.map_or(Standing::Trusted, |name| scene.standing(name)),
        }
    });
    Candidate {
        host: peer.name.clone(),
        id: peer.id(),
        source: match peer.origin {
            Origin::Listed { .. } | Origin::Ssh(_) => Source::Hosts,
            Origin::Discovered(_) => Source::Zeroconf,
        },
        addrs: addrs.collect(),
    }
}
