//! Host names where addresses may stand: resolved once, at the start.

use std::io;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};

use super::UsageError;

/// Every address of the host, of both families.
pub(crate) fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = Vec::new();
    for socket in (name, 0).to_socket_addrs()? {
        let addr = socket.ip().to_canonical();
        if !found.contains(&addr) {
            found.push(addr);
        }
    }
    Ok(found)
}

/// What the values of `--listen` stand for. Of a name's addresses those count that are this
/// machine's: `localhost` means `::1` too, which some machines do not have.
pub(super) fn to_listen_on(texts: &[String]) -> Result<Vec<IpAddr>, UsageError> {
    let mut listen = Vec::new();
    for text in texts {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(addr) = bare.parse() {
            listen.push(addr);
            continue;
        }
        let found = addresses(text).map_err(|error| {
            UsageError::of(format!(
                "--listen {text}: expected an address or a host name with one: {error}"
            ))
        })?;
        let own: Vec<IpAddr> = found.iter().copied().filter(|addr| is_own(*addr)).collect();
        // If none is, the attempt to listen there will say so.
        listen.extend(if own.is_empty() { found } else { own });
    }
    Ok(listen)
}

fn is_own(addr: IpAddr) -> bool {
    UdpSocket::bind((addr, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_stands_for_its_addresses() {
        let listen = |text: &str| to_listen_on(&[text.to_owned()]);
        let local = listen("localhost").unwrap();
        assert!(local.contains(&"127.0.0.1".parse().unwrap()), "{local:?}");
        assert!(local.iter().all(|addr| addr.is_loopback()), "{local:?}");
        assert_eq!(listen("[::1]").unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        let error = listen("a..b").unwrap_err().to_string();
        assert!(error.starts_with("--listen a..b: expected an address or a host name"), "{error}");
    }
}
