//! A light build that goes on in the background of a scenario: small files, compiled over and over,
//! each object compared with what the compiler makes here.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::story::{LOOK_EVERY, PATIENCE, Programs};
use crate::farm::{DEADLINE, host_of, said, text};
use crate::lab::{Host, wait_for};

/// Files of the build.
const UNITS: usize = 30;
/// Two people at work; more would only wait for the machine that runs the tests.
const THREADS: usize = 2;
/// Compiles what is asked for, one file a line. Being a process of the host, it sleeps with it.
const WORKER: &str = r#"
    while read -r unit; do
        rm -f "$1.o" "$DISTCC_LOG"
        "$2" gcc -O1 -c "u$unit.c" -o "$1.o" 2>"$1.err"
        echo $?
    done"#;

/// A job that has ended well.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    /// The host that compiled it, as of [`host_of`]; none if that was here.
    pub(crate) place: Option<String>,
}

/// What all workers write down.
#[derive(Default)]
struct Record {
    done: Mutex<Vec<Done>>,
    failure: Mutex<Option<String>>,
    stop: AtomicBool,
}

/// The build. It ends with [`Traffic::stop`].
pub(crate) struct Traffic {
    programs: Programs,
    record: Arc<Record>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Begins it on this host, with a pause after each job.
    #[track_caller]
    pub(crate) fn start(host: &Host, programs: Programs, pause: Duration) -> Self {
        let objects = Arc::new(reference(host));
        let record = Arc::new(Record::default());
        let worker = |number: usize| {
            let mut worker = Worker::start(host, programs, number);
            let (record, objects) = (Arc::clone(&record), Arc::clone(&objects));
            thread::spawn(move || {
                let units = (0..UNITS).cycle().skip(number * UNITS / THREADS);
                for unit in units.take_while(|_| !record.stop.load(Ordering::Relaxed)) {
                    match worker.compile(unit, &objects[unit]) {
                        Ok(done) => lock(&record.done).push(done),
                        Err(failure) => {
                            lock(&record.failure).get_or_insert(failure);
                            return;
                        }
                    }
                    thread::sleep(pause);
                }
            })
        };
        let threads = (0..THREADS).map(worker).collect();
        Self { programs, record, threads }
    }

    /// All jobs so far. None of them may have failed.
    #[track_caller]
    pub(crate) fn done(&self) -> Vec<Done> {
        if let Some(failure) = &*lock(&self.record.failure) {
            panic!("a job of the build failed: {failure}");
        }
        lock(&self.record.done).clone()
    }

    /// Waits for a job begun after `since` that is such a one.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, since: Instant, is_one: impl Fn(&Done) -> bool) {
        self.wait(what, || self.done().iter().any(|done| done.begun >= since && is_one(done)));
    }

    /// Waits for a few jobs more, wherever they run.
    #[track_caller]
    pub(crate) fn until_more(&self, jobs: usize) {
        let before = self.done().len();
        self.wait("the build to go on", || self.done().len() >= before + jobs);
    }

    /// Ends the build, and returns all that was done. Jobs of Debian's client that hang are left.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Vec<Done> {
        self.record.stop.store(true, Ordering::Relaxed);
        self.wait("the build to end", || self.threads.iter().all(JoinHandle::is_finished));
        for thread in self.threads.drain(..).filter(JoinHandle::is_finished) {
            thread.join().expect("workers write down what fails");
        }
        self.done()
    }

    /// With Debian's client not for ever, and in vain without harm.
    #[track_caller]
    fn wait(&self, what: &str, mut is_there: impl FnMut() -> bool) {
        match self.programs {
            Programs::Ours => wait_for(what, DEADLINE, || is_there().then_some(())),
            Programs::Theirs => {
                let began = Instant::now();
                while !is_there() {
                    if began.elapsed() > PATIENCE {
                        eprintln!("{:?} | waited {PATIENCE:?} in vain for {what}", self.programs);
                        return;
                    }
                    thread::sleep(LOOK_EVERY);
                }
            }
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.record.stop.store(true, Ordering::Relaxed);
    }
}

impl Done {
    /// Did it run on this host?
    pub(crate) fn is_on(&self, place: &str) -> bool {
        self.place.as_deref() == Some(place)
    }

    /// How long it took.
    pub(crate) fn took(&self) -> Duration {
        self.ended - self.begun
    }
}

/// A poisoned lock only means that a test is failing already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Writes the files of the build, and compiles them here.
#[track_caller]
fn reference(host: &Host) -> Vec<Vec<u8>> {
    let home = host.dir("home");
    let file = |unit: usize, suffix: &str| home.join(format!("u{unit}.{suffix}"));
    for unit in 0..UNITS {
        let source = format!("int f{unit}(int x) {{ return x * {unit} + x / {}; }}\n", unit + 2);
        fs::write(file(unit, "c"), source).unwrap();
    }
    said(
        host.command("gcc")
            .args(["-O1", "-c"])
            .args((0..UNITS).map(|unit| file(unit, "c").file_name().unwrap().to_owned())),
    );
    (0..UNITS).map(|unit| fs::read(file(unit, "o")).unwrap()).collect()
}

/// A shell on the host that compiles one file after the other.
struct Worker {
    shell: Child,
    answers: BufReader<std::process::ChildStdout>,
    object: PathBuf,
    log: PathBuf,
}

impl Worker {
    fn start(host: &Host, programs: Programs, number: usize) -> Self {
        let name = format!("traffic{number}");
        let log = host.dir(&format!("log/{name}.log"));
        let mut shell = host.command("sh");
        shell.args(["-c", WORKER, "worker", &name, programs.client()]);
        shell.env("DISTCC_HOSTS", "+zeroconf").env("DISTCC_VERBOSE", "1").env("DISTCC_LOG", &log);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(shell.stdout.take().expect("stdout is a pipe"));
        Self { shell, answers, object: host.dir(&format!("home/{name}.o")), log }
    }

    fn compile(&mut self, unit: usize, expected: &[u8]) -> Result<Done, String> {
        let begun = Instant::now();
        let orders = self.shell.stdin.as_mut().expect("stdin is a pipe");
        let mut status = String::new();
        writeln!(orders, "{unit}")
            .and_then(|()| self.answers.read_line(&mut status))
            .map_err(|e| format!("the host is gone: {e}"))?;
        let ended = Instant::now();
        let log = text(&fs::read(&self.log).unwrap_or_default());
        if status.trim_end() != "0" {
            let said = fs::read(self.object.with_extension("err")).unwrap_or_default();
            return Err(format!("u{unit}.c: status {status}\n{}{log}", text(&said)));
        }
        if fs::read(&self.object).is_ok_and(|object| object == expected) {
            let place = compiled_on(&log).filter(|place| *place != "localhost").map(host_of);
            Ok(Done { begun, ended, place })
        } else {
            Err(format!("u{unit}.c: the object is not as compiled here\n{log}"))
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// The host that compiled, by a client's log. Debian's client tells also where it preprocessed.
fn compiled_on(log: &str) -> Option<&str> {
    let compile = log
        .lines()
        .filter(|line| line.contains("compile "))
        .find_map(|line| line.strip_suffix(" completed ok")?.rsplit_once(" on "))?;
    Some(compile.1)
}
