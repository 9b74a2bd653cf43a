//! Socket addresses in our messages, with the scope of a link-local one: serde's own form has only
//! address and port, and without its interface `fe80::1` is nobody's address.
//!
//! For `#[serde(with = "scoped")]`, and `scoped::maybe` for one that may be missing.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
struct Scoped {
    addr: SocketAddr,
    scope: u32,
}

impl From<SocketAddr> for Scoped {
    fn from(addr: SocketAddr) -> Self {
        let scope = match addr {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(addr) => addr.scope_id(),
        };
        Self { addr, scope }
    }
}

impl From<Scoped> for SocketAddr {
    fn from(mut scoped: Scoped) -> Self {
        if let Self::V6(addr) = &mut scoped.addr {
            addr.set_scope_id(scoped.scope);
        }
        scoped.addr
    }
}

pub(super) fn serialize<S: Serializer>(addrs: &[SocketAddr], to: S) -> Result<S::Ok, S::Error> {
    addrs.iter().copied().map(Scoped::from).collect::<Vec<_>>().serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    let addrs = Vec::<Scoped>::deserialize(from)?;
    Ok(addrs.into_iter().map(SocketAddr::from).collect())
}

pub(super) mod maybe {
    use super::*;

    pub(in crate::wire) fn serialize<S: Serializer>(
        addr: &Option<SocketAddr>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        addr.map(Scoped::from).serialize(to)
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        Ok(Option::<Scoped>::deserialize(from)?.map(SocketAddr::from))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use crate::wire::codec;
    use crate::wire::control::{Placement, Transfer};

    #[test]
    fn a_link_local_address_keeps_its_interface() {
        let link_local = SocketAddrV6::new("fe80::1".parse().unwrap(), 3632, 0, 2).into();
        let addrs =
            vec![link_local, "10.77.0.2:3632".parse().unwrap(), "[fd77::2]:1".parse().unwrap()];
        let place = Placement {
            key: 7,
            host: "h2".to_owned(),
            addrs,
            protocol: 1,
            compiler: b"gcc".to_vec(),
            ident: None,
            target: String::new(),
            foreign: false,
            maker: "gcc 12.2.0".into(),
            ours: true,
            gives_reasons: false,
            refused_words: Vec::new(),
            ssh: None,
            warnings: Vec::new(),
            slot: 0,
            local_slot: 0,
        };
        let bytes = codec::encode(&place).unwrap();
        assert_eq!(codec::decode::<Placement>(&bytes).unwrap(), place);
        for addr in [None, Some(link_local)] {
            let transfer = Transfer { addr, ..Transfer::default() };
            let bytes = codec::encode(&transfer).unwrap();
            assert_eq!(codec::decode::<Transfer>(&bytes).unwrap(), transfer);
        }
    }
}
