//! Connections that do no job, and jobs beside them.

use std::net::{IpAddr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;

use super::*;
use crate::settings::daemon::ServerLimits;

const WORDS: &str = "cc -c x.c -o x.o";

fn limits(connections: usize, per_address: usize, incomplete: usize) -> ServerLimits {
    ServerLimits {
        connections,
        connections_per_address: per_address,
        incomplete_per_address: incomplete,
        ..ServerLimits::default()
    }
}

/// A connection from an address of its own that has sent `bytes`.
async fn open(from: [u8; 4], to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(from), 0)).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Whole sources in job directories.
fn n_here(daemon: &Running) -> usize {
    daemon.job_files().iter().filter(|len| **len == SOURCE.len() as u64).count()
}

/// Lets jobs that wait at a gate for each other go, in whichever order they come there.
async fn all_compile(jobs: Vec<TcpStream>, gate: &Path) {
    let mut answers = JoinSet::new();
    let n_jobs = jobs.len();
    for mut job in jobs {
        answers.spawn(async move { read_all(&mut job).await });
    }
    for _ in 0..n_jobs {
        open_gate(gate).await;
        let answer = answers.join_next().await.unwrap().unwrap();
        assert!(decode(Protocol::Plain, &answer).0.status.success());
    }
}

async fn compiles(from: [u8; 4], daemon: &Running) {
    let mut stream = open(from, daemon.addr, &request(Protocol::Plain, WORDS, SOURCE)).await;
    let (head, object) = decode(Protocol::Plain, &read_all(&mut stream).await);
    assert!(head.status.success());
    assert_eq!(object, b"o");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_of_many_addresses_keep_no_job_out() {
    let dir = scripts(&[("cc", "printf o > x.o")]);
    let setting = Setting { limits: limits(16, 8, 4), ..any_program(dir.path()) };
    let daemon = Running::start(setting).await;
    let whole = request(Protocol::Plain, WORDS, SOURCE);
    let mut open_ones = Vec::new();
    for number in 0..100u8 {
        let len = [0, 1, 50, whole.len() - 1][usize::from(number % 4)];
        open_ones.push(open([127, 0, 1, number / 2], daemon.addr, &whole[..len]).await);
        if number % 10 == 9 {
            compiles([127, 0, 2, 1], &daemon).await;
        }
    }
    until("those who left make way", || daemon.n_job_dirs() <= 16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_here_is_not_displaced() {
    let gates = tempfile::tempdir().unwrap();
    let gate = gate(gates.path());
    let dir = scripts(&[("cc", &format!("printf o > x.o; read line < {}", gate.display()))]);
    let setting = Setting { jobs: 1, limits: limits(8, 4, 4), ..any_program(dir.path()) };
    let mut daemon = Running::start(setting).await;
    let bytes = request(Protocol::Plain, WORDS, SOURCE);
    let mut jobs = Vec::new();
    // One compiles, the others wait.
    for host in 1..4 {
        jobs.push(open([127, 0, 3, host], daemon.addr, &bytes).await);
    }
    until("all are here", || n_here(&daemon) == 3).await;
    assert!(matches!(daemon.event().await, Event::Began(_)));
    let mut silent = Vec::new();
    for number in 0..50 {
        silent.push(open([127, 0, 1, number], daemon.addr, b"D").await);
    }
    all_compile(jobs, &gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_keeps_its_newest_incomplete_connections() {
    let dir = scripts(&[("cc", "printf o > x.o")]);
    let setting = Setting { limits: limits(1000, 1000, 3), ..any_program(dir.path()) };
    let mut daemon = Running::start(setting).await;
    let mut first = open([127, 0, 1, 1], daemon.addr, b"D").await;
    let mut others = Vec::new();
    {
        let mut gone = std::pin::pin!(read_all(&mut first));
        // Who has only just come is let alone, so this takes a moment.
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                answer = &mut gone => break assert_eq!(answer, b""),
                _ = pace.tick() => others.push(open([127, 0, 1, 1], daemon.addr, b"D").await),
            }
        }
    }
    assert!(others.len() >= 3);
    assert!(matches!(daemon.event().await, Event::Displaced(_)));
    // One of the others is a slow client's.
    let mut last = others.pop().unwrap();
    last.write_all(&request(Protocol::Plain, WORDS, SOURCE)[1..]).await.unwrap();
    let (head, _) = decode(Protocol::Plain, &read_all(&mut last).await);
    assert!(head.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_jobs_and_no_more() {
    let gates = tempfile::tempdir().unwrap();
    let gate = gate(gates.path());
    let dir = scripts(&[("cc", &format!("printf o > x.o; read line < {}", gate.display()))]);
    let setting = Setting { jobs: 1, limits: limits(9, 2, 2), ..any_program(dir.path()) };
    let mut daemon = Running::start(setting).await;
    let bytes = request(Protocol::Plain, WORDS, SOURCE);
    let mut jobs = Vec::new();
    for _ in 0..2 {
        jobs.push(open([127, 0, 1, 1], daemon.addr, &bytes).await);
        let n_jobs = jobs.len();
        until("it is here", || n_here(&daemon) == n_jobs).await;
    }
    assert!(matches!(daemon.event().await, Event::Began(_)));
    let mut refused = open([127, 0, 1, 1], daemon.addr, b"").await;
    assert_eq!(read_all(&mut refused).await, b"");
    assert!(matches!(daemon.event().await, Event::Crowded(_)));
    let other = open([127, 0, 1, 2], daemon.addr, &bytes).await;
    jobs.push(other);
    all_compile(jobs, &gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_more_bytes_than_allowed_is_refused_in_both_protocols() {
    let dir = scripts(&[("cc", "printf o > x.o")]);
    let limits =
        ServerLimits { source_bytes: 3000, expanded_bytes: 9000, ..ServerLimits::default() };
    let setting = Setting { limits, ..any_program(dir.path()) };
    let mut daemon = Running::start(setting).await;
    for (protocol, len, fits) in [
        (Protocol::Plain, 3000, true),
        (Protocol::Plain, 3001, false),
        (Protocol::Lzo, 9000, true),
        (Protocol::Lzo, 9001, false),
    ] {
        let bytes = request(protocol, WORDS, &vec![b' '; len]);
        let answer = converse(daemon.addr, &bytes).await;
        assert_eq!(!answer.is_empty(), fits, "{protocol:?} {len}");
        let result = daemon.result().await;
        assert_eq!(!matches!(result, JobResult::Refused(_)), fits, "{result:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_any_length_comes_back_by_both_protocols() {
    const LIMIT: usize = 40 << 20;
    let dir = scripts(&[("cc", "read len < x.i; truncate -s $len x.o; printf end >> x.o")]);
    let limits = ServerLimits { object_bytes: LIMIT, ..ServerLimits::default() };
    let mut daemon = Running::start(Setting { limits, ..any_program(dir.path()) }).await;
    // The longest are not compressed.
    for len in [0, 1 << 20, LIMIT - 3, LIMIT - 2] {
        for protocol in [Protocol::Plain, Protocol::Lzo] {
            let bytes = request(protocol, WORDS, format!("{len}\n").as_bytes());
            let answer = converse(daemon.addr, &bytes).await;
            let result = daemon.result().await;
            if len > LIMIT - 3 {
                assert!(answer.is_empty() && matches!(result, JobResult::Failed(_)), "{result:?}");
                continue;
            }
            let (head, object) = decode(protocol, &answer);
            assert!(head.status.success());
            assert!(object.len() == len + 3 && object.ends_with(b"end"), "{protocol:?} {len}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_taken_in_drops_is_not_sent_for_ever() {
    let dir = scripts(&[("cc", "truncate -s 256M x.o")]);
    let limits = ServerLimits { answer_time: Duration::from_millis(200), ..Default::default() };
    let mut daemon = Running::start(Setting { limits, ..any_program(dir.path()) }).await;
    let request = request(Protocol::Plain, WORDS, SOURCE);
    let mut client = open([127, 0, 0, 1], daemon.addr, &request).await;
    let slowly = async {
        let mut drop = [0; 1 << 10];
        while client.read(&mut drop).await.is_ok_and(|n_read| n_read > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let ended = async {
        loop {
            if let Event::Ended(record) = daemon.event().await {
                return record.result;
            }
        }
    };
    let result = tokio::select! {
        result = ended => result,
        () = slowly => panic!("all of it was taken"),
    };
    assert!(matches!(&result, JobResult::Refused(why) if why.contains("answer")), "{result:?}");
}
