//! What the network is told of us, kept in step with the compilers.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use nix::unistd::gethostname;
use tokio::sync::watch;

use super::hello::FEATURES;
use crate::daemon::compilers::Inventory;
use crate::daemon::life::state;
use crate::daemon::server::{Identity, Phase, reached};
use crate::discovery::advertise::{AdvertisedService, Advertiser};
use crate::discovery::interfaces::Kind;
use crate::discovery::txt::Advert;
use crate::discovery::{Error, Reach, interfaces};
use crate::policy::access::AccessList;
use crate::settings::daemon::host_triple;
use crate::sys::cores;

/// Where we can be reached, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Reachability {
    /// TCP port.
    pub(crate) port: u16,
    /// Addresses listened on; empty: all.
    pub(crate) listen: Vec<IpAddr>,
    /// Who may connect.
    pub(crate) access: AccessList,
}

impl Reachability {
    fn reach(&self) -> Reach {
        let only_here = !self.listen.is_empty() && self.listen.iter().all(IpAddr::is_loopback);
        if only_here { Reach::ThisMachine } else { Reach::Lan }
    }

    /// Is there an address now that is worth advertising? A daemon without one is found by nobody.
    pub(crate) fn can_be_found(&self) -> bool {
        let wanted = match self.reach() {
            Reach::Lan => Kind::Link,
            Reach::ThisMachine => Kind::Loopback,
        };
        interfaces::list().iter().any(|here| {
            here.kind == wanted
                && !interfaces::is_link_local_v6(here.addr)
                && self.is_useful(here.addr, &here.name)
        })
    }

    /// Is this address of the interface worth advertising: do we listen there, and may a
    /// neighbour connect?
    fn is_useful(&self, addr: IpAddr, interface: &str) -> bool {
        let is_listened_on = self.listen.is_empty()
            || self.listen.iter().any(|own| own.is_unspecified() || *own == addr);
        is_listened_on
            && interfaces::list()
                .iter()
                .filter(|here| here.name == interface && here.addr == addr)
                .any(|here| self.access.would_admit_neighbour(addr, here.prefix_len))
    }
}

fn describe(identity: &Identity, inventory: &Inventory) -> Advert {
    let offered: Vec<_> = inventory.found.iter().map(|found| found.offered.clone()).collect();
    let advert = Advert {
        id: identity.id,
        cpus: cores::online(),
        cores: identity.cores,
        jobs: identity.jobs,
        distcc: env!("CARGO_PKG_VERSION").to_owned(),
        gnuhost: host_triple(),
        cc: inventory.cc.clone(),
        feat: FEATURES.map(str::to_owned).to_vec(),
        compilers: Vec::new(),
    };
    advert.with_compilers(&offered)
}

/// Begins to claim our name, which takes most of a second, before the compilers are known. Should
/// they take longer still, what is announced is empty: nobody is to judge us by less than all. To
/// be called on the runtime.
pub(crate) fn start(identity: &Identity, reachability: Reachability) -> Result<Advertiser, Error> {
    let host =
        gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned());
    let reach = reachability.reach();
    let port = reachability.port;
    let filter = move |addr: IpAddr, interface: &str| reachability.is_useful(addr, interface);
    Advertiser::start(AdvertisedService {
        host,
        port,
        // Without a source of random numbers, ids that are not cloned will do.
        tag: state::random_id().unwrap_or(identity.id),
        advert: None,
        reach,
        filter: Arc::new(filter),
    })
}

/// Follows the compilers until the daemon drains, and then says goodbye.
pub(crate) async fn follow(
    advertiser: Advertiser,
    identity: Identity,
    mut inventory: watch::Receiver<Arc<Inventory>>,
    phase: watch::Receiver<Phase>,
) {
    let mut draining = pin!(reached(&phase, Phase::Draining));
    loop {
        let advert = describe(&identity, &inventory.borrow_and_update());
        advertiser.update(advert).await;
        tokio::select! {
            () = &mut draining => break,
            changed = inventory.changed() => {
                if changed.is_err() {
                    break;
                }
            }
        }
    }
    advertiser.withdraw().await;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn reachability(listen: &[&str]) -> Reachability {
        Reachability {
            port: 3632,
            listen: listen.iter().map(|addr| addr.parse().unwrap()).collect(),
            access: AccessList::new(Vec::new(), false),
        }
    }

    #[test]
    fn loopback_is_advertised_only_when_nothing_else_is_served() {
        for (listen, expected) in [
            (&[][..], Reach::Lan),
            (&["127.0.0.1"], Reach::ThisMachine),
            (&["127.0.0.1", "::1"], Reach::ThisMachine),
            (&["127.0.0.1", "10.0.0.1"], Reach::Lan),
        ] {
            assert_eq!(reachability(listen).reach(), expected, "{listen:?}");
        }
    }

    #[test]
    fn a_daemon_that_serves_no_neighbour_cannot_be_found() {
        let elsewhere = AccessList::new(vec!["203.0.113.0/24".parse().unwrap()], false);
        assert!(!Reachability { access: elsewhere, ..reachability(&[]) }.can_be_found());
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let there = interfaces::list().iter().any(|here| here.addr == loopback);
        assert_eq!(reachability(&["127.0.0.1"]).can_be_found(), there);
    }

    #[test]
    fn an_address_that_is_not_listened_on_is_not_advertised() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let Some(here) = interfaces::list().into_iter().find(|here| here.addr == loopback) else {
            println!("SKIPPED: no loopback interface");
            return;
        };
        assert!(reachability(&["127.0.0.1"]).is_useful(loopback, &here.name));
        assert!(reachability(&[]).is_useful(loopback, &here.name));
        assert!(!reachability(&["10.0.0.1"]).is_useful(loopback, &here.name));
        assert!(!reachability(&[]).is_useful(loopback, "no-such-interface"));
    }
}
