//! Which networks this machine is on, and what the user thinks of them: looks round, keeps
//! `networks.toml`, obeys `--trust-network` and `--forget-network`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use tracing::{debug, info, warn};

use super::scene::Scene;
use crate::discovery::interfaces;
use crate::discovery::networks::{Network, Surveyor};
use crate::policy::file::{FileStamp, is_absent, stamp};
use crate::policy::networks::{Gateway, KnownNetworks, NetworkId};
use crate::sys::links::Change;
use crate::wire::control::{NetworkLine, NetworksAnswer, NetworksOrder};

/// The file's name in `$DISTCC_DIR`.
const FILE_NAME: &str = "networks.toml";
/// Pause before a gateway that did not answer is knocked at again; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Why a network is trusted.
const FIRST_USED: &str = "the first one used";
const BY_USER: &str = "trusted by the user";
/// An answer to a knock is looked for so often, for [`FIRST_PAUSE`].
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// This machine's networks, and the memory of those that it was on.
pub(super) struct Whereabouts {
    file: PathBuf,
    /// As on disk, or what is wrong with the file.
    known: Result<KnownNetworks, String>,
    stamp: Option<FileStamp>,
    /// Why the file could not be written the last time.
    unwritten: Option<String>,
    surveyor: Surveyor,
    networks: Vec<Network>,
    /// Somebody uses `+zeroconf`.
    in_use: bool,
    /// Somebody wants to know which networks these are.
    curious: bool,
    /// Interfaces by which this machine was on its first networks, until those are remembered.
    first: Vec<u32>,
    knocking: Option<Knocking>,
}

/// The search for a gateway that cannot be identified.
struct Knocking {
    last: Instant,
    pause: Duration,
}

impl Whereabouts {
    /// With the memory in this `$DISTCC_DIR`.
    pub(super) fn new(distcc_dir: &Path) -> Self {
        let mut whereabouts = Self {
            file: distcc_dir.join(FILE_NAME),
            known: Ok(KnownNetworks::default()),
            stamp: None,
            unwritten: None,
            surveyor: Surveyor::default(),
            networks: Vec::new(),
            in_use: false,
            curious: false,
            first: Vec::new(),
            knocking: None,
        };
        whereabouts.read();
        whereabouts
    }

    /// From now on hosts are looked for: the first networks are remembered as trusted.
    pub(super) fn use_networks(&mut self) {
        self.in_use = true;
        self.curious = true;
    }

    /// From now on unknown gateways are asked for.
    pub(super) fn identify(&mut self) {
        self.curious = true;
    }

    /// The kernel told of this.
    pub(super) fn changed(&mut self, change: &Change) {
        match change {
            Change::Some { lost } => {
                for index in lost {
                    self.surveyor.lost(*index);
                    self.first.retain(|first| first != index);
                }
            }
            Change::Anything => self.surveyor.lost_all(),
        }
        self.knocking = None;
    }

    /// Where this machine stands now.
    pub(super) fn look(&mut self, now: Instant) -> Scene {
        let interfaces = interfaces::list();
        self.networks = self.surveyor.survey(&interfaces);
        if self.stamp_now() != self.stamp {
            self.read();
        }
        self.remember_first();
        self.see();
        self.knock(now);
        let (known, problem) = match &self.known {
            Ok(known) => (known, self.unwritten.clone()),
            Err(problem) => (&KnownNetworks::default(), Some(problem.clone())),
        };
        let scene = Scene::new(interfaces, self.networks.clone(), known);
        // What cannot be known again is not remembered, but is the first one while its link is up.
        let mut scene = scene.trusting_bare(self.first());
        scene.problem = problem;
        scene
    }

    /// When to look again for the sake of a gateway that is not identified yet.
    pub(super) fn look_at(&self, now: Instant) -> Option<Instant> {
        let Knocking { last, pause } = self.knocking.as_ref()?;
        let knock_at = *last + *pause;
        Some(if now < *last + FIRST_PAUSE { knock_at.min(now + LOOK_AGAIN) } else { knock_at })
    }

    /// Is every network's gateway identified, or none there?
    pub(super) fn is_settled(&self) -> bool {
        self.networks.iter().all(|network| network.id.gateway != Gateway::Unidentified)
    }

    fn knock(&mut self, now: Instant) {
        if self.is_settled() || !self.curious {
            self.knocking = None;
            return;
        }
        let pause = match &self.knocking {
            Some(Knocking { last, pause }) if now < *last + *pause => return,
            Some(Knocking { pause, .. }) => (*pause * 2).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        self.knocking = Some(Knocking { last: now, pause });
        let unknown = |network: &&Network| network.id.gateway == Gateway::Unidentified;
        for network in self.networks.iter().filter(unknown) {
            if let Err(error) = network.knock() {
                debug!(network = %network.name, %error, "cannot knock at the gateway");
            }
        }
    }

    /// Without a memory of networks, those that this machine is on are the first on which
    /// `+zeroconf` is used: they are trusted.
    fn remember_first(&mut self) {
        if self.in_use && self.stamp.is_none() && self.first.is_empty() {
            self.first = self.networks.iter().map(|network| network.index).collect();
        }
        let is_first = |network: &&Network| self.first.contains(&network.index);
        let here: Vec<Network> = self.networks.iter().filter(is_first).cloned().collect();
        let known = here.iter().filter(|network| network.id.is_identified());
        let known: Vec<(u32, NetworkId)> =
            known.map(|network| (network.index, network.id.clone())).collect();
        self.first = here.iter().map(|network| network.index).collect();
        if known.is_empty() {
            return;
        }
        let trusted = self.change(|networks| {
            for (_, id) in &known {
                info!(network = %id, "the first network used is trusted");
                networks.trust(id, FIRST_USED);
            }
        });
        if trusted.is_ok() {
            self.first.retain(|first| known.iter().all(|(index, _)| index != first));
        }
    }

    /// Interfaces whose links are used although what they lead to is not remembered yet.
    fn first(&self) -> &[u32] {
        if self.known.is_ok() { &self.first } else { &[] }
    }

    /// Keeps prefixes that trusted networks have got.
    fn see(&mut self) {
        let Ok(known) = &self.known else { return };
        let mut seen = known.clone();
        let news = self.networks.iter().filter(|network| seen.see(&network.id)).count();
        if news > 0 {
            let _ = self.change(|known| *known = seen);
        }
    }

    /// The user was told of hosts on the network of this name.
    pub(super) fn hint_shown(&mut self, name: &str) {
        let here = self.networks.iter().find(|network| network.name.0 == name);
        if let Some(id) = here.map(|network| network.id.clone()) {
            let _ = self.change(|known| known.hint_shown(&id));
        }
    }

    /// Does what the user orders. What could not be done, whole sentences.
    pub(super) fn obey(&mut self, order: &NetworksOrder) -> Vec<String> {
        let done = match order {
            NetworksOrder::List => Ok(()),
            NetworksOrder::TrustCurrent => return self.trust_current(),
            NetworksOrder::Trust(name) => self.find(name).and_then(|id| {
                self.change(|known| {
                    known.trust(&id, BY_USER);
                })
            }),
            NetworksOrder::TrustAll => self.change(|known| known.trust_all = true),
            NetworksOrder::Forget(name) if name == "all" => {
                self.change(|known| known.trust_all = false)
            }
            NetworksOrder::Forget(name) => self
                .find(name)
                .and_then(|id| self.change(|known| known.distrust(&id, "forgotten by the user"))),
        };
        done.err().into_iter().collect()
    }

    fn trust_current(&mut self) -> Vec<String> {
        if self.networks.is_empty() {
            return vec!["this machine is on no network".to_owned()];
        }
        let here = self.networks.clone();
        let trusted = self.change(|known| {
            here.iter().for_each(|network| {
                known.trust(&network.id, BY_USER);
            });
        });
        let unknown = here.iter().filter(|network| !network.id.is_identified()).map(|network| {
            let interface = &network.interface;
            format!("the network on {interface} cannot be told: {}", why_untold(&network.id))
        });
        trusted.err().into_iter().chain(unknown).collect()
    }

    /// The network of this name, or of this prefix if there is only one.
    fn find(&self, name: &str) -> Result<NetworkId, String> {
        let here = self.networks.iter().map(|network| &network.id);
        let remembered = self.known.iter().flat_map(|known| &known.networks).map(|known| &known.id);
        let mut ids: Vec<&NetworkId> = Vec::new();
        for id in remembered.chain(here).filter(|id| id.is_identified()) {
            if !ids.iter().any(|known| known.gateway == id.gateway && known.names() == id.names()) {
                ids.push(id);
            }
        }
        let called = |id: &&&NetworkId| id.names().iter().any(|it| it.eq_ignore_ascii_case(name));
        if let Some(id) = ids.iter().find(called) {
            return Ok((*id).clone());
        }
        let begins = |id: &&&NetworkId| {
            id.names().iter().any(|it| it.split_once('@').is_some_and(|(prefix, _)| prefix == name))
        };
        let mut alike = ids.iter().filter(begins);
        match (alike.next(), alike.next()) {
            (Some(id), None) => Ok((*id).clone()),
            (Some(_), Some(_)) => Err(format!("{name} is not one network: see distcc --networks")),
            _ => Err(format!("there is no network {name}: see distcc --networks")),
        }
    }

    /// Every network this machine is on or was on. `n_hosts` counts the hosts of the network of
    /// this name.
    pub(super) fn list(&self, n_hosts: impl Fn(&str) -> u32) -> NetworksAnswer {
        let nothing = KnownNetworks::default();
        let known = self.known.as_ref().unwrap_or(&nothing);
        let mut lines: Vec<NetworkLine> = Vec::new();
        for network in &self.networks {
            let line = self.line_of(network, known, &n_hosts);
            // A machine may be on one network by cable and by air.
            match lines.iter_mut().find(|known| known.name == line.name) {
                Some(known) => known.interfaces.extend(line.interfaces),
                None => lines.push(line),
            }
        }
        let elsewhere = known.networks.iter().filter(|it| {
            !self.networks.iter().any(|here| known.get(&here.id).is_some_and(|here| here == *it))
        });
        lines.extend(elsewhere.map(|network| {
            let name = network.id.to_string();
            let (hosts, interfaces) = (n_hosts(&name), Vec::new());
            let (trusted, reason) = (network.trusted, network.reason.clone());
            NetworkLine { name, interfaces, trusted, hosts, reason }
        }));
        let problems = self.known.as_ref().err().cloned().into_iter().collect();
        NetworksAnswer { lines, trust_all: known.trust_all, problems }
    }

    fn line_of(
        &self,
        network: &Network,
        known: &KnownNetworks,
        n_hosts: impl Fn(&str) -> u32,
    ) -> NetworkLine {
        let remembered = known.get(&network.id);
        let is_first = network.id.is_bare() && self.first().contains(&network.index);
        let reason = match remembered {
            Some(remembered) => remembered.reason.clone(),
            None if is_first => FIRST_USED.to_owned(),
            None if !network.id.is_identified() => why_untold(&network.id).to_owned(),
            None if self.stamp.is_none() => "the first one used will be".to_owned(),
            None => "new network".to_owned(),
        };
        NetworkLine {
            name: network.name.0.clone(),
            interfaces: vec![network.interface.clone()],
            trusted: is_first || remembered.is_some_and(|remembered| remembered.trusted),
            hosts: n_hosts(&network.name.0),
            reason,
        }
    }

    /// Changes what is known, on disk first: what a later agent would not know counts for nothing.
    fn change(&mut self, change: impl FnOnce(&mut KnownNetworks)) -> Result<(), String> {
        let known = self.known.as_ref().map_err(String::clone)?;
        let mut changed = known.clone();
        change(&mut changed);
        if changed == *known && self.stamp.is_some() {
            return Ok(());
        }
        if let Err(error) = self.write(&changed) {
            let problem = format!("cannot write {}: {error}", self.file.display());
            if self.unwritten.is_none() {
                warn!(problem, "cannot remember networks");
            }
            self.unwritten = Some(problem.clone());
            return Err(problem);
        }
        self.known = Ok(changed);
        self.stamp = self.stamp_now();
        self.unwritten = None;
        Ok(())
    }

    fn write(&self, known: &KnownNetworks) -> io::Result<()> {
        let text = known.render().map_err(io::Error::other)?;
        let mut file = NamedTempFile::new_in(self.file.parent().unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.persist(&self.file).map_err(|e| e.error)?;
        Ok(())
    }

    fn stamp_now(&self) -> Option<FileStamp> {
        fs::metadata(&self.file).ok().map(|meta| stamp(&meta))
    }

    fn read(&mut self) {
        self.stamp = self.stamp_now();
        let origin = self.file.display().to_string();
        self.known = match fs::read_to_string(&self.file) {
            Ok(text) => KnownNetworks::parse(&text, &origin)
                .map_err(|problem| format!("{problem}; no network is trusted meanwhile")),
            Err(error) if is_absent(&error) => Ok(KnownNetworks::default()),
            Err(error) => Err(format!("{origin}: {error}; no network is trusted meanwhile")),
        };
        if let Err(problem) = &self.known {
            warn!(problem, "cannot tell which networks are trusted");
        }
    }
}

fn why_untold(id: &NetworkId) -> &'static str {
    if id.is_bare() { "it has only link-local addresses" } else { "its gateway does not answer" }
}
