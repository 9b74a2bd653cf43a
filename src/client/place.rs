//! Where a job may run: asked of the agent, or worked out from a static host list where no agent
//! can be had and no policy would be passed over.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use nix::unistd::getuid;

use crate::settings::agent_socket;
use crate::settings::env::Environment;
use crate::settings::hosts::{HostEntry, HostList};
use crate::sys::locks::FileLock;
use crate::wire::control::{
    CompilerQuery, Hint, HostsText, JobReport, LocalPlace, LocalPurpose, PlaceRequest, Placement,
    SshRoute,
};

use super::agent_link::{AgentError, AgentLink, Grant};
use super::log::Log;
use super::once;
use super::session::report_problems;
use super::ssh::ssh_client;
use super::static_hosts::{Choice, ChosenHost, SlotFiles, StaticHosts, find};
use super::terminal;
use super::watch::Watch;

/// The system's policy; `$DISTCC_POLICY` and `$DISTCC_DIR/policy.toml` come before it.
const SYSTEM_POLICY: &str = "/etc/distcc/policy.toml";

/// The file below `DISTCC_DIR` that remembers when the user was told that there is no agent, and
/// how often that is worth a line.
const NO_AGENT_STAMP: &str = "no-agent-told";
const NO_AGENT_PERIOD: Duration = Duration::from_secs(3600);

/// Why no host can take a job.
#[derive(Debug)]
pub(super) enum Nowhere {
    /// The agent says so, and has granted a local slot.
    Agent(LocalPlace),
    /// `localhost` of a host list has a slot, and it is held.
    Localhost,
    /// Every host of a static list is in use elsewhere, failed, or cannot be used.
    NoHost,
    /// There is no agent, and a policy that only it can apply.
    PolicyWithoutAgent {
        /// The policy's file.
        policy: PathBuf,
    },
    /// The lock files cannot be used.
    Locks(io::Error),
}

impl Display for Nowhere {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(place) => f.write_str(&place.reason),
            Self::Localhost => f.write_str("localhost is in the list and free"),
            Self::NoHost => f.write_str("no host in the list can take it"),
            Self::PolicyWithoutAgent { policy } => {
                write!(f, "only the agent can apply {}, and none can be reached", policy.display())
            }
            Self::Locks(error) => write!(f, "cannot use the lock files: {error}"),
        }
    }
}

/// What a place is wanted for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The host list in force.
    pub(super) hosts: &'a HostsText,
    /// The same, parsed.
    pub(super) list: &'a HostList,
    /// The compiler that the job names.
    pub(super) compiler: CompilerQuery,
    /// [`PlaceRequest::unmarked`].
    pub(super) unmarked: bool,
    /// [`PlaceRequest::only_ours`].
    pub(super) only_ours: bool,
}

/// What grants places.
#[derive(Debug)]
enum Source {
    Agent(AgentLink),
    Files(Box<StaticPlaces>),
    /// Nothing has been asked yet, or all has been given back.
    None,
}

#[derive(Debug)]
struct StaticPlaces {
    hosts: StaticHosts,
    chosen: Option<ChosenHost>,
}

/// A host with a slot for this job.
#[derive(Debug)]
enum Found {
    /// It can be connected to.
    Host { host: ChosenHost, addrs: Vec<SocketAddr>, ssh: Option<SshRoute> },
    /// It has no address.
    NameWithoutAddress { host: ChosenHost, error: io::Error },
}

/// All places that this client asks for, one after the other.
#[derive(Debug)]
pub(super) struct Places<'a> {
    env: &'a Environment,
    log: &'a Log,
    source: Source,
    /// Slots of this machine for those that no agent counts.
    files: Option<SlotFiles>,
    local: Option<FileLock>,
    /// The agent has granted a local slot with its last answer.
    local_granted: bool,
    /// Which one it is, for monitors.
    local_slot: u16,
    /// `--localslots` and `--localslots_cpp`.
    limits: (Option<u16>, Option<u16>),
    /// Why the agent could not be asked the last time.
    no_agent: Option<AgentError>,
}

impl<'a> Places<'a> {
    /// Holds nothing yet.
    pub(super) fn new(env: &'a Environment, log: &'a Log) -> Self {
        Self {
            env,
            log,
            source: Source::None,
            files: None,
            local: None,
            local_granted: false,
            local_slot: 0,
            limits: (None, None),
            no_agent: None,
        }
    }

    /// Holds nothing any more.
    pub(super) fn give_back(&mut self) {
        *self = Self::new(self.env, self.log);
    }

    /// Waits for a place for a job that may travel. `avoid` are the keys of hosts where it failed.
    pub(super) fn remote(
        &mut self,
        wanted: &Wanted<'_>,
        avoid: &[u64],
    ) -> Result<Placement, Nowhere> {
        let Wanted { hosts, list, compiler, unmarked, only_ours } = wanted;
        self.limits = (list.localslots, list.localslots_cpp);
        let request = PlaceRequest {
            hosts: (*hosts).clone(),
            compiler: compiler.clone(),
            avoid: avoid.to_vec(),
            policy: self.env.policy.as_ref().map(|path| path.to_string_lossy().into_owned()),
            may_fall_back: self.env.fallback || *only_ours,
            unmarked: *unmarked,
            only_ours: *only_ours,
            ssh: ssh_client(self.env),
            backoff: self.env.backoff_period,
        };
        if let Some(granted) = self.ask_agent(|link| link.place(request.clone()), Start::IfNeeded) {
            return match granted {
                Grant::Remote(placement) => {
                    self.show_warnings(&placement.warnings);
                    Ok(placement)
                }
                Grant::Local(place) => {
                    self.local_granted = true;
                    self.local_slot = place.slot;
                    self.show_warnings(&place.warnings);
                    self.show_hint(place.hint.as_ref());
                    Err(Nowhere::Agent(place))
                }
            };
        }
        if *only_ours {
            // Which servers are ours, only the agent knows.
            return Err(Nowhere::NoHost);
        }
        self.remote_without_agent(hosts, list, avoid)
    }

    fn remote_without_agent(
        &mut self,
        text: &HostsText,
        list: &HostList,
        avoid: &[u64],
    ) -> Result<Placement, Nowhere> {
        let is_first = !matches!(self.source, Source::Files(_));
        let policy = existing_policy(self.env);
        if is_first && list.entries.contains(&HostEntry::Zeroconf) {
            self.warn_of_no_agent(list, policy.is_some());
        }
        if let Some(policy) = policy {
            return Err(Nowhere::PolicyWithoutAgent { policy });
        }
        if is_first {
            report_problems(text, list, self.log);
            let seed = u64::from(process::id());
            let hosts = StaticHosts::new(list, self.env.backoff_period, seed);
            self.source = Source::Files(Box::new(StaticPlaces { hosts, chosen: None }));
        }
        let mut avoid = avoid.to_vec();
        loop {
            let (host, addrs, ssh) = match self.choose(&avoid)? {
                Found::Host { host, addrs, ssh } => (host, addrs, ssh),
                Found::NameWithoutAddress { host, error } => {
                    self.log.info(format_args!("cannot find {}: {error}", host.host.token()));
                    avoid.push(host.idx as u64);
                    continue;
                }
            };
            let placement = Placement {
                key: host.idx as u64,
                host: host.host.token().to_owned(),
                addrs,
                protocol: if host.host.options().lzo { 2 } else { 1 },
                compiler: Vec::new(),
                ident: None,
                target: String::new(),
                foreign: false,
                maker: Box::default(),
                ours: false,
                gives_reasons: false,
                refused_words: Vec::new(),
                ssh,
                warnings: Vec::new(),
                slot: host.slot.slot,
                local_slot: 0,
            };
            if let Source::Files(places) = &mut self.source {
                places.chosen = Some(host);
            }
            self.local = self.slot_for(LocalPurpose::Preprocess);
            let local_slot = self.local.as_ref().map_or(0, |lock| lock.slot);
            return Ok(Placement { local_slot, ..placement });
        }
    }

    /// Without an agent `+zeroconf` finds nothing, which the user would notice by slow builds only.
    fn warn_of_no_agent(&self, list: &HostList, has_policy: bool) {
        let (Some(why), true) = (&self.no_agent, self.env.may_start_agent) else { return };
        let stamp = self.env.distcc_dir.as_ref().map(|dir| dir.join(NO_AGENT_STAMP));
        if stamp.is_some_and(|stamp| !once::is_due(&stamp, NO_AGENT_PERIOD)) {
            return;
        }
        let is_host = |entry: &HostEntry| matches!(entry, HostEntry::Tcp(_));
        let effect = if !has_policy && list.entries.iter().any(is_host) {
            "+zeroconf finds no hosts"
        } else {
            "everything is compiled here"
        };
        self.log.warning_to_user(format_args!("cannot start the agent ({why}): {effect}"));
    }

    /// The next host with its addresses, if its name has any.
    fn choose(&mut self, avoid: &[u64]) -> Result<Found, Nowhere> {
        self.open_files().map_err(Nowhere::Locks)?;
        let (Source::Files(places), Some(files)) = (&mut self.source, &self.files) else {
            return Err(Nowhere::NoHost);
        };
        places.chosen = None;
        self.log.debug(format_args!("waiting for a host of the list"));
        match places.hosts.choose(files, avoid).map_err(Nowhere::Locks)? {
            Choice::Nowhere => Err(Nowhere::NoHost),
            Choice::Localhost { slot } => {
                self.local_slot = slot.slot;
                self.local = Some(slot);
                self.local_granted = true;
                Err(Nowhere::Localhost)
            }
            Choice::Host(host) => Ok(match find(&host.host) {
                Ok((addrs, ssh)) => Found::Host { host, addrs, ssh },
                Err(error) => {
                    let marked = places.hosts.mark_failed(files, &host.host);
                    self.log_if_failed("note the failed host", marked);
                    Found::NameWithoutAddress { host, error }
                }
            }),
        }
    }

    /// What a job at a granted place has an eye on.
    pub(super) fn watch(&mut self, placement: &Placement) -> Watch<'_> {
        match &mut self.source {
            Source::Agent(link) => Watch::with_agent(link, placement.key),
            Source::Files(_) | Source::None => Watch::alone(),
        }
    }

    /// The preprocessor is done: its slot is free for others.
    pub(super) fn preprocessed(&mut self) {
        self.local = None;
        if let Source::Agent(link) = &mut self.source
            && let Err(error) = link.preprocessed()
        {
            self.agent_lost(error);
        }
    }

    /// Tells how the job at the granted place ended; the place is free.
    pub(super) fn report(&mut self, report: JobReport) {
        self.local = None;
        let result = match &mut self.source {
            Source::Agent(link) => link.report(report),
            Source::Files(places) => {
                let Some(files) = &self.files else { return };
                let Some(chosen) = places.chosen.take() else { return };
                let noted = match report {
                    JobReport::Ran(_) => places.hosts.mark_good(files, &chosen.host),
                    JobReport::Abandoned => Ok(()),
                    _ => places.hosts.mark_failed(files, &chosen.host),
                };
                self.log_if_failed("note how the host did", noted);
                return;
            }
            Source::None => return,
        };
        if let Err(error) = result {
            self.agent_lost(error);
        }
    }

    /// Waits for a slot of this machine, unless one came with the last answer. Work goes on
    /// without where none can be had. Tells which one it is.
    pub(super) fn local(&mut self, purpose: LocalPurpose) -> u16 {
        if self.local_granted {
            return self.local_slot;
        }
        let limit = match purpose {
            LocalPurpose::Compile => self.limits.0,
            LocalPurpose::Preprocess => self.limits.1,
        };
        // For a command that never travels no agent is started.
        if let Some(place) = self.ask_agent(|link| link.local_place(purpose, limit), Start::Never) {
            self.show_warnings(&place.warnings);
            self.local_slot = place.slot;
        } else {
            self.local = None;
            self.local = self.slot_for(purpose);
            self.local_slot = self.local.as_ref().map_or(0, |lock| lock.slot);
        }
        self.local_granted = true;
        self.local_slot
    }

    fn slot_for(&mut self, purpose: LocalPurpose) -> Option<FileLock> {
        let slot = self.open_files().and_then(|()| match (&self.files, purpose) {
            (Some(files), LocalPurpose::Compile) => files.local_compile(self.limits.0).map(Some),
            (Some(files), LocalPurpose::Preprocess) => {
                files.local_preprocessor(self.limits.1).map(Some)
            }
            (None, _) => Ok(None),
        });
        slot.unwrap_or_else(|error| {
            self.log.info(format_args!("cannot wait for a local slot: {error}"));
            None
        })
    }

    fn open_files(&mut self) -> io::Result<()> {
        if self.files.is_none() {
            let dir = self.env.distcc_dir.as_ref().ok_or_else(no_directory)?;
            self.files = Some(SlotFiles::open(dir, self.env.pause)?);
        }
        Ok(())
    }

    /// Asks the agent; one that has gone is replaced once. `None` if there is none to ask.
    fn ask_agent<T>(
        &mut self,
        ask: impl Fn(&mut AgentLink) -> Result<T, AgentError>,
        start: Start,
    ) -> Option<T> {
        if matches!(self.source, Source::Files(_)) {
            return None;
        }
        let Some(socket) = socket(self.env) else {
            self.agent_lost(AgentError::NoDirectory);
            return None;
        };
        if let Source::Agent(link) = &mut self.source {
            match ask(link) {
                Ok(answer) => return Some(answer),
                Err(error) => self.agent_lost(error),
            }
        } else if let Some(answer) = self.ask_new(AgentLink::connect(&socket), &ask) {
            return Some(answer);
        }
        match start {
            Start::Never => None,
            Start::IfNeeded if !self.env.may_start_agent => None,
            Start::IfNeeded => {
                let link = AgentLink::start(&socket, &self.env.path);
                self.ask_new(link, &ask)
            }
        }
    }

    fn ask_new<T>(
        &mut self,
        link: Result<AgentLink, AgentError>,
        ask: impl Fn(&mut AgentLink) -> Result<T, AgentError>,
    ) -> Option<T> {
        let asked = link.and_then(|mut link| ask(&mut link).map(|answer| (link, answer)));
        match asked {
            Ok((link, answer)) => {
                self.source = Source::Agent(link);
                Some(answer)
            }
            Err(error) => {
                self.agent_lost(error);
                None
            }
        }
    }

    fn agent_lost(&mut self, error: AgentError) {
        self.source = Source::None;
        self.log.debug(format_args!("no agent answers yet: {error}"));
        self.no_agent = Some(error);
    }

    fn show_warnings(&self, warnings: &[String]) {
        for warning in warnings {
            self.log.warning(format_args!("{warning}"));
        }
    }

    /// Once in a network's life, and only where a person sees it.
    fn show_hint(&mut self, hint: Option<&Hint>) {
        let Some(hint) = hint else { return };
        self.log.info(format_args!("{}", hint.text));
        match terminal::tell(&hint.text) {
            Ok(()) => {
                if let Source::Agent(link) = &mut self.source
                    && let Err(error) = link.hint_shown(hint.network.clone())
                {
                    self.log.debug(format_args!("the agent was not told of the hint: {error}"));
                }
            }
            Err(error) => self.log.debug(format_args!("nobody to give a hint to: {error}")),
        }
    }

    fn log_if_failed(&self, doing: &str, result: io::Result<()>) {
        if let Err(error) = result {
            self.log.info(format_args!("cannot {doing}: {error}"));
        }
    }
}

/// Whether an agent is started where none runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    IfNeeded,
    Never,
}

/// The socket of this user's agent; none without a directory for it.
pub(super) fn socket(env: &Environment) -> Option<PathBuf> {
    let runtime_dir = env.runtime_dir.as_ref().map(|dir| dir.as_os_str());
    let dir = env.distcc_dir.as_ref()?;
    Some(agent_socket::path(dir, getuid().as_raw(), runtime_dir))
}

fn no_directory() -> io::Error {
    io::Error::other("neither DISTCC_DIR nor HOME is set")
}

/// The policy file that would be in force, if there is one. `$DISTCC_POLICY` counts even if its
/// file is missing: it was meant to decide.
fn existing_policy(env: &Environment) -> Option<PathBuf> {
    if let Some(named) = &env.policy {
        return Some(named.clone());
    }
    let own = env.distcc_dir.as_ref().map(|dir| dir.join("policy.toml"));
    own.into_iter().chain([PathBuf::from(SYSTEM_POLICY)]).find(|path| path.exists())
}
