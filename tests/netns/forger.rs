//! Multicast DNS of somebody who lies: responses built by hand and sent from any host.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use crate::lab::Host;

const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);
const SERVICE: &str = "_distcc._tcp.local";
/// Types and classes of DNS; the second class says that what others said before is void.
const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const SRV: u16 = 33;
const SHARED: u16 = 1;
const FLUSH: u16 = 0x8001;
/// Seconds for which a forged record is to be believed.
const TTL: u32 = 4500;

/// What is claimed of an instance.
pub(crate) struct Claim<'a> {
    /// `distcc@h2`.
    pub(crate) instance: &'a str,
    /// Its host's name, without `.local`.
    pub(crate) host: &'a str,
    pub(crate) addr: Ipv4Addr,
    pub(crate) port: u16,
    /// `key=value`.
    pub(crate) txt: &'a [&'a str],
}

/// A socket on the host of somebody who lies.
pub(crate) struct Forger(UdpSocket);

impl Forger {
    pub(crate) fn on(host: &Host) -> Self {
        Self(host.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap())
    }

    /// Says that an instance is there.
    pub(crate) fn announce(&self, claim: &Claim<'_>) {
        let instance = instance(claim.instance);
        let txt: Vec<u8> = claim.txt.iter().flat_map(|text| label(text)).collect();
        self.send(&[
            record(&name(SERVICE), PTR, SHARED, TTL, &instance),
            record(&instance, SRV, FLUSH, TTL, &srv(claim)),
            record(&instance, TXT, FLUSH, TTL, &txt),
            record(&host(claim.host), A, FLUSH, TTL, &claim.addr.octets()),
        ]);
    }

    /// Says that an instance of somebody else is where the claim says.
    pub(crate) fn hijack(&self, claim: &Claim<'_>) {
        self.send(&[
            record(&instance(claim.instance), SRV, FLUSH, TTL, &srv(claim)),
            record(&host(claim.host), A, FLUSH, TTL, &claim.addr.octets()),
        ]);
    }

    /// Says goodbye in the name of an instance.
    pub(crate) fn goodbye(&self, of: &str) {
        self.send(&[record(&name(SERVICE), PTR, SHARED, 0, &instance(of))]);
    }

    fn send(&self, records: &[Vec<u8>]) {
        let n_records = u16::try_from(records.len()).unwrap().to_be_bytes();
        let mut packet = vec![0, 0, 0x84, 0, 0, 0, n_records[0], n_records[1], 0, 0, 0, 0];
        packet.extend(records.concat());
        self.0.send_to(&packet, GROUP).unwrap();
    }
}

fn record(name: &[u8], kind: u16, class: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    let mut record = name.to_vec();
    record.extend(kind.to_be_bytes());
    record.extend(class.to_be_bytes());
    record.extend(ttl.to_be_bytes());
    record.extend(len.to_be_bytes());
    record.extend(data);
    record
}

fn srv(claim: &Claim<'_>) -> Vec<u8> {
    let mut data = vec![0; 4];
    data.extend(claim.port.to_be_bytes());
    data.extend(host(claim.host));
    data
}

fn label(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn name(dotted: &str) -> Vec<u8> {
    let mut name: Vec<u8> = dotted.split('.').flat_map(label).collect();
    name.push(0);
    name
}

/// Its label may hold dots.
fn instance(text: &str) -> Vec<u8> {
    [label(text), name(SERVICE)].concat()
}

fn host(text: &str) -> Vec<u8> {
    name(&format!("{text}.local"))
}
