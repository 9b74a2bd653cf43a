//! The peers of the last time, kept per network: they are asked at once when the agent starts,
//! beside the browse, so that the first compile need not wait for multicast.

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
use crate::wire::codec;

/// Peers kept for one network; enough for an office, few enough to ask at once.
const MAX_PEERS: usize = 64;
/// Networks kept; the one used longest ago is forgotten first.
const MAX_NETWORKS: usize = 32;
/// Of the file; changed with its structs.
const FORMAT: u16 = 1;

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
}

impl RememberedPeer {
    /// As if it had been heard.
    pub(super) fn into_heard(self) -> Heard {
        let txt = HeardTxt { id: self.id.map(NodeId), ..HeardTxt::default() };
        Heard::Up(HeardPeer {
            instance: self.instance,
            host: self.host,
            port: self.addr.port(),
            addrs: vec![HeardAddr { addr: self.addr, interface: self.interface }],
            txt,
        })
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    format: u16,
    /// Most recently used last.
    networks: Vec<(String, Vec<RememberedPeer>)>,
}

/// The peers remembered for any of these networks, each once.
pub(super) fn load(path: &Path, networks: &[String]) -> Vec<RememberedPeer> {
    let memory = read(path);
    let mut peers: Vec<RememberedPeer> = Vec::new();
    for (network, known) in memory.networks {
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

/// Replaces what is remembered for these networks.
pub(super) fn store(
    path: &Path,
    networks: BTreeMap<String, Vec<RememberedPeer>>,
) -> io::Result<()> {
    let mut memory = read(path);
    memory.networks.retain(|(network, _)| !networks.contains_key(network));
    memory.networks.extend(networks.into_iter().map(|(network, mut peers)| {
        peers.truncate(MAX_PEERS);
        (network, peers)
    }));
    let surplus = memory.networks.len().saturating_sub(MAX_NETWORKS);
    memory.networks.drain(..surplus);
    memory.format = FORMAT;
    let bytes = codec::encode(&memory).map_err(|e| io::Error::other(e.to_string()))?;
    let dir = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(&bytes)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// A file that cannot be read, or of another format, remembers nobody.
fn read(path: &Path) -> Memory {
    let Ok(bytes) = fs::read(path) else { return Memory::default() };
    match codec::decode::<Memory>(&bytes) {
        Ok(memory) if memory.format == FORMAT => memory,
        _ => Memory::default(),
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
        }
    }

    fn all_in(
        networks: &[String],
        peers: &[RememberedPeer],
    ) -> BTreeMap<String, Vec<RememberedPeer>> {
        networks.iter().map(|network| (network.clone(), peers.to_vec())).collect()
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
}
