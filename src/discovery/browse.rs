//! Browsing for other machines: one task round the mDNS library, which drains it promptly, asks
//! anew now and then, and hands on what [`judge`] lets through.

use std::array;
use std::collections::VecDeque;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mdns_sd::{
    DaemonEvent, IfKind, IfPredicate, Receiver, ResolvedService, ScopedIp, ServiceDaemon,
    ServiceEvent,
};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{Instrument, debug, info_span, warn};

use super::advertise::{ADDRESS_CHECK, MDNS_PORT};
use super::heard::{Heard, Resolved, instance_of, judge};
use super::instances::{Instances, MAX_INSTANCES};
use super::interfaces::{self, Interface, Kind, KindCache};
use super::{Reach, SERVICE_TYPE, escape};

/// The library's events taken out of its queue at most before they are looked at.
const MAX_EVENTS: usize = 4 * MAX_INSTANCES;
/// The library asks at 1, 3, 7, ... s and after an hour only once an hour; a machine behind a switch
/// that was off for two minutes would not be found again for that long.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// The same while nobody uses what is found: each question costs the library's thread something for
/// each host on the link.
const ASK_AT_REST: Duration = Duration::from_secs(120);
/// New addresses come in groups; after the first one, this long is waited for the others.
const SETTLE: Duration = Duration::from_millis(200);
/// An instance that the cache no longer replayed at the last question is gone, but only if the
/// replay had this long to arrive.
const REPLAY_TIME: Duration = Duration::from_secs(5);
/// Before a library that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// The library's cache has no bound of its own; when a flood has filled it to this many records,
/// its thread is replaced. Five hundred real instances make about 3000.
const MAX_CACHED: i64 = 8000;

/// When it is asked again after a start: a responder that has just answered somebody else says
/// nothing for a second (RFC 6762, section 6), and a first compile does not wait much longer. The
/// library puts each question off by 20 to 120 ms, and its own next one is a second away.
const COLD: [Duration; 3] =
    [Duration::from_millis(330), Duration::from_millis(640), Duration::from_millis(950)];

/// Browses until dropped.
pub(crate) struct Browser {
    task: AbortHandle,
    signals: Arc<Signals>,
}

impl Browser {
    /// Starts browsing on the current tokio runtime, on every link to neighbours and on loopback.
    pub(crate) fn start() -> (Self, mpsc::Receiver<Heard>) {
        Self::start_on_port(Reach::Lan, MDNS_PORT)
    }

    /// Asks the network anew, because this machine has slept or come to another.
    pub(crate) fn ask_now(&self) {
        self.signals.ask.notify_one();
    }

    /// Somebody uses what is found: the network is asked every half a minute, and now if it was not
    /// for longer.
    pub(crate) fn is_used(&self) {
        self.signals.used.notify_one();
    }

    fn start_on_port(reach: Reach, mdns_port: u16) -> (Self, mpsc::Receiver<Heard>) {
        let (events, heard) = mpsc::channel(64);
        let signals = Arc::new(Signals::default());
        let listener = Listener::new(reach, mdns_port, Arc::clone(&signals));
        let task = tokio::spawn(listener.run(events).instrument(info_span!("browser")));
        (Self { task: task.abort_handle(), signals }, heard)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The library's thread with one subscription; ends with this value.
struct Subscription {
    daemon: ServiceDaemon,
    changes: Receiver<DaemonEvent>,
    services: Receiver<ServiceEvent>,
}

impl Subscription {
    fn start(reach: Reach, mdns_port: u16) -> Result<Self, mdns_sd::Error> {
        let daemon = ServiceDaemon::new_with_port(mdns_port)?;
        let kinds = KindCache::default();
        let wanted = IfPredicate::new(move |interface| match kinds.kind(interface) {
            Kind::Loopback => true,
            Kind::Link => reach == Reach::Lan,
            Kind::Virtual => false,
        });
        let subscribe = || {
            let changes = daemon.monitor()?;
            daemon.disable_interface(IfKind::All)?;
            daemon.enable_interface(IfKind::Predicate(wanted))?;
            daemon.set_ip_check_interval(ADDRESS_CHECK)?;
            Ok((changes, daemon.browse(SERVICE_TYPE)?))
        };
        match subscribe() {
            Ok((changes, services)) => Ok(Self { daemon, changes, services }),
            Err(error) => {
                let _ = daemon.shutdown();
                Err(error)
            }
        }
    }

    /// Records in the library's cache.
    async fn n_cached(&self) -> i64 {
        let Ok(answer) = self.daemon.get_metrics() else { return 0 };
        let Ok(Ok(metrics)) = timeout(PAUSE, answer.recv_async()).await else { return 0 };
        metrics.iter().filter(|(name, _)| name.starts_with("cached-")).map(|(_, n)| n).sum()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}

/// What the browsing task is told.
#[derive(Default)]
struct Signals {
    ask: Notify,
    used: Notify,
}

/// The browsing task's state.
struct Listener {
    reach: Reach,
    mdns_port: u16,
    interfaces: Vec<Interface>,
    instances: Instances,
    asked: Instant,
    ask_at: Instant,
    /// Questions of the first second still to be asked.
    cold: array::IntoIter<Instant, 3>,
    signals: Arc<Signals>,
    /// Since the last question somebody has used what was found.
    used: bool,
}

impl Listener {
    fn new(reach: Reach, mdns_port: u16, signals: Arc<Signals>) -> Self {
        let now = Instant::now();
        Self {
            reach,
            mdns_port,
            interfaces: Vec::new(),
            instances: Instances::default(),
            asked: now,
            ask_at: now,
            cold: [now; 3].into_iter(),
            signals,
            used: false,
        }
    }

    async fn run(mut self, heard: mpsc::Sender<Heard>) {
        while !heard.is_closed() {
            match Subscription::start(self.reach, self.mdns_port) {
                Ok(mut subscription) => {
                    self.begin();
                    self.listen(&mut subscription, &heard).await;
                }
                Err(error) => warn!(%error, "cannot browse"),
            }
            sleep(PAUSE).await;
        }
    }

    /// A question goes out with every new thread.
    fn begin(&mut self) {
        self.interfaces = interfaces::list();
        self.instances.generation += 1;
        let now = Instant::now();
        self.cold = COLD.map(|after| now + after).into_iter();
        self.has_asked(now);
    }

    fn has_asked(&mut self, now: Instant) {
        self.asked = now;
        let pause = if mem::take(&mut self.used) { ASK_AGAIN } else { ASK_AT_REST };
        self.ask_at = self.cold.next().unwrap_or(now + pause);
    }

    fn is_used(&mut self) {
        self.used = true;
        self.ask_at = self.ask_at.min(self.asked + ASK_AGAIN);
    }

    /// Returns when the library's thread has to be replaced or nobody listens to us any more.
    async fn listen(&mut self, subscription: &mut Subscription, heard: &mpsc::Sender<Heard>) {
        loop {
            tokio::select! {
                event = subscription.services.recv_async() => match event {
                    Ok(event) => self.notice_all(event, &subscription.services),
                    // More was heard, or replayed, than the library's queue holds. Its cache would
                    // overflow the next subscription too, so it has to go.
                    Err(_) => {
                        warn!("too much heard at once, forgetting all");
                        return;
                    }
                },
                change = subscription.changes.recv_async() => match change {
                    Ok(change) => self.notice_change(&change),
                    Err(_) => match subscription.daemon.monitor() {
                        Ok(changes) => {
                            subscription.changes = changes;
                            sleep(SETTLE).await;
                        }
                        Err(_) => return,
                    },
                },
                () = sleep_until(self.ask_at) => {
                    if subscription.n_cached().await > MAX_CACHED {
                        warn!("too many records heard, forgetting all");
                        return;
                    }
                    if !self.ask_again(subscription) {
                        return;
                    }
                }
                () = self.signals.ask.notified() => self.ask_by(Duration::ZERO),
                () = self.signals.used.notified() => self.is_used(),
                permit = heard.reserve(), if self.instances.has_news() => match permit {
                    Ok(permit) => {
                        if let Some(news) = self.instances.next() {
                            permit.send(news);
                        }
                    }
                    Err(_) => return,
                },
                () = heard.closed() => return,
            }
        }
    }

    fn ask_by(&mut self, delay: Duration) {
        self.ask_at = self.ask_at.min(Instant::now() + delay);
    }

    /// Subscribes anew, which asks the network and replays what the library has cached. False if
    /// the library's thread is gone.
    fn ask_again(&mut self, subscription: &mut Subscription) -> bool {
        let now = Instant::now();
        self.drain(subscription);
        self.interfaces = interfaces::list();
        let services = match subscription.daemon.browse(SERVICE_TYPE) {
            Ok(services) => services,
            Err(mdns_sd::Error::Again) => {
                self.ask_at = now + PAUSE;
                return true;
            }
            Err(_) => return false,
        };
        if now.duration_since(self.asked) >= REPLAY_TIME {
            // A goodbye or an expiry can get lost in the library when a service has a sub-type.
            self.instances.sweep();
        }
        self.instances.generation += 1;
        self.has_asked(now);
        subscription.services = services;
        true
    }

    fn drain(&mut self, subscription: &Subscription) {
        while let Ok(event) = subscription.services.try_recv() {
            self.notice(event);
        }
    }

    /// Takes in what has come, and first of all empties the queue again and again: a replay of five
    /// hundred instances fills it, and then the library ends the subscription.
    fn notice_all(&mut self, first: ServiceEvent, services: &Receiver<ServiceEvent>) {
        let mut events = VecDeque::from([first]);
        while let Some(event) = events.pop_front() {
            let room = MAX_EVENTS.saturating_sub(events.len());
            events.extend(services.try_iter().take(room));
            self.notice(event);
        }
    }

    fn notice(&mut self, event: ServiceEvent) {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                match judge(&resolved(&service), &self.interfaces) {
                    Some(peer) => self.instances.up(peer),
                    None => {
                        let instance = escape(service.fullname.as_bytes());
                        debug!(instance, port = service.port, "nothing usable in this record");
                    }
                }
            }
            ServiceEvent::ServiceRemoved(_, fullname) => {
                if let Some(instance) = instance_of(&fullname) {
                    self.instances.gone(&instance);
                }
            }
            _ => {}
        }
    }

    fn notice_change(&mut self, change: &DaemonEvent) {
        match change {
            // When one of two links goes down, the library drops what it heard there first, though
            // the machine may be reached over the other link still.
            DaemonEvent::IpAdd(_) | DaemonEvent::IpDel(_) => {
                self.interfaces = interfaces::list();
                self.ask_by(SETTLE);
            }
            DaemonEvent::Error(error) => warn!(%error, "mDNS browser"),
            _ => {}
        }
    }
}

fn resolved(service: &ResolvedService) -> Resolved<'_> {
    let mut addrs: Vec<(IpAddr, u32)> = Vec::new();
    for addr in service.get_addresses() {
        match addr {
            ScopedIp::V4(v4) => {
                let heard_on = v4.interface_ids().iter();
                addrs.extend(heard_on.map(|interface| (IpAddr::V4(*v4.addr()), interface.index)));
            }
            ScopedIp::V6(v6) => addrs.push((IpAddr::V6(*v6.addr()), v6.scope_id().index)),
            _ => {}
        }
    }
    let txt = service.get_properties().iter();
    Resolved {
        fullname: service.get_fullname(),
        host: service.get_hostname(),
        port: service.get_port(),
        addrs,
        txt: txt.map(|property| (property.key(), property.val().unwrap_or_default())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};

    use super::*;
    use crate::base::node::NodeId;
    use crate::discovery::advertise::{AdvertisedService, Advertiser};
    use crate::discovery::txt::Advert;

    #[tokio::test]
    async fn asks_less_often_while_nobody_uses_what_is_found() {
        let mut listener = Listener::new(Reach::Lan, MDNS_PORT, Arc::new(Signals::default()));
        for _ in 0..COLD.len() {
            listener.has_asked(Instant::now());
        }
        let pause = |listener: &mut Listener| {
            let now = Instant::now();
            listener.has_asked(now);
            listener.ask_at - now
        };
        assert_eq!(pause(&mut listener), ASK_AT_REST);
        listener.is_used();
        assert_eq!(listener.ask_at, listener.asked + ASK_AGAIN);
        assert_eq!(pause(&mut listener), ASK_AGAIN);
        assert_eq!(pause(&mut listener), ASK_AT_REST);
    }

    fn service(id: u32, jobs: u16) -> AdvertisedService {
        let advert = Advert {
            id: NodeId(id),
            cpus: 2,
            cores: 2,
            jobs,
            distcc: "0".to_owned(),
            gnuhost: String::new(),
            cc: None,
            feat: Vec::new(),
            compilers: Vec::new(),
        };
        AdvertisedService {
            host: "Unit.example".to_owned(),
            port: 3632,
            tag: advert.id,
            advert: Some(advert),
            reach: Reach::ThisMachine,
            filter: Arc::new(|addr, _| addr.is_ipv4()),
        }
    }

    /// A UDP port that is free now, for mDNS apart from the machine's own.
    fn free_port() -> u16 {
        UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    /// The next event for which `wanted` holds.
    async fn wait_for(heard: &mut mpsc::Receiver<Heard>, wanted: impl Fn(&Heard) -> bool) -> Heard {
        let next = async {
            loop {
                let event = heard.recv().await.expect("the browser runs");
                if wanted(&event) {
                    return event;
                }
            }
        };
        timeout(Duration::from_secs(30), next).await.expect("heard within 30 s")
    }

    fn says_jobs(event: &Heard, jobs: u16) -> bool {
        matches!(event, Heard::Up(peer) if peer.txt.jobs == Some(jobs))
    }

    #[tokio::test]
    async fn machine_finds_itself_over_loopback() {
        let mdns_port = free_port();
        let advertiser = Advertiser::start_on_port(service(0x0abc_def0, 4), mdns_port).unwrap();
        let (_browser, mut heard) = Browser::start_on_port(Reach::ThisMachine, mdns_port);

        let up = wait_for(&mut heard, |event| says_jobs(event, 4)).await;
        let Heard::Up(peer) = up else { unreachable!() };
        assert_eq!((peer.instance.as_str(), peer.host.as_str()), ("distcc@unit", "unit-0abcdef0"));
        let addrs: Vec<SocketAddr> = peer.addrs.iter().map(|heard| heard.addr).collect();
        assert_eq!(addrs, ["127.0.0.1:3632".parse().unwrap()]);

        advertiser.update(service(0x0abc_def0, 7).advert.unwrap()).await;
        wait_for(&mut heard, |event| says_jobs(event, 7)).await;

        advertiser.withdraw().await;
        let gone = Heard::Gone { instance: "distcc@unit".to_owned() };
        wait_for(&mut heard, |event| *event == gone).await;
    }
}
