//! Runs the rows, and shows what came of them.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::long;
use crate::programs::{Server, Whose, have_all, on_path};
use crate::skip::skip;

use super::case::{ALL, Case, Where};
use super::cases::SUBJECTS;
use super::desk::{Column, Desk, Told};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// One row in so many is run by `make test`; odd, so that the compilers alternate.
const SAMPLE: usize = 25;

/// A command line with one of its compilers.
#[derive(Clone, Copy)]
struct Row {
    subject: &'static str,
    case: &'static Case,
    compiler: &'static str,
}

/// What came of a row.
#[derive(Default)]
struct Verdict {
    /// Two runs of the compiler alone differ, so that nothing can be said.
    vague: bool,
    ours: Vec<String>,
    mixed: Vec<String>,
    theirs: Vec<String>,
}

#[test]
fn the_matrix_has_what_was_promised() {
    let n_lines: usize = SUBJECTS.iter().map(|(_, cases)| cases.len()).sum();
    assert!(n_lines >= 150, "{n_lines} command lines");
    for (subject, cases) in SUBJECTS {
        assert!(cases.len() >= 15, "{} command lines about {subject}", cases.len());
        for compiler in ALL {
            assert!(cases.iter().any(|case| case.compilers.contains(compiler)), "{subject}");
        }
    }
    let mut seen = BTreeMap::new();
    for case in SUBJECTS.iter().flat_map(|(_, cases)| *cases) {
        for compiler in case.compilers {
            let before = seen.insert((case.script, compiler, format!("{:?}", case.call)), ());
            assert!(before.is_none(), "twice: {compiler} {}", case.script);
        }
    }
}

#[test]
fn every_command_line_does_what_it_does_alone() {
    if !have_all() {
        return;
    }
    if let Some(name) = ALL.iter().find(|name| on_path(name).is_none()) {
        return skip(&format!("no {name} on PATH"));
    }
    let rows = rows(long::wanted());
    let servers = [Whose::Ours, Whose::Theirs].map(|whose| Server::start(whose, LOCALHOST));
    let desk = Desk::new(&servers[0], &servers[1]);
    let verdicts = run(&desk, &rows);
    let still_there = desk.close();
    let table = table(&rows, &verdicts);
    eprintln!("{table}");
    if let Some(path) = env::var_os("MATRIX_TABLE") {
        fs::write(&path, &table).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let wrong = wrong(&rows, &verdicts);
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    assert!(still_there.is_empty(), "processes left: {still_there:?}");
}

/// All rows, or a sample in which every subject occurs with every compiler. `MATRIX=WORD` takes
/// those with that word in their command or subject, and runs ours only.
fn rows(all: bool) -> Vec<Row> {
    let word = env::var("MATRIX").unwrap_or_default();
    let rows_of = |&(subject, cases): &(&'static str, &'static [Case])| {
        let step = if all || !word.is_empty() { 1 } else { SAMPLE };
        let row = move |case: &'static Case| {
            case.compilers.iter().map(move |compiler| Row { subject, case, compiler })
        };
        cases.iter().flat_map(row).step_by(step).collect::<Vec<_>>()
    };
    let wanted = |row: &Row| row.subject.contains(&word) || row.case.script.contains(&word);
    SUBJECTS.iter().flat_map(rows_of).filter(wanted).collect()
}

fn run(desk: &Desk, rows: &[Row]) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(BTreeMap::new());
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = rows.get(number) else { break };
                    let verdict = judge(desk, row, number);
                    verdicts.lock().expect("no other thread panicked").insert(number, verdict);
                }
            });
        }
    });
    verdicts.into_inner().expect("no thread panicked").into_values().collect()
}

fn judge(desk: &Desk, row: &Row, number: usize) -> Verdict {
    let scratch = desk.scratch(number);
    let run = |column| desk.run(row.case, row.compiler, column, number);
    let (alone, _) = run(Column::Alone);
    let (ours, told) = run(Column::Ours);
    let mut verdict = Verdict { ours: alone.differences(&ours, &scratch), ..Verdict::default() };
    let place = row.case.place_with(row.compiler);
    verdict.ours.extend(misplaced(place, &told));
    if env::var_os("MATRIX").is_none() {
        // What is not for a host of ours is not for another one either.
        if place != Where::Local {
            verdict.mixed = alone.differences(&run(Column::Mixed).0, &scratch);
        }
        verdict.theirs = alone.differences(&run(Column::Theirs).0, &scratch);
    }
    // Where ours do the same in two runs, so does the compiler.
    let suspect = !verdict.ours.is_empty() || !verdict.mixed.is_empty();
    verdict.vague = suspect && !alone.differences(&run(Column::Alone).0, &scratch).is_empty();
    fs::remove_dir_all(scratch).expect("a directory of ours");
    // For whoever watches; all of it is said once more at the end.
    for difference in verdict.ours.iter().chain(&verdict.mixed) {
        eprintln!("{} | {} | {difference}", row.compiler, row.case.script);
    }
    verdict
}

/// How the way that the job took is not the one it should have taken.
fn misplaced(place: Where, told: &Told) -> Option<String> {
    let as_wanted = match place {
        Where::Remote(n_jobs) => told.n_remote == n_jobs && told.otherwise.is_empty(),
        Where::Local => told.n_remote == 0 && !told.otherwise.is_empty(),
        Where::Anywhere => true,
    };
    let (n_remote, otherwise) = (told.n_remote, told.otherwise.join("; "));
    (!as_wanted).then(|| format!("{place:?} is wanted; on a host {n_remote}; {otherwise}"))
}

/// The rows that make the test fail.
fn wrong(rows: &[Row], verdicts: &[Verdict]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (row, verdict) in rows.iter().zip(verdicts) {
        let name = format!("{}: {} | {}", row.subject, row.compiler, row.case.script);
        if verdict.vague {
            wrong.push(format!("{name}\n    two runs of the compiler alone differ"));
            continue;
        }
        let both = [("ours", &verdict.ours), ("ours with Debian's server", &verdict.mixed)];
        if both.iter().all(|(_, differences)| differences.is_empty()) {
            continue;
        }
        wrong.push(name);
        for (who, differences) in both {
            wrong.extend(differences.iter().map(|d| format!("    {who}: {d}")));
        }
    }
    wrong
}

/// What the original does otherwise than the compiler alone.
fn table(rows: &[Row], verdicts: &[Verdict]) -> String {
    let mut text = String::from("Where Debian's distcc 3.4 differs from the compiler alone:\n");
    let mut n_theirs = 0;
    let mut subject = "";
    for (row, verdict) in rows.iter().zip(verdicts) {
        if verdict.theirs.is_empty() || verdict.vague {
            continue;
        }
        if row.subject != subject {
            subject = row.subject;
            let _ = writeln!(text, "\n{subject}");
        }
        n_theirs += 1;
        let (compiler, script) = (row.compiler, row.case.script.replace('\n', " "));
        let _ = writeln!(text, "  {compiler:8}{script}\n          {}", verdict.theirs.join("; "));
    }
    let _ = write!(text, "\n{} rows; the original differs in {n_theirs}", rows.len());
    text
}
