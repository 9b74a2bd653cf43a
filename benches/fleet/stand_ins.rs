//! The fleet: one real daemon and many that only seem to be there. Each has an address, an id and
//! records like the real one's, and answers a hello as the real one does, but for the id; jobs it
//! passes on to the real one. A process of its own, on a machine of its own.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};

/// The word that makes this program the fleet.
pub(crate) const FLEET: &str = "--fleet";
/// What it says when every daemon of it is advertised.
pub(crate) const READY: &str = "ready";
/// The stand-ins' addresses. The machine must take all of the prefix for its own.
pub(crate) const PREFIX: &str = "10.77.4.0/22";
/// Where the real daemon listens.
pub(crate) const REAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2)), 4000);
/// Where all others do.
const PORT: u16 = 3632;

const SERVICE_TYPE: &str = "_distcc._tcp.local.";
/// A hello and its answer, see `src/wire/hello.rs`.
const HELLO: &[u8; 12] = b"DIST000000c1";
/// In an answer, behind two tokens: the id, and then the generation.
const ID: std::ops::Range<usize> = 24..28;
const GENERATION: std::ops::Range<usize> = 28..36;
/// Responders that share the stand-ins. Each puts its answers off by a time of its own, as machines
/// do; one for each stand-in would keep the processors busy with what they hear of each other.
const N_RESPONDERS: usize = 25;
/// How long the real daemon may take to show itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does what the arguments say until it is killed.
pub(crate) fn run(n_stand_ins: &str) -> io::Result<()> {
    let n_stand_ins: u32 = n_stand_ins.parse().map_err(io::Error::other)?;
    let answer = real_answer()?;
    let responders = (0..N_RESPONDERS).map(|_| ServiceDaemon::new());
    let responders: Vec<_> = responders.collect::<Result<_, _>>().map_err(io::Error::other)?;
    let real = real_record(&responders[0])?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    for (n, responder) in (0..n_stand_ins).zip(responders.iter().cycle()) {
        register(responder, &real, n)?;
    }
    println!("{READY}");
    for connection in listener.incoming() {
        let (connection, answer) = (connection?, answer.clone());
        thread::spawn(move || serve(connection, answer));
    }
    Ok(())
}

/// The stand-in that has this address, and its id.
fn addr_of(n: u32) -> Ipv4Addr {
    let [a, b, c, d] = (n / 250 * 256 + n % 250 + 1).to_be_bytes();
    Ipv4Addr::new(10 + a, 77 + b, 4 + c, d)
}

fn id_of(addr: Ipv4Addr) -> u32 {
    u32::from(addr)
}

/// What the real daemon answers to a hello.
fn real_answer() -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(REAL)?;
    stream.write_all(HELLO)?;
    let mut answer = vec![0; ID.start];
    stream.read_exact(&mut answer)?;
    let len = answer.get(ID.start - 8..).and_then(|hex| std::str::from_utf8(hex).ok());
    let len = len.and_then(|hex| usize::from_str_radix(hex, 16).ok());
    let len = len.ok_or_else(|| io::Error::other("the real daemon's answer is none of a hello"))?;
    answer.resize(ID.start + len, 0);
    stream.read_exact(&mut answer[ID.start..])?;
    Ok(answer)
}

/// What the real daemon advertises.
fn real_record(daemon: &ServiceDaemon) -> io::Result<Box<ResolvedService>> {
    let heard = daemon.browse(SERVICE_TYPE).map_err(io::Error::other)?;
    let deadline = Instant::now() + PATIENCE;
    let record = loop {
        match heard.recv_deadline(deadline).map_err(io::Error::other)? {
            ServiceEvent::ServiceResolved(record)
                if record.port == REAL.port() && record.get_property_val_str("id").is_some() =>
            {
                break record;
            }
            _ => {}
        }
    };
    daemon.stop_browse(SERVICE_TYPE).map_err(io::Error::other)?;
    Ok(record)
}

/// The same for a stand-in.
fn register(daemon: &ServiceDaemon, real: &ResolvedService, n: u32) -> io::Result<()> {
    let addr = addr_of(n);
    let txt = real.get_properties().iter();
    let mut txt: HashMap<String, String> =
        txt.map(|property| (property.key().to_owned(), property.val_str().to_owned())).collect();
    txt.insert("id".to_owned(), format!("{:08x}", id_of(addr)));
    let ty = real.get_subtype().clone().unwrap_or_else(|| SERVICE_TYPE.to_owned());
    let (instance, host) = (format!("distcc@n{n}"), format!("n{n}-fleet.local."));
    let service = ServiceInfo::new(&ty, &instance, &host, IpAddr::V4(addr), PORT, txt);
    let mut service = service.map_err(io::Error::other)?;
    // All names are different.
    service.set_requires_probe(false);
    loop {
        match daemon.register(service.clone()) {
            Err(mdns_sd::Error::Again) => thread::sleep(Duration::from_millis(10)),
            registered => return registered.map_err(io::Error::other),
        }
    }
}

fn serve(mut connection: TcpStream, mut answer: Vec<u8>) -> io::Result<()> {
    let mut head = [0; HELLO.len()];
    connection.read_exact(&mut head)?;
    if head == *HELLO {
        let IpAddr::V4(addr) = connection.local_addr()?.ip() else { return Ok(()) };
        answer[ID].copy_from_slice(&id_of(addr).to_le_bytes());
        answer[GENERATION][..4].copy_from_slice(&addr.octets());
        return connection.write_all(&answer);
    }
    let mut real = TcpStream::connect(REAL)?;
    real.write_all(&head)?;
    let (mut from, mut to) = (connection.try_clone()?, real.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    io::copy(&mut real, &mut connection).map(drop)
}
