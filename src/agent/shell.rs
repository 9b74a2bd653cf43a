//! The one task that owns the books: events come in over a channel, actions are carried out by
//! short tasks whose results come back as events. No decision is made here.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::future;
use std::io;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::Flock;
use tokio::net::UnixListener;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_blocking, yield_now};
use tokio::time::sleep_until;
use tracing::{debug, info, warn};

use super::ask::{self, Answer, Contact, Patience, Probed};
use super::books::{Action, Books, ClientId, Question};
use super::clients;
use super::clock::Clock;
use super::hearing::Identified;
use super::networks::Whereabouts;
use super::peers::PeerKey;
use super::policies::Policies;
use super::remembered::{self, RememberedPeer};
use super::ssh::Masters;
use super::watches;
use crate::discovery::browse::Browser;
use crate::discovery::heard::Heard;
use crate::discovery::interfaces;
use crate::discovery::networks::Network;
use crate::fingerprint::cache::ToolchainCache;
use crate::fingerprint::probe::probe_local;
use crate::sys::cores;
use crate::sys::links::Change;
use crate::wire::control::{AgentMessage, ClientMessage, CompilerQuery, NetworksOrder};

/// Events that wait for the owner; senders wait beyond that.
const EVENTS: usize = 1024;
/// Of what the browser has heard, so much is taken in at once: each time those who wait are judged
/// anew, and each time clients are heard first.
const HEARD_AT_ONCE: usize = 16;
/// Events taken in at most before what they call for is done.
const BATCH: usize = 256;
/// What is remembered is written this long after the last change of it.
const REMEMBER_AFTER: Duration = Duration::from_millis(500);

/// Where this machine stands is looked at at most so often for clients' questions.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Changes of links, addresses and routes come in groups; after the first one, this long is waited
/// for the others.
const LINKS_SETTLE: Duration = Duration::from_millis(100);

/// For how long a question about networks waits for a gateway to be identified.
const IDENTIFY_FOR: Duration = Duration::from_millis(1200);

/// For so long after it came to a network, this machine forgets none of the peers it had there:
/// not all answer at once, and the way may be gone again before they do.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Where this agent lives.
pub(super) struct Setting {
    pub(super) distcc_dir: PathBuf,
    /// Holds the socket, the lock, the caches and the log; the agent ends when it vanishes.
    pub(super) dir: PathBuf,
    pub(super) socket: PathBuf,
    /// It leaves when nobody has been connected for this long.
    pub(super) idle: Duration,
}

/// What the owner is told.
pub(super) enum Event {
    /// A client has connected; answers go there.
    Came(ClientId, mpsc::Sender<AgentMessage>),
    Said(ClientId, ClientMessage),
    Left(ClientId),
    /// A client of another version: this agent must make room.
    Outdated,
    Answered(PeerKey, Answer),
    Probed(PeerKey, String, Probed),
    Identified(CompilerQuery, Identified),
    /// A connection by ssh, and its socket.
    Connected(PeerKey, Child, Vec<u8>),
    /// It has ended.
    Disconnected(PeerKey, Vec<u8>),
    /// Links, addresses or routes have changed.
    Moved(Change),
    /// The agent's directory or socket was removed.
    Vanished,
}

/// Runs until nobody needs the agent any more.
pub(super) async fn run(
    setting: Setting,
    listener: StdListener,
    alive: Flock<File>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (events, mut inbox) = mpsc::channel(EVENTS);
    let listening =
        tokio::spawn(clients::listen(UnixListener::from_std(listener)?, events.clone()));
    watches::directory(&setting, events.clone())?;
    if let Err(error) = watches::links(events.clone()) {
        warn!(%error, "cannot watch the links, they are looked at when a client asks");
    }
    let mut owner = Owner::new(setting, events, alive, listening.abort_handle());
    info!(socket = %owner.setting.socket.display(), "agent listens");
    loop {
        owner.carry_out();
        let alarm = owner.alarm();
        let mut heard = Vec::new();
        // What is heard comes last: anyone on the link can say things by the thousand.
        let event = tokio::select! {
            biased;
            event = inbox.recv() => match event {
                Some(event) => Some(event),
                None => break,
            },
            () = until(alarm) => None,
            () = owner.listen(&mut heard) => None,
        };
        owner.wake();
        match event {
            Some(event) => {
                owner.handle(event);
                for event in iter::from_fn(|| inbox.try_recv().ok()).take(BATCH) {
                    owner.handle(event);
                }
            }
            None if heard.is_empty() => owner.deadline_passed(),
            None => {
                owner.take_in(heard);
                // Those who ask and who answer are tasks too.
                yield_now().await;
            }
        }
        if owner.is_done() {
            break;
        }
    }
    owner.leave();
    owner.masters.close_all().await;
    Ok(())
}

async fn until(alarm: Option<Instant>) {
    match alarm {
        Some(alarm) => sleep_until(alarm.into()).await,
        None => future::pending().await,
    }
}

struct Owner {
    setting: Setting,
    clock: Clock,
    books: Books,
    policies: Policies,
    toolchains: ToolchainCache,
    answers: HashMap<ClientId, mpsc::Sender<AgentMessage>>,
    events: mpsc::Sender<Event>,
    masters: Masters,
    browser: Option<(Browser, mpsc::Receiver<Heard>)>,
    whereabouts: Whereabouts,
    looked_at: Instant,
    /// When what has changed of the links is looked at.
    moved_at: Option<Instant>,
    /// When a gateway is looked for again.
    look_at: Option<Instant>,
    /// Networks that this machine came to a moment ago.
    arrived: HashMap<String, Instant>,
    /// Questions about networks, and when they are answered at the latest.
    orders: Vec<(ClientId, NetworksOrder, Instant)>,
    remember_at: Option<Instant>,
    idle_since: Instant,
    outdated: bool,
    vanished: bool,
    /// Held for life; an outdated agent gives it up for its successor.
    alive: Option<Flock<File>>,
    listening: AbortHandle,
}

impl Owner {
    fn new(
        setting: Setting,
        events: mpsc::Sender<Event>,
        alive: Flock<File>,
        listening: AbortHandle,
    ) -> Self {
        let toolchains = ToolchainCache::open(setting.dir.join("toolchains"));
        let clock = Clock::new();
        let now = clock.now();
        let mut books = Books::new(cores::usable());
        let listed = remembered::load_listed(&memory(&setting));
        books.recollect_listed(now, SystemTime::now(), listed);
        Self {
            clock,
            books,
            policies: Policies::new(setting.distcc_dir.clone()),
            toolchains,
            answers: HashMap::new(),
            masters: Masters::new(setting.dir.clone(), events.clone()),
            events,
            browser: None,
            whereabouts: Whereabouts::new(&setting.distcc_dir),
            looked_at: now,
            moved_at: None,
            look_at: None,
            arrived: HashMap::new(),
            orders: Vec::new(),
            remember_at: None,
            idle_since: now,
            outdated: false,
            vanished: false,
            alive: Some(alive),
            listening,
            setting,
        }
    }

    fn is_done(&self) -> bool {
        let idle = self.books.is_idle();
        self.vanished
            || idle && (self.outdated || self.clock.now() >= self.idle_since + self.setting.idle)
    }

    /// When to wake whatever happens, by the runtime's clock.
    fn alarm(&mut self) -> Option<Instant> {
        let idle = self.books.is_idle();
        let leaves = idle.then(|| self.idle_since + self.setting.idle);
        let ordered = self.orders.iter().map(|(_, _, latest)| *latest).min();
        let books = self.books.next_deadline(self.clock.now());
        let closes = self.masters.next_close(&self.books);
        let deadlines =
            [books, self.remember_at, leaves, self.moved_at, self.look_at, ordered, closes];
        self.clock.alarm(deadlines.into_iter().flatten().min(), !idle)
    }

    /// Whoever has slept knows nothing of the others, nor where it is now.
    fn wake(&mut self) {
        if !self.clock.look() {
            return;
        }
        info!("this machine or process has slept");
        self.look_around(self.clock.now());
        self.books.moved(self.clock.now());
        if let Some((browser, _)) = &self.browser {
            browser.ask_now();
        }
    }

    fn deadline_passed(&mut self) {
        let now = self.clock.now();
        if self.remember_at.is_some_and(|at| at <= now) {
            self.remember_at = None;
            self.remember();
        }
        if self.moved_at.is_some_and(|at| at <= now) || self.look_at.is_some_and(|at| at <= now) {
            self.look_around(now);
        }
        self.obey(now);
        self.masters.close_unused(now, &self.books);
        self.books.tick(now);
    }

    fn handle(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::Came(id, answers) => {
                self.answers.insert(id, answers);
                self.books.came(now, id);
                if let Some((browser, _)) = &self.browser {
                    browser.is_used();
                }
            }
            Event::Said(id, message) => self.said(now, id, message),
            Event::Left(id) => {
                self.answers.remove(&id);
                self.books.left(now, id);
                self.idle_since = now;
            }
            Event::Outdated => self.make_room(),
            Event::Answered(key, answer) => {
                if matches!(answer, Answer::Failed(..)) {
                    // A connection over which there is no answer is none.
                    self.masters.close(key);
                }
                self.books.peer_answered(now, key, answer);
            }
            Event::Connected(key, child, path) => {
                self.masters.hold(now, key, child, path.clone());
                self.books.ssh_connection(now, key, Some(path));
            }
            Event::Disconnected(key, path) => {
                if self.books.is_connected_by(key, &path) {
                    self.masters.lost(key);
                    self.books.ssh_connection(now, key, None);
                }
            }
            Event::Probed(key, name, probed) => self.books.peer_probed(now, key, &name, probed),
            Event::Identified(query, identified) => self.identified(now, query, identified),
            Event::Moved(change) => {
                self.whereabouts.changed(&change);
                self.moved_at.get_or_insert(now + LINKS_SETTLE);
            }
            // It removed its socket itself, and stays until its clients have gone.
            Event::Vanished if self.outdated => {}
            Event::Vanished => {
                info!("the agent's directory or socket has vanished");
                self.vanished = true;
            }
        }
    }

    /// Gets the next of what the browser hears.
    async fn listen(&mut self, heard: &mut Vec<Heard>) {
        let Some((_, browsed)) = &mut self.browser else { return future::pending().await };
        if browsed.recv_many(heard, HEARD_AT_ONCE).await == 0 {
            // Nothing will come any more.
            future::pending().await
        }
    }

    fn take_in(&mut self, heard: Vec<Heard>) {
        let now = self.clock.now();
        self.look_around_again(now);
        self.books.heard(now, heard);
    }

    fn said(&mut self, now: Instant, id: ClientId, message: ClientMessage) {
        match message {
            ClientMessage::Hello { protocol } => {
                self.tell(id, AgentMessage::Welcome { protocol });
            }
            ClientMessage::Place(request) => {
                self.look_around_again(now);
                self.recall(now, &request.compiler);
                let in_force = self.policies.in_force(request.policy.as_deref());
                self.books.asks(now, id, Question::Place(request, in_force));
            }
            ClientMessage::LocalPlace { purpose, limit } => {
                self.books.asks(now, id, Question::Local(purpose, limit));
            }
            ClientMessage::Preprocessed => self.books.preprocessed(now, id),
            ClientMessage::Report(report) => self.books.reported(now, id, report),
            ClientMessage::HintShown { network } => {
                self.whereabouts.hint_shown(&network);
                self.look_around(now);
            }
            ClientMessage::Networks(order) => {
                self.whereabouts.identify();
                self.orders.push((id, order, now + IDENTIFY_FOR));
                self.look_around(now);
                self.obey(now);
            }
            ClientMessage::ShowHosts(request) => {
                self.look_around_again(now);
                for query in &request.compilers {
                    self.recall(now, query);
                }
                let in_force = self.policies.in_force(request.policy.as_deref());
                self.books.asks(now, id, Question::Show(request, in_force));
            }
        }
    }

    /// Takes a compiler's identity from the cache if its files are what they were, and has it
    /// identified anew if not: a compiler may be upgraded while the agent lives.
    fn recall(&mut self, now: Instant, query: &CompilerQuery) {
        let (path, search_path) = paths(query);
        let known = self.toolchains.lookup(path, search_path);
        self.books.recalled(now, query, known);
    }

    fn tell(&mut self, id: ClientId, message: AgentMessage) {
        if let Some(answers) = self.answers.get(&id)
            && answers.try_send(message).is_err()
        {
            // It asks faster than it reads; without its answer it would wait for ever.
            self.answers.remove(&id);
        }
    }

    /// Does all there is to do, what comes up on the way included.
    fn carry_out(&mut self) {
        loop {
            let actions = self.books.take_actions();
            if actions.is_empty() {
                return;
            }
            actions.into_iter().for_each(|action| self.carry_out_one(action));
        }
    }

    fn carry_out_one(&mut self, action: Action) {
        match action {
            Action::Tell(id, message) => {
                debug!(client = id.0, ?message, "answer");
                self.tell(id, message);
            }
            Action::Hello(key, addrs, patience) => {
                self.spawn(async move { Event::Answered(key, ask::hello(&addrs, patience).await) })
            }
            Action::ResolveAndHello(key, host, port) => self.spawn(async move {
                let answer = match ask::resolve(&host, port).await {
                    Ok(addrs) => ask::hello(&addrs, Patience::Full).await,
                    Err(reason) => Answer::Failed(reason, Contact::Lost),
                };
                Event::Answered(key, answer)
            }),
            Action::Probe(key, addr, name) => self.spawn(async move {
                let probed = ask::probe(addr, &name).await;
                Event::Probed(key, name, probed)
            }),
            Action::SshHello(key, reach) => self.masters.ask(key, reach),
            Action::SshProbe(key, reach, name) => self.masters.probe(key, reach, name),
            Action::Identify(query) => self.identify(query),
            Action::Browse => self.browse(),
            Action::Remember => {
                self.remember_at.get_or_insert(self.clock.now() + REMEMBER_AFTER);
            }
        }
    }

    fn spawn(&self, question: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let _ = events.send(question.await).await;
        });
    }

    /// Runs the compiler a few times: blocking work, on a thread of its own.
    fn identify(&self, query: CompilerQuery) {
        self.spawn(async move {
            let asked = query.clone();
            let probed = spawn_blocking(move || {
                let (path, search_path) = paths(&asked);
                probe_local(path, search_path).map_err(|e| e.to_string())
            });
            let identified = probed.await.unwrap_or_else(|e| Err(e.to_string()));
            Event::Identified(query, identified)
        });
    }

    /// Keeps on disk what a compiler was found to be, and tells the books.
    fn identified(&mut self, now: Instant, query: CompilerQuery, identified: Identified) {
        if let Ok(probed) = &identified {
            let (path, search_path) = paths(&query);
            self.toolchains.insert(path, search_path, probed);
            if let Err(e) = self.toolchains.save() {
                warn!(error = %e, "cannot keep what was learned of a compiler");
            }
        }
        self.books.identified(now, query, identified);
    }

    fn browse(&mut self) {
        let now = self.clock.now();
        self.whereabouts.use_networks();
        self.look_around(now);
        self.ask_those_remembered(now, &self.books.scene.network_names());
        self.browser = Some(Browser::start());
    }

    fn ask_those_remembered(&mut self, now: Instant, networks: &[String]) {
        let mut known = remembered::load(&memory(&self.setting), networks);
        known.retain(|peer| self.books.scene.is_on_link(peer.addr, &peer.interface));
        self.books.recollect(now, SystemTime::now(), known);
    }

    /// Tells the books where this machine stands. On a network that is new there, the peers of the
    /// last time are asked, and all others are looked for.
    fn look_around(&mut self, now: Instant) {
        (self.looked_at, self.moved_at) = (now, None);
        let scene = self.whereabouts.look(now);
        self.look_at = self.whereabouts.look_at(now);
        if scene == self.books.scene {
            return;
        }
        let moved = !scene.is_same_place(&self.books.scene);
        let mut names = scene.network_names();
        names.retain(|name| !self.books.scene.network_names().contains(name));
        self.arrived.extend(names.iter().map(|name| (name.clone(), now)));
        info!(networks = ?scene.network_names(), moved, "this machine stands elsewhere");
        if moved && self.remember_at.take().is_some() {
            // They are to be found by the network that is left now.
            self.store_peers(now);
        }
        self.books.stands(now, scene);
        if let Some((browser, _)) = self.browser.as_ref().filter(|_| moved) {
            browser.ask_now();
            self.ask_those_remembered(now, &names);
        }
    }

    /// Does what was ordered about networks, once it is known which they are.
    fn obey(&mut self, now: Instant) {
        let is_settled = self.whereabouts.is_settled();
        let due = |order: &mut (ClientId, NetworksOrder, Instant)| is_settled || order.2 <= now;
        let orders: Vec<_> = self.orders.extract_if(.., due).collect();
        for (id, order, _) in orders {
            let problems = self.whereabouts.obey(&order);
            self.look_around(now);
            let n_hosts = |name: &str| self.n_hosts(name);
            let mut answer = self.whereabouts.list(n_hosts);
            answer.problems.extend(problems);
            answer.problems.dedup();
            self.tell(id, AgentMessage::Networks(answer));
        }
    }

    /// Hosts discovered on the network of this name; of one that this machine is not on, those
    /// remembered for the return.
    fn n_hosts(&self, name: &str) -> u32 {
        let is_it = |network: &&Network| network.name.0 == name;
        let n_hosts = match self.books.scene.networks.iter().find(is_it) {
            Some(network) if self.browser.is_some() => self.books.n_heard_on(&network.interface),
            _ => remembered::load(&memory(&self.setting), &[name.to_owned()]).len(),
        };
        u32::try_from(n_hosts).unwrap_or(u32::MAX)
    }

    /// As [`Self::look_around`] for a question about peers, but not for every job of a long build:
    /// links come and go without a word from any peer.
    fn look_around_again(&mut self, now: Instant) {
        let is_due = now >= self.looked_at + LOOK_EVERY;
        if self.browser.is_none() && (is_due || self.books.scene.interfaces.is_empty()) {
            // Networks are of no concern then, but a list may name this machine.
            self.books.scene.interfaces = interfaces::list();
            self.looked_at = now;
        } else if self.browser.is_some() && (is_due || self.moved_at.is_some()) {
            self.look_around(now);
        }
    }

    fn remember(&mut self) {
        let now = self.clock.now();
        self.look_around(now);
        self.store_peers(now);
    }

    /// Keeps the peers of the networks that the books believe this machine to be on.
    fn store_peers(&mut self, now: Instant) {
        let path = memory(&self.setting);
        let mut memory = self.books.worth_remembering(now, SystemTime::now());
        self.arrived.retain(|_, at| now < *at + ARRIVAL);
        let arrived = |name: &String| self.arrived.contains_key(name);
        for (network, peers) in memory.networks.iter_mut().filter(|(name, _)| arrived(name)) {
            let earlier = remembered::load(&path, std::slice::from_ref(network));
            let silent = |peer: &RememberedPeer| !peers.iter().any(|known| known.addr == peer.addr);
            let silent: Vec<RememberedPeer> = earlier.into_iter().filter(silent).collect();
            peers.extend(silent);
        }
        if let Err(e) = remembered::store(&path, memory) {
            warn!(error = %e, "cannot remember the peers");
        }
    }

    /// A successor of another version is wanted: leave it the socket's name and the lock.
    fn make_room(&mut self) {
        info!("a client of another version has come; a new agent takes over");
        self.outdated = true;
        self.listening.abort();
        let _ = fs::remove_file(&self.setting.socket);
        self.alive = None;
    }

    fn leave(&mut self) {
        if self.remember_at.is_some() {
            self.remember();
        }
        // Once the directory or the socket has vanished, what is there belongs to a successor.
        if self.alive.is_some() && !self.vanished {
            let _ = fs::remove_file(&self.setting.socket);
        }
        info!("agent leaves");
    }
}

/// Where the peers of the last time are.
fn memory(setting: &Setting) -> PathBuf {
    setting.dir.join("peers")
}

fn paths(query: &CompilerQuery) -> (&Path, &OsStr) {
    (Path::new(OsStr::from_bytes(&query.path)), OsStr::from_bytes(&query.search_path))
}

#[cfg(test)]
mod tests;
