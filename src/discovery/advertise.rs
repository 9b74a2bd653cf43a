//! Advertising this machine: one task round the mDNS library's responder. The library's traps that
//! decide how it is used here are named where they do.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mdns_sd::{
    DaemonEvent, DnsNameChange, IfKind, IfPredicate, Receiver, ServiceDaemon, ServiceInfo,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{Instrument, debug, info, info_span, warn};

use super::heard::instance_of;
use super::interfaces::{self, Kind, KindCache, is_link_local_v6};
use super::txt::{Advert, encode};
use super::{Error, Reach, SERVICE_TYPE, escape};
use crate::base::node::NodeId;

/// The port of multicast DNS (RFC 6762).
pub(super) const MDNS_PORT: u16 = 5353;
/// The library looks for changed addresses that often, in seconds; its default is 5.
pub(super) const ADDRESS_CHECK: u32 = 1;
/// Records are announced again that often. Others drop us 120 s after the last announcement that
/// reached them, and a browser that lost us finds us no sooner by itself.
const HEARTBEAT: Duration = Duration::from_secs(45);
/// Once one link is announced on, the others have had time to finish probing.
const PROBED: Duration = Duration::from_millis(500);
/// After a start or a change, the second announcement (RFC 6762 8.3 wants one a second later).
const SECOND_ANNOUNCEMENT: Duration = Duration::from_secs(2);
/// The library repeats a goodbye after 120 ms; what is registered or ended before is lost with it.
const GOODBYE_REPEATED: Duration = Duration::from_millis(200);
/// For how long an answer of the library is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest host name in an instance's name: a label has 63 bytes, `distcc@` and a conflict's
/// suffix take the rest.
const MAX_HOST: usize = 48;

/// Says for an address and the name of its interface whether it may be advertised.
pub(crate) type AddressFilter = Arc<dyn Fn(IpAddr, &str) -> bool + Send + Sync>;

/// What is advertised.
#[derive(Clone)]
pub(crate) struct AdvertisedService {
    /// This machine's name, as gethostname(2) gives it.
    pub(crate) host: String,
    /// The TCP port that jobs are taken on.
    pub(crate) port: u16,
    /// Random, for the name of the host in the records.
    pub(crate) tag: NodeId,
    /// The record; its `cc` gives the sub-type. None as long as there is nothing to say.
    pub(crate) advert: Option<Advert>,
    /// To whom.
    pub(crate) reach: Reach,
    /// Which of the addresses: those we listen on and on whose prefix someone is allowed.
    pub(crate) filter: AddressFilter,
}

impl AdvertisedService {
    /// The name without domain, in lower case. The library finds a service again only under a
    /// lower-case name, and renames one with a dot in it wrongly.
    fn plain_host(&self) -> String {
        let label = self.host.split('.').next().unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let plain: String = label.chars().take(MAX_HOST).map(plain).collect();
        let plain = plain.trim_matches('-');
        if plain.is_empty() { "host".to_owned() } else { plain.to_owned() }
    }

    fn instance(&self) -> String {
        format!("distcc@{}", self.plain_host())
    }

    /// A name of our own: were it Avahi's, Avahi would rename the machine, and our goodbye would
    /// take the machine's address records away. Not made of the node's id, which a cloned machine
    /// has too: on a busy link the library can miss the conflict, and then the two machines would
    /// be one with the addresses of both.
    fn dns_host(&self) -> String {
        format!("{}-{}.local.", self.plain_host(), self.tag)
    }

    fn subtype(&self) -> Option<String> {
        self.advert.as_ref()?.cc.as_ref().and_then(|cc| cc.subtype())
    }

    fn service_type(&self) -> String {
        match self.subtype() {
            Some(subtype) => format!("{subtype}._sub.{SERVICE_TYPE}"),
            None => SERVICE_TYPE.to_owned(),
        }
    }

    /// Judges addresses for the library.
    fn interfaces(&self) -> IfKind {
        let service = self.clone();
        let kinds = KindCache::default();
        IfKind::Predicate(IfPredicate::new(move |interface| {
            service.wants(interface.ip(), &interface.name, || kinds.kind(interface))
        }))
    }

    /// Is this address to be advertised?
    fn wants(&self, addr: IpAddr, interface: &str, kind: impl FnOnce() -> Kind) -> bool {
        let in_reach = match self.reach {
            Reach::ThisMachine => addr.is_loopback(),
            // A link-local address is announced on every link by the library, and stock clients
            // write it without its scope.
            Reach::Lan => !addr.is_loopback() && !is_link_local_v6(addr) && kind() == Kind::Link,
        };
        in_reach && (self.filter)(addr, interface)
    }

    /// Has this machine an address to advertise now?
    fn has_address(&self) -> bool {
        let mut here = interfaces::list().into_iter();
        here.any(|here| self.wants(here.addr, &here.name, || here.kind))
    }

    fn record(&self, probe: Probe) -> Result<ServiceInfo, Error> {
        let txt = self.advert.as_ref().map(encode).unwrap_or_default();
        let info = ServiceInfo::new(
            &self.service_type(),
            &self.instance(),
            &self.dns_host(),
            "",
            self.port,
            txt.as_slice(),
        );
        let mut info = info
            .map_err(|e| Error::Record { instance: self.instance(), cause: e.to_string() })?
            .enable_addr_auto();
        info.set_interfaces(vec![self.interfaces()]);
        info.set_requires_probe(probe == Probe::First);
        Ok(info)
    }
}

/// Are names probed for conflicts before they are announced?
///
/// On a link where nothing of ours was announced they are: without it, of two machines of one name
/// the last one wins silently. Afterwards they are not: the library would probe each address that
/// is added later, take its own answers under the same name for a conflict, and rename us, again
/// and again while others ask often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    First,
    Skip,
}

#[derive(Debug)]
enum Request {
    Update(Advert),
    Withdraw(oneshot::Sender<()>),
}

/// Advertises this machine until it is withdrawn or dropped.
#[derive(Debug)]
pub(crate) struct Advertiser {
    requests: mpsc::Sender<Request>,
}

impl Advertiser {
    /// Starts the responder and its task on the current tokio runtime. Addresses are followed as
    /// they come and go; that there is none now is no error.
    pub(crate) fn start(service: AdvertisedService) -> Result<Self, Error> {
        Self::start_on_port(service, MDNS_PORT)
    }

    pub(super) fn start_on_port(service: AdvertisedService, mdns_port: u16) -> Result<Self, Error> {
        if service.port == 0 {
            return Err(Error::NoPort);
        }
        let (requests, inbox) = mpsc::channel(8);
        let responder = Responder::start(service, mdns_port)?;
        tokio::spawn(responder.run(inbox).instrument(info_span!("advertiser")));
        Ok(Self { requests })
    }

    /// Replaces what is said of this machine.
    pub(crate) async fn update(&self, advert: Advert) {
        // The task ends only with us.
        let _ = self.requests.send(Request::Update(advert)).await;
    }

    /// Says goodbye; returns when it has been sent twice, or after two seconds.
    pub(crate) async fn withdraw(self) {
        let (done, sent) = oneshot::channel();
        if self.requests.send(Request::Withdraw(done)).await.is_ok() {
            let _ = sent.await;
        }
    }
}

/// The library's thread and what it was told.
struct Responder {
    service: AdvertisedService,
    mdns_port: u16,
    daemon: ServiceDaemon,
    events: Receiver<DaemonEvent>,
    /// The instance's name as it is now: after a conflict not the one that was asked for.
    name: String,
    /// Has an announcement gone out since the thread was started?
    announced: bool,
    next_announcement: Instant,
}

impl Responder {
    fn start(service: AdvertisedService, mdns_port: u16) -> Result<Self, Error> {
        let (daemon, events) = start_daemon(&service, mdns_port)?;
        let name = service.instance();
        let next_announcement = Instant::now() + SECOND_ANNOUNCEMENT;
        Ok(Self { service, mdns_port, daemon, events, name, announced: false, next_announcement })
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                request = inbox.recv() => match request {
                    Some(Request::Update(advert)) => self.update(advert).await,
                    Some(Request::Withdraw(done)) => {
                        self.withdraw().await;
                        let _ = done.send(());
                        return;
                    }
                    None => return self.withdraw().await,
                },
                event = self.events.recv_async() => match event {
                    Ok(event) => self.notice(event),
                    // The library drops a monitor that falls behind, or its thread has ended.
                    Err(_) => self.listen_again().await,
                },
                () = sleep_until(self.next_announcement) => self.announce().await,
            }
        }
    }

    /// Puts the record into force, again if need be, which announces it.
    async fn announce(&mut self) {
        self.next_announcement = Instant::now() + HEARTBEAT;
        let probe = if self.announced { Probe::Skip } else { Probe::First };
        if let Err(error) = self.register(probe).await {
            warn!(%error, "cannot announce this machine");
            self.listen_again().await;
        }
    }

    async fn register(&self, probe: Probe) -> Result<(), Error> {
        // The library's queue holds 100 commands; it is full only when its thread is starved.
        for _ in 0..20 {
            match self.daemon.register(self.service.record(probe)?) {
                Err(mdns_sd::Error::Again) => sleep(Duration::from_millis(50)).await,
                other => return other.map_err(responder_error),
            }
        }
        Err(responder_error(mdns_sd::Error::Again))
    }

    async fn update(&mut self, advert: Advert) {
        if Some(&advert) == self.service.advert.as_ref() {
            return;
        }
        let subtype = self.service.subtype();
        self.service.advert = Some(advert);
        if subtype.is_some() && subtype != self.service.subtype() {
            // Others keep a sub-type for 75 minutes unless it is taken back.
            self.say_goodbye(&self.fullname()).await;
        }
        self.announce().await;
        self.next_announcement = Instant::now() + SECOND_ANNOUNCEMENT;
    }

    fn fullname(&self) -> String {
        format!("{}.{SERVICE_TYPE}", self.service.instance())
    }

    fn notice(&mut self, event: DaemonEvent) {
        match event {
            DaemonEvent::Announce(..) if !self.announced => {
                info!(instance = %self.instance(), "advertising this machine");
                self.announced = true;
                self.next_announcement = Instant::now() + PROBED;
            }
            DaemonEvent::NameChange(change) => self.adopt(&change),
            DaemonEvent::Error(error) => warn!(%error, "mDNS responder"),
            DaemonEvent::IpAdd(addr) => debug!(%addr, "address is new"),
            DaemonEvent::IpDel(addr) => {
                debug!(%addr, "address is gone");
                // The next link may lead to another network, where our names may be taken; the
                // library would believe them ours still.
                if self.announced && !self.service.has_address() {
                    self.restart();
                }
            }
            _ => {}
        }
    }

    fn adopt(&mut self, change: &DnsNameChange) {
        let original = escape(change.original.as_bytes());
        let now = escape(change.new_name.as_bytes());
        let instance = instance_of(&change.new_name);
        if change.original != self.fullname() {
            debug!(%original, %now, interface = %change.intf_name, "name taken, using another");
        } else if instance.as_ref().is_some_and(|instance| *instance != self.instance()) {
            info!(%original, %now, interface = %change.intf_name, "name taken, using another");
            self.name = instance.unwrap_or(now);
        }
    }

    fn instance(&self) -> String {
        self.name.clone()
    }

    /// Listens to the library's thread again, a new one if the old one has ended.
    async fn listen_again(&mut self) {
        sleep(Duration::from_secs(1)).await;
        match self.daemon.monitor() {
            Ok(events) => self.events = events,
            Err(_) => self.restart(),
        }
    }

    /// Begins anew with a thread that knows nothing of names probed before.
    fn restart(&mut self) {
        let _ = self.daemon.shutdown();
        self.announced = false;
        self.next_announcement = Instant::now() + SECOND_ANNOUNCEMENT;
        self.name = self.service.instance();
        match start_daemon(&self.service, self.mdns_port) {
            Ok((daemon, events)) => (self.daemon, self.events) = (daemon, events),
            Err(error) => warn!(%error, "cannot restart the mDNS responder"),
        }
    }

    async fn say_goodbye(&self, fullname: &str) {
        let Ok(answer) = self.daemon.unregister(fullname) else { return };
        let _ = timeout(PATIENCE, answer.recv_async()).await;
        sleep(GOODBYE_REPEATED).await;
    }

    async fn withdraw(&self) {
        self.say_goodbye(&self.fullname()).await;
        if let Ok(answer) = self.daemon.shutdown() {
            let _ = timeout(PATIENCE, answer.recv_async()).await;
        }
        info!("no longer advertised");
    }
}

/// The library's thread, restricted to our addresses before it is told of a service.
fn start_daemon(
    service: &AdvertisedService,
    mdns_port: u16,
) -> Result<(ServiceDaemon, Receiver<DaemonEvent>), Error> {
    let record = service.record(Probe::First)?;
    let daemon = ServiceDaemon::new_with_port(mdns_port).map_err(responder_error)?;
    let configure = || {
        let events = daemon.monitor()?;
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(service.interfaces())?;
        daemon.set_ip_check_interval(ADDRESS_CHECK)?;
        daemon.register(record)?;
        Ok(events)
    };
    match configure() {
        Ok(events) => Ok((daemon, events)),
        Err(error) => {
            let _ = daemon.shutdown();
            Err(responder_error(error))
        }
    }
}

fn responder_error(error: mdns_sd::Error) -> Error {
    Error::Responder { cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::inventory::DefaultCompiler;

    fn service(host: &str) -> AdvertisedService {
        let cc = DefaultCompiler { version: "12".into(), machine: "x86_64-linux-gnu".into() };
        let advert = Advert {
            id: NodeId(0xabc),
            cpus: 1,
            cores: 1,
            jobs: 1,
            distcc: String::new(),
            gnuhost: String::new(),
            cc: Some(cc),
            feat: Vec::new(),
            compilers: Vec::new(),
        };
        let filter: AddressFilter = Arc::new(|_, _| true);
        let tag = advert.id;
        let advert = Some(advert);
        AdvertisedService { host: host.into(), port: 1, tag, advert, reach: Reach::Lan, filter }
    }

    #[test]
    fn names_are_lower_case_labels_of_our_own() {
        let long = "x".repeat(300);
        let cases = [
            ("h1", "h1".to_owned()),
            ("Build-Box.example.com", "build-box".to_owned()),
            ("b\u{fc}ro_7", "b-ro-7".to_owned()),
            ("", "host".to_owned()),
            ("...", "host".to_owned()),
            (long.as_str(), "x".repeat(MAX_HOST)),
        ];
        for (host, plain) in cases {
            let service = service(host);
            assert_eq!(service.instance(), format!("distcc@{plain}"));
            assert_eq!(service.dns_host(), format!("{plain}-00000abc.local."));
            assert!(service.record(Probe::First).is_ok());
        }
    }

    #[test]
    fn subtype_stands_before_the_type() {
        let mut service = service("h1");
        assert_eq!(service.service_type(), "_x86-64-linux-gnu--12._sub._distcc._tcp.local.");
        service.advert = None;
        assert_eq!(service.service_type(), SERVICE_TYPE);
    }

    #[tokio::test]
    async fn port_zero_is_refused() {
        let service = AdvertisedService { port: 0, ..service("h1") };
        assert_eq!(Advertiser::start(service).err(), Some(Error::NoPort));
    }
}
