//! The peers of the last time, kept per network: they are asked at once when the agent starts,
//! beside the browse, so that the first compile need not wait for multicast. With them goes what
//! the names of stock peers stood for, so that it need not wait for a probe job either.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::base::node::NodeId;
use crate::discovery::heard::{Heard, HeardAddr, HeardPeer};
use crate::discovery::txt::HeardTxt;
use crate::wire::codec::{self, MAX_MESSAGE};
use crate::wire::control::ToolchainRecord;

/// Peers kept for one network; enough for an office, few enough to ask at once.
const MAX_PEERS: usize = 64;
/// Networks kept; the one used longest ago is forgotten first.
const MAX_NETWORKS: usize = 32;
/// Listed stock hosts kept.
const MAX_LISTED: usize = 64;
/// Compiler names kept of one stock peer.
pub(super) const MAX_NAMES: usize = 16;
/// Of the file; changed with its structs.
const FORMAT: u16 = 2;

/// A peer that answered on some network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RememberedPeer {
    /// As advertised.
    pub(super) instance: String,
    /// Host name as advertised.
    pub(super) host: String,
    /// Address that answered.
    pub(super) addr: SocketAddr,
    /// Interface on which it was heard.
    pub(super) interface: String,
    /// Node id, if it has one.
    pub(super) id: Option<u32>,
    /// As in its TXT record.
    pub(super) cc_version: String,
    /// As in its TXT record.
    pub(super) cc_machine: String,
    /// Of a stock peer.
    pub(super) names: Vec<RememberedName>,
}

/// A stock host that the user listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RememberedHost {
    /// As in the list.
    pub(super) host: String,
    /// As in the list.
    pub(super) port: u16,
    /// What its names stand for.
    pub(super) names: Vec<RememberedName>,
}

/// What a compiler name stood for on a stock peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RememberedName {
    /// `gcc-12`
    pub(super) name: String,
    /// The compiler.
    pub(super) toolchain: ToolchainRecord,
    /// When the peer said so, in seconds since 1970.
    pub(super) learned: u64,
}

impl RememberedPeer {
    /// As if it had been heard.
    pub(super) fn into_heard(self) -> Heard {
        let txt = HeardTxt {
            id: self.id.map(NodeId),
            cc_version: self.cc_version,
            cc_machine: self.cc_machine,
            ..HeardTxt::default()
        };
        Heard::Up(HeardPeer {
            instance: self.instance,
            host: self.host,
            port: self.addr.port(),
            addrs: vec![HeardAddr { addr: self.addr, interface: self.interface }],
            txt,
        })
    }
}

/// What is worth keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Every network that this machine is on, with its peers.
    pub(super) networks: BTreeMap<String, Vec<RememberedPeer>>,
    /// The listed stock hosts.
    pub(super) listed: Vec<RememberedHost>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    format: u16,
    /// Most recently used last.
    networks: Vec<(String, Vec<RememberedPeer>)>,
    listed: Vec<RememberedHost>,
}

/// The peers remembered for any of these networks, each once.
pub(super) fn load(path: &Path, networks: &[String]) -> Vec<RememberedPeer> {
    let contents = read(path);
    let mut peers: Vec<RememberedPeer> = Vec::new();
    for (network, known) in contents.networks {
        if networks.contains(&network) {
            for peer in known {
                if !peers.contains(&peer) {
                    peers.push(peer);
                }
            }
        }
    }
    peers.truncate(MAX_PEERS);
    peers
}

/// The listed stock hosts remembered.
pub(super) fn load_listed(path: &Path) -> Vec<RememberedHost> {
    read(path).listed
}

/// Replaces what is remembered of listed hosts and of these networks.
pub(super) fn store(path: &Path, memory: Memory) -> io::Result<()> {
    let mut contents = read(path);
    contents.networks.retain(|(network, _)| !memory.networks.contains_key(network));
    contents.networks.extend(memory.networks.into_iter().map(|(network, mut peers)| {
        peers.truncate(MAX_PEERS);
        (network, peers)
    }));
    let surplus = contents.networks.len().saturating_sub(MAX_NETWORKS);
    contents.networks.drain(..surplus);
    contents.listed = memory.listed;
    contents.listed.truncate(MAX_LISTED);
    contents.format = FORMAT;
    let dir = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(&encode(contents)?)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// The bytes of the file, which must not become longer than is read again: with hundreds of stock
/// peers, the network used longest ago goes first.
fn encode(mut contents: Contents) -> io::Result<Vec<u8>> {
    loop {
        match codec::encode(&contents) {
            Ok(bytes) if bytes.len() <= MAX_MESSAGE => return Ok(bytes),
            Err(e) if contents.networks.is_empty() => return Err(io::Error::other(e.to_string())),
            Ok(_) if contents.networks.is_empty() => return Err(io::Error::other("too much")),
            _ => drop(contents.networks.remove(0)),
        }
    }
}

/// A file that cannot be read, or of another format, remembers nobody.
fn read(path: &Path) -> Contents {
    let Ok(bytes) = fs::read(path) else { return Contents::default() };
    match codec::decode::<Contents>(&bytes) {
        Ok(contents) if contents.format == FORMAT => contents,
        _ => Contents::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> RememberedPeer {
        RememberedPeer {
            instance: "distcc@b".to_owned(),
            host: "b.local".to_owned(),
            addr: SocketAddr::from(([10, 77, 0, last], 3632)),
            interface: "eth0".to_owned(),
            id: Some(7),
            cc_version: "12".to_owned(),
            cc_machine: "x86_64-linux-gnu".to_owned(),
            names: Vec::new(),
        }
    }

    fn name(name: &str) -> RememberedName {
        let toolchain = ToolchainRecord {
            family: "gcc".to_owned(),
            version: "12.2.0".to_owned(),
            target: "x86_64-linux-gnu".to_owned(),
            assembler: Some("2.40".to_owned()),
            distributor: "Debian".to_owned(),
            revision: "12.2.0-14".to_owned(),
            configure: vec!["--enable-default-pie".to_owned(); 8],
            digest: [0; 16],
            ident: "GCC: (Debian 12.2.0-14) 12.2.0".to_owned(),
        };
        RememberedName { name: name.to_owned(), toolchain, learned: 1_700_000_000 }
    }

    fn all_in(networks: &[String], peers: &[RememberedPeer]) -> Memory {
        let networks = networks.iter().map(|network| (network.clone(), peers.to_vec())).collect();
        Memory { networks, listed: Vec::new() }
    }

    #[test]
    fn remembers_peers_per_network() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers");
        let home = ["192.168.1.0/24".to_owned()];
        let office = ["10.77.0.0/24".to_owned(), "fd77::/64".to_owned()];
        store(&path, all_in(&home, &[peer(1)])).unwrap();
        store(&path, all_in(&office, &[peer(2), peer(3)])).unwrap();
        assert_eq!(load(&path, &home), [peer(1)]);
        assert_eq!(load(&path, &office), [peer(2), peer(3)]);
        store(&path, all_in(&office, &[])).unwrap();
        assert_eq!(load(&path, &office), []);
        assert_eq!(load(&path, &["172.16.0.0/16".to_owned()]), []);
    }

    #[test]
    fn a_damaged_file_remembers_nobody_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers");
        fs::write(&path, b"\x01\x00garbage").unwrap();
        let here = ["10.0.0.0/8".to_owned()];
        assert_eq!(load(&path, &here), []);
        store(&path, all_in(&here, &[peer(1)])).unwrap();
        assert_eq!(load(&path, &here), [peer(1)]);
    }

    #[test]
    fn forgets_the_network_used_longest_ago() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers");
        for n in 0..=MAX_NETWORKS {
            store(&path, all_in(&[format!("net{n}")], &[peer(1)])).unwrap();
        }
        assert_eq!(load(&path, &["net0".to_owned()]), []);
        assert_eq!(load(&path, &["net1".to_owned()]), [peer(1)]);
    }

    #[test]
    fn keeps_the_compilers_of_stock_hosts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers");
        let here = ["10.0.0.0/8".to_owned()];
        let stock = RememberedPeer { names: vec![name("gcc"), name("g++")], ..peer(1) };
        let host = RememberedHost { host: "b".to_owned(), port: 3632, names: vec![name("gcc")] };
        let memory = all_in(&here, std::slice::from_ref(&stock));
        store(&path, Memory { listed: vec![host.clone()], ..memory }).unwrap();
        assert_eq!(load(&path, &here), [stock]);
        assert_eq!(load_listed(&path), [host]);
        store(&path, Memory::default()).unwrap();
        assert_eq!((load(&path, &here).len(), load_listed(&path)), (1, Vec::new()));
    }

    #[test]
    fn never_writes_more_than_it_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peers");
        let names: Vec<RememberedName> =
            (0..MAX_NAMES).map(|n| name(&format!("gcc-{n}"))).collect();
        let peers: Vec<RememberedPeer> =
            (0..64).map(|last| RememberedPeer { names: names.clone(), ..peer(last) }).collect();
        let networks: Vec<String> = (0..12).map(|n| format!("net{n}")).collect();
        store(&path, all_in(&networks, &peers)).unwrap();
        assert_eq!(load(&path, &networks[11..]).len(), 64);
        assert_eq!(load(&path, &networks[..1]).len(), 0);
    }
}
