//! The decisions of the books: who of the waiting gets what, and which hosts of a list may take it.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::books::{Action, Books, Client, ClientId, InForce, Question};
use super::judge::{self, Judgement, LocalCompiler, Match, Wanted};
use super::local::limit_for;
use super::peers::{PeerKey, State};
use super::show;
use super::speed;
use super::stock::Need;
use crate::policy::file::Policy;
use crate::policy::placement::{self, Load, Order};
use crate::settings::hosts::{self, HostEntry, HostList, ListedHost};
use crate::wire::control::{
    AgentMessage, CompilerQuery, GIVES_REASONS, HostsText, LocalPlace, LocalPurpose, PlaceRequest,
    Placement, ShowRequest, SshClient,
};
use crate::wire::job::Protocol;

/// For how long the first compile waits for the first eligible peer.
pub(super) const SETTLE: Duration = Duration::from_millis(1200);
/// The same for a job that fails if there is none: a responder may keep silent for a second after
/// an answer to somebody else (RFC 6762, section 6), and then the host must still be asked.
pub(super) const SETTLE_OR_FAIL: Duration = Duration::from_secs(5);
/// For how long a list of hosts waits for peers that have not answered yet.
pub(super) const SHOW_PATIENCE: Duration = Duration::from_secs(4);
/// A warning is repeated to clients at most this often.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// A host of a list, judged for one compiler.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) who: Who,
    pub(super) slots: u16,
    pub(super) judgement: Judgement,
}

/// Which host a [`Seat`] is.
#[derive(Clone)]
pub(super) enum Who {
    /// `localhost`.
    ThisMachine,
    /// A peer, with its token if it stands in the list itself.
    Peer(PeerKey, Option<ListedHost>),
}

/// Seats of equal requests within one round of answers. Of two readings of one policy file each
/// is a policy of its own; none is read during a round, so an address stands for one.
#[derive(Default)]
pub(super) struct SeatCache(HashMap<SeatKey, Rc<Vec<Seat>>>);

type SeatKey = (HostsText, CompilerQuery, Need, bool, Duration, SshClient, *const Policy);

/// Is this local place one that the user listed?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Yes,
    No,
}

impl Books {
    /// Something has changed: the waiting are served before the next actions are taken.
    pub(super) fn serve_waiting(&mut self, now: Instant) {
        self.serve_at = Some(now);
    }

    /// Answers whom it can, in the order of arrival.
    pub(super) fn serve(&mut self, now: Instant) {
        let mut cache = SeatCache::default();
        for id in self.waiting.clone() {
            if let Some(message) = self.decide(now, id, &mut cache) {
                self.answered(id);
                self.actions.push(Action::Tell(id, message));
            }
        }
    }

    fn decide(
        &mut self,
        now: Instant,
        id: ClientId,
        cache: &mut SeatCache,
    ) -> Option<AgentMessage> {
        let question = self.clients.get(&id)?.question.clone()?;
        match &*question {
            Question::Local(purpose, limit) => {
                let what = match purpose {
                    LocalPurpose::Compile => "the command does not travel",
                    LocalPurpose::Preprocess => "preprocessing is done here",
                };
                self.grant_local(id, *limit, what.to_owned(), Listed::No)
            }
            Question::Place(request, in_force) => {
                self.decide_place(now, id, request, in_force, cache)
            }
            Question::Show(request, in_force) => self.decide_show(now, id, request, in_force),
        }
    }

    fn decide_place(
        &mut self,
        now: Instant,
        id: ClientId,
        request: &PlaceRequest,
        in_force: &InForce,
        cache: &mut SeatCache,
    ) -> Option<AgentMessage> {
        let list = self.parsed(&request.hosts);
        let policy = match &in_force.policy {
            Ok(policy) => Rc::clone(policy),
            Err(problems) => {
                let reason = format!("nothing is distributed while {} is wrong", in_force.origin);
                let granted = self.grant_local(id, list.localslots, reason, Listed::No)?;
                return Some(self.warned(now, granted, problems));
            }
        };
        if list.entries.contains(&HostEntry::Zeroconf) {
            // Before the compiler here is known: both take time.
            self.browse(now);
        }
        let local = match self.compiler(&request.compiler).clone() {
            LocalCompiler::Identifying => return None,
            LocalCompiler::Unknown { reason, .. } => {
                return self.grant_local(id, list.localslots, reason, Listed::No);
            }
            known @ LocalCompiler::Known(..) => known,
        };
        let need = if request.unmarked { Need::Certain } else { Need::Checked };
        let (only_ours, backoff) = (request.only_ours, request.backoff);
        let (hosts, compiler) = (request.hosts.clone(), request.compiler.clone());
        let ssh = &request.ssh;
        let key = (hosts, compiler, need, only_ours, backoff, ssh.clone(), Rc::as_ptr(&policy));
        let seats = match cache.0.get(&key) {
            Some(seats) => Rc::clone(seats),
            None => {
                let name = &judge::name_of(&request.compiler);
                let wanted = Wanted { name, local: &local, need, only_ours, backoff, ssh };
                // Lots are drawn among all.
                let enough = if list.randomize { usize::MAX } else { self.n_idle_wanted() };
                let mut seats = self.seats(now, (&list, enough), wanted, &policy);
                let mut doubles = self.doubles(&seats).into_iter();
                seats.retain(|_| !doubles.next().unwrap_or_default());
                let seats = Rc::new(seats);
                cache.0.insert(key, Rc::clone(&seats));
                seats
            }
        };
        self.place_among(now, id, request, &list, &seats)
    }

    fn place_among(
        &mut self,
        now: Instant,
        id: ClientId,
        request: &PlaceRequest,
        list: &HostList,
        seats: &[Seat],
    ) -> Option<AgentMessage> {
        let usable: Vec<(&Seat, &Match)> = seats
            .iter()
            .filter(|seat| !self.is_avoided(seat, &request.avoid))
            .filter_map(|seat| match &seat.judgement {
                Judgement::Usable(matched) => Some((seat, matched)),
                _ => None,
            })
            .collect();
        if usable.is_empty() {
            if self.may_still_come(now, list, seats, request) {
                return None;
            }
            let reason = why_none(seats, list, &request.avoid);
            let mut problems = list_problems(&request.hosts.origin, list);
            problems.extend(self.scene.problem.clone().filter(|_| held_back(seats)));
            let granted = self.grant_local(id, list.localslots, reason, Listed::No)?;
            let granted = self.warned(now, granted, &problems);
            return Some(match request.avoid.is_empty() {
                true => self.hinted(now, granted, seats),
                false => granted,
            });
        }
        let loads: Vec<Load> = usable.iter().map(|(seat, _)| self.load(seat)).collect();
        let order = if list.randomize { Order::Random(self.placements) } else { Order::Listed };
        let (seat, matched) = usable[placement::choose(&loads, order)?];
        match &seat.who {
            Who::ThisMachine => self.grant_local(
                id,
                list.localslots,
                "localhost is in the list".to_owned(),
                Listed::Yes,
            ),
            Who::Peer(key, listed) => {
                let limit = limit_for(LocalPurpose::Preprocess, list);
                let granted = self.grant_peer(id, limit, (*key, listed.as_ref()), matched)?;
                let problems = list_problems(&request.hosts.origin, list);
                Some(self.warned(now, granted, &problems))
            }
        }
    }

    /// Is it worth waiting although no host is usable at this moment?
    fn may_still_come(
        &self,
        now: Instant,
        list: &HostList,
        seats: &[Seat],
        request: &PlaceRequest,
    ) -> bool {
        let pending = |seat: &&Seat| {
            matches!(seat.judgement, Judgement::Pending { .. })
                && !self.is_avoided(seat, &request.avoid)
        };
        let patience = if request.may_fall_back { SETTLE } else { SETTLE_OR_FAIL };
        // A listed host is worth the wait that its deadlines bound; a discovered one only within
        // the time that the first compile waits for peers at all, and the same time again when it
        // has to prove that it is still there.
        let worth_it = |seat: &Seat| match seat.who {
            Who::Peer(_, Some(_)) => true,
            Who::Peer(key, None) => self.is_being_checked(now, key, patience),
            Who::ThisMachine => false,
        };
        let settling = list.entries.contains(&HostEntry::Zeroconf)
            && self.is_settling(now, patience)
            && request.avoid.is_empty();
        settling || seats.iter().filter(pending).any(worth_it)
    }

    /// Began the search for hosts less than `patience` ago?
    fn is_settling(&self, now: Instant, patience: Duration) -> bool {
        self.browsing_since.is_some_and(|since| now < since + patience)
    }

    /// When those who wait for the search to settle have waited long enough.
    pub(super) fn settling_ends(&self, now: Instant) -> Option<Instant> {
        let since = self.browsing_since.filter(|_| !self.waiting.is_empty())?;
        [SETTLE, SETTLE_OR_FAIL].map(|patience| since + patience).into_iter().find(|at| *at > now)
    }

    fn is_avoided(&self, seat: &Seat, avoid: &[u64]) -> bool {
        matches!(&seat.who, Who::Peer(key, _) if avoid.contains(&key.0))
    }

    fn load(&self, seat: &Seat) -> Load {
        let in_use = match &seat.who {
            Who::ThisMachine => self.listed_local_in_use,
            Who::Peer(key, _) => self.peers.get(key).map_or(0, |peer| peer.in_use),
        };
        Load { in_use, slots: seat.slots }
    }

    fn grant_peer(
        &mut self,
        id: ClientId,
        preprocessors: Option<u16>,
        (key, listed): (PeerKey, Option<&ListedHost>),
        matched: &Match,
    ) -> Option<AgentMessage> {
        if !self.local.take(preprocessors) {
            return None;
        }
        let at_peer = |client: &Client| Some(client.slot).filter(|_| client.is_at(key));
        let slot = lowest_free(self.clients.values().filter_map(at_peer));
        let local_slot = self.free_local_slot();
        let peer = self.peers.get_mut(&key)?;
        peer.in_use += 1;
        let protocol = match listed {
            Some(host) if host.options().lzo => Protocol::Lzo,
            Some(_) => Protocol::Plain,
            None => speed::protocol(peer, &self.scene.network_names()),
        };
        let placement = Placement {
            key: key.0,
            host: listed.map_or_else(|| peer.host_port(), |host| host.token().to_owned()),
            addrs: matched.addrs.clone(),
            protocol: protocol.version(),
            compiler: matched.name.clone().into_bytes(),
            ident: Some(matched.ident.clone()).filter(|ident| !ident.is_empty()),
            target: matched.target.clone(),
            foreign: matched.foreign,
            maker: matched.maker.clone(),
            ours: matches!(peer.state, State::Ours(_)),
            gives_reasons: peer.has_feature(GIVES_REASONS),
            refused_words: peer.declined.words(&matched.name).to_vec(),
            ssh: peer.route(),
            warnings: Vec::new(),
            slot,
            local_slot,
        };
        self.placements += 1;
        let client = self.clients.get_mut(&id)?;
        client.holds_local_slot = true;
        (client.slot, client.local_slot) = (slot, local_slot);
        client.place = Some((key, matched.name.clone()));
        client.sent_to.clone_from(&matched.addrs);
        client.recalled = false;
        client.protocol = protocol;
        Some(AgentMessage::Placed(Box::new(placement)))
    }

    fn grant_local(
        &mut self,
        id: ClientId,
        limit: Option<u16>,
        reason: String,
        listed: Listed,
    ) -> Option<AgentMessage> {
        if !self.local.take(limit) {
            return None;
        }
        let slot = self.free_local_slot();
        let client = self.clients.get_mut(&id)?;
        client.holds_local_slot = true;
        client.local_slot = slot;
        if listed == Listed::Yes {
            client.holds_listed_local = true;
            self.listed_local_in_use += 1;
        }
        let listed = listed == Listed::Yes;
        let place = LocalPlace { reason, warnings: Vec::new(), listed, hint: None, slot };
        Some(AgentMessage::Local(place))
    }

    fn free_local_slot(&self) -> u16 {
        let here = |client: &Client| Some(client.local_slot).filter(|_| client.holds_local_slot);
        lowest_free(self.clients.values().filter_map(here))
    }

    /// Puts the due ones of `problems` on a place that is granted: one that is still waited for
    /// tells nobody.
    fn warned(&mut self, now: Instant, granted: AgentMessage, problems: &[String]) -> AgentMessage {
        match granted {
            AgentMessage::Local(place) => {
                let warnings = self.due_warnings(now, problems);
                AgentMessage::Local(LocalPlace { warnings, ..place })
            }
            AgentMessage::Placed(place) => {
                let warnings = self.due_warnings(now, problems);
                AgentMessage::Placed(Box::new(Placement { warnings, ..*place }))
            }
            other => other,
        }
    }

    fn decide_show(
        &mut self,
        now: Instant,
        id: ClientId,
        request: &ShowRequest,
        in_force: &InForce,
    ) -> Option<AgentMessage> {
        let asked_at = self.clients.get(&id)?.asked_at;
        let patient = now < asked_at + SHOW_PATIENCE;
        let list = self.parsed(&request.hosts);
        let compilers: Vec<LocalCompiler> =
            request.compilers.iter().map(|query| self.compiler(query).clone()).collect();
        let identifying =
            compilers.iter().any(|compiler| matches!(compiler, LocalCompiler::Identifying));
        let policy = match &in_force.policy {
            Ok(policy) => Rc::clone(policy),
            Err(_) => Rc::new(Policy::built_in()),
        };
        // What is shown should be true now; of a host that is too busy to say so, what is known.
        let need = if patient { Need::Shown } else { Need::Checked };
        let mut columns: Vec<Vec<Seat>> = request
            .compilers
            .iter()
            .zip(&compilers)
            .map(|(query, local)| {
                let name = &judge::name_of(query);
                let backoff = request.backoff;
                let wanted =
                    Wanted { name, local, need, only_ours: false, backoff, ssh: &request.ssh };
                self.seats(now, (&list, usize::MAX), wanted, &policy)
            })
            .collect();
        self.drop_doubles(&mut columns);
        // Most of a crowd are inventions, which answer to nobody.
        let crowded = self.unproven.is_crowded();
        let pending = columns.iter().flatten().any(|seat| {
            matches!(seat.judgement, Judgement::Pending { .. })
                && !(crowded && show::never_answered(self, seat))
        });
        let settling = list.entries.contains(&HostEntry::Zeroconf) && self.is_settling(now, SETTLE);
        if patient && (identifying || pending || settling) {
            return None;
        }
        let mut problems = list_problems(&request.hosts.origin, &list);
        problems.extend(self.scene.problem.clone());
        Some(AgentMessage::Hosts(show::answer(self, &columns, &compilers, in_force, problems)))
    }

    pub(super) fn judge(
        &mut self,
        now: Instant,
        (key, listed): (PeerKey, Option<&ListedHost>),
        wanted: Wanted<'_>,
        policy: &Policy,
    ) -> Judgement {
        if self
            .peers
            .get_mut(&key)
            .is_some_and(|peer| peer.may_have_changed_its_mind(now) || peer.may_serve_again(now))
        {
            self.ask(now, key);
        }
        let (peer, mut confirm) = (&self.peers[&key], Vec::new());
        let answered_at = peer.answered_at().filter(|_| peer.is_discovered());
        let judgement =
            judge::judge(now, (peer, listed), wanted, (policy, &self.scene), &mut confirm);
        if let Judgement::Pending { probe: Some(name), .. } = &judgement {
            self.probe(now, key, name);
        }
        for name in confirm {
            self.probe(now, key, &name);
        }
        if matches!(judgement, Judgement::Usable(_)) {
            let asked_elsewhere = self.peers[&key].is_asked_elsewhere(&self.scene);
            if asked_elsewhere {
                self.ask(now, key);
            }
            if asked_elsewhere || !self.is_there(now, key) {
                let what = "being checked whether it still answers".to_owned();
                return Judgement::Pending { what, probe: None };
            }
        }
        match judgement {
            Judgement::Usable(matched) if wanted.need == Need::Certain => {
                at_one_address(matched, answered_at)
            }
            judgement => judgement,
        }
    }

    /// What is known of a local compiler; asks once if nothing is.
    fn compiler(&mut self, query: &CompilerQuery) -> &LocalCompiler {
        let actions = &mut self.actions;
        self.compilers.entry(query.clone()).or_insert_with(|| {
            actions.push(Action::Identify(query.clone()));
            LocalCompiler::Identifying
        })
    }

    fn parsed(&mut self, hosts: &HostsText) -> Rc<HostList> {
        if let Some(list) = self.lists.get(&hosts.text) {
            return Rc::clone(list);
        }
        let list = Rc::new(hosts::parse(&hosts.text));
        self.lists.insert(hosts.text.clone(), Rc::clone(&list));
        list
    }

    /// Those of `warnings` that were not given within the last minute.
    fn due_warnings(&mut self, now: Instant, warnings: &[String]) -> Vec<String> {
        self.warned.retain(|_, at| now < *at + WARN_EVERY);
        let due: Vec<String> =
            warnings.iter().filter(|text| !self.warned.contains_key(*text)).cloned().collect();
        self.warned.extend(due.iter().map(|text| (text.clone(), now)));
        due
    }
}

/// A job whose result cannot be checked goes where the host has said what it is: at the other
/// addresses that were heard for it may be another machine by the same name.
fn at_one_address(mut matched: Match, answered_at: Option<SocketAddr>) -> Judgement {
    let Some(addr) = answered_at else { return Judgement::Usable(matched) };
    matched.addrs.retain(|known| *known == addr);
    if matched.addrs.is_empty() {
        return Judgement::excluded("it has said what it is at an address that is not to be used");
    }
    Judgement::Usable(matched)
}

/// Is one of them held back for the sake of its network?
fn held_back(seats: &[Seat]) -> bool {
    seats.iter().any(|seat| matches!(seat.judgement, Judgement::HeldBack { .. }))
}

fn list_problems(origin: &str, list: &HostList) -> Vec<String> {
    list.problems
        .iter()
        .map(|p| format!("{origin}:{}: \"{}\": expected {}", p.line, p.token, p.expected))
        .collect()
}

/// Why no host takes the job, for a person.
fn why_none(seats: &[Seat], list: &HostList, avoid: &[u64]) -> String {
    if !avoid.is_empty() {
        return "every host that could take it failed".to_owned();
    }
    let mut reasons = seats.iter().filter_map(|seat| match &seat.judgement {
        Judgement::Excluded { reason, .. } | Judgement::HeldBack { reason, .. } => {
            Some(reason.as_str())
        }
        Judgement::Pending { what, .. } => Some(what.as_str()),
        Judgement::Usable(_) => None,
    });
    match reasons.next() {
        None if list.entries.contains(&HostEntry::Zeroconf) => {
            "no host was found on this network".to_owned()
        }
        None => "the host list names no host".to_owned(),
        Some(first) => match reasons.count() {
            0 => format!("its only host is left out: {first}"),
            more => format!("all {} hosts are left out, the first: {first}", more + 1),
        },
    }
}

/// The lowest number that is not `taken`.
fn lowest_free(taken: impl Iterator<Item = u16>) -> u16 {
    let taken: BTreeSet<u16> = taken.collect();
    (0..u16::MAX).find(|number| !taken.contains(number)).unwrap_or(u16::MAX)
}
