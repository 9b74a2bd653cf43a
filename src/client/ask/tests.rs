use std::os::unix::fs::PermissionsExt;

use crate::settings::env::Environment;

use super::super::invocation::Invocation;
use super::super::log::{Log, LogSettings};
use super::super::state::State;
use super::*;

/// A file that counts as a program of its own: the system's shell under another name.
fn shell(dir: &Path) -> Compiler {
    let path = dir.join("cc");
    fs::copy("/bin/sh", &path).unwrap();
    Compiler::find(path.as_os_str(), "".as_ref()).unwrap()
}

/// Asks `compiler`, which notes every start in a file, and tells how often it was started.
fn asked(
    dir: &Path,
    compiler: &Compiler,
    depends_on: &str,
    code: u8,
) -> (Result<String, String>, usize) {
    let env = Environment::from_lookup(|name| (name == "DISTCC_DIR").then(|| dir.join("d").into()));
    let log = Log::open(&LogSettings::default());
    let argv = vec![compiler.path.clone().into_os_string()];
    let invocation = Invocation { argv, search_path: "/bin".into(), trimmed: false };
    let session = Session::new(&env, &log, invocation, State::new(None));
    let starts = dir.join("starts");
    let script = format!("echo >> {}; echo; echo said; exit {code}", starts.display());
    let read = |said: &[u8]| match String::from_utf8_lossy(said).trim() {
        "said" => Ok("heard".to_owned()),
        other => Err(other.to_owned()),
    };
    let words = vec!["-c".into(), script.into()];
    let question = Question { words, depends_on: depends_on.to_owned(), read: &read };
    let answer = ask(&session, compiler, &question);
    (answer, fs::read(starts).map_or(0, |lines| lines.len()))
}

fn answers(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("d/compilers")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap() != "lock").collect()
}

#[test]
fn a_compiler_is_asked_once_for_each_file_and_circumstance() {
    let dir = tempfile::tempdir().unwrap();
    let compiler = shell(dir.path());
    let heard = Ok("heard".to_owned());
    assert_eq!(asked(dir.path(), &compiler, "one", 0), (heard.clone(), 1));
    assert_eq!(asked(dir.path(), &compiler, "one", 0), (heard.clone(), 1));
    assert_eq!(asked(dir.path(), &compiler, "two", 0), (heard.clone(), 2));
    assert_eq!(answers(dir.path()).len(), 2);
    // Another file by the same name.
    fs::remove_file(&compiler.path).unwrap();
    let compiler = shell(dir.path());
    assert_eq!(asked(dir.path(), &compiler, "one", 0), (heard, 3));
}

#[test]
fn a_damaged_answer_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let compiler = shell(dir.path());
    let heard = Ok("heard".to_owned());
    asked(dir.path(), &compiler, "", 0).0.unwrap();
    let file = answers(dir.path()).pop().unwrap();
    let whole = fs::read_to_string(&file).unwrap();
    let damaged = [
        String::new(),
        whole[..whole.len() - 1].to_owned(),
        whole.replace("heard", "hea\nrd"),
        whole.replace("answer heard", "nonsense"),
        whole.replacen("answer 1", "answer 0", 1),
    ];
    for (n_damages, text) in damaged.iter().enumerate() {
        fs::write(&file, text).unwrap();
        assert_eq!(asked(dir.path(), &compiler, "", 0), (heard.clone(), n_damages + 2), "{text}");
        assert_eq!(fs::read_to_string(&file).unwrap(), whole);
    }
}

#[test]
fn a_failure_is_not_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let compiler = shell(dir.path());
    for n_starts in 1..3 {
        let failed = Err("asked, the compiler exits with 3".to_owned());
        assert_eq!(asked(dir.path(), &compiler, "", 3), (failed, n_starts));
    }
    assert!(answers(dir.path()).is_empty());
}

#[test]
fn a_script_is_asked_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cc");
    fs::write(&path, "#!/bin/sh\nexec /bin/sh \"$@\"\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let compiler = Compiler::find(path.as_os_str(), "".as_ref()).unwrap();
    for n_starts in 1..3 {
        assert_eq!(asked(dir.path(), &compiler, "", 0), (Ok("heard".to_owned()), n_starts));
    }
}
