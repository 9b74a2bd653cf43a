//! `update-distcc-symlinks`: keeps the links of the masquerade directory in step with the compilers of
//! this machine, for clients that have it on their PATH and for servers, which it narrows.
//!
//! Which links are its own stands in a hidden file beside them, so that a link which a user has made
//! is never removed, whatever it looks like.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use nix::fcntl::{Flock, FlockArg};

use crate::base::exit;
use crate::fingerprint::files::is_executable;

use super::compilers::compilers_in;

const USAGE: &str = "\
Usage: update-distcc-symlinks [OPTION]...

Makes a link to distcc for every compiler in /usr/local/bin and /usr/bin, and
removes those of its own links whose compiler has gone. All else is left alone.

  --dry-run       says what would be done, and does nothing
  --dir DIR       where the links are (/usr/lib/distcc)
  --distcc FILE   what they lead to (the distcc beside this program)
  --root DIR      all of this below DIR, as for a package (then --distcc is
                  /usr/bin/distcc, whether it is there or not)
  --help, --version
";

/// Where compilers are looked for. Not PATH: who installs packages has his own.
const COMPILER_DIRS: [&str; 2] = ["/usr/local/bin", "/usr/bin"];
/// Compilers beside those that a `CompilerName` tells: Debian has links for these too.
const OTHERS: [&str; 3] = ["c89-gcc", "c99-gcc", "nvcc"];
/// The names of the links that are ours, a line each.
const RECORD: &str = ".update-distcc-symlinks";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Request {
    Help,
    Version,
    Unusable(String),
    Update(Task),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Task {
    dry_run: bool,
    dir: PathBuf,
    distcc: Option<PathBuf>,
    root: Option<PathBuf>,
}

/// Why nothing came of it.
#[derive(Debug)]
enum Failure {
    Io { path: PathBuf, error: io::Error },
    NoDistcc,
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NoDistcc => {
                f.write_str("there is no distcc beside update-distcc-symlinks (see --distcc)")
            }
        }
    }
}

/// Runs `update-distcc-symlinks`.
pub(crate) fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    let done = match understand(&words) {
        Request::Help => Ok(USAGE.to_owned()),
        Request::Version => Ok(super::version("update-distcc-symlinks")),
        Request::Unusable(reason) => {
            eprint!("update-distcc-symlinks: {reason}\n{USAGE}");
            return ExitCode::from(exit::BAD_ARGUMENTS);
        }
        Request::Update(task) => update(&task),
    };
    match done {
        Ok(text) => {
            // A reader that has gone is no error worth a word.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("update-distcc-symlinks: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn understand(words: &[OsString]) -> Request {
    let mut task = Task { dry_run: false, dir: "/usr/lib/distcc".into(), distcc: None, root: None };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut path = || words.next().map(PathBuf::from).filter(|path| path.is_absolute());
        let place = match word.to_str() {
            Some("--help") => return Request::Help,
            Some("--version") => return Request::Version,
            Some("--dry-run") => {
                task.dry_run = true;
                continue;
            }
            Some("--dir") => path().map(|path| task.dir = path),
            Some("--distcc") => path().map(|path| task.distcc = Some(path)),
            Some("--root") => path().map(|path| task.root = Some(path)),
            _ => {
                let word = word.to_string_lossy();
                return Request::Unusable(format!("{word}: expected one of the following"));
            }
        };
        if place.is_none() {
            let word = word.to_string_lossy();
            return Request::Unusable(format!("{word}: expected a path that begins with '/'"));
        }
    }
    Request::Update(task)
}

/// Does it, and tells what was done.
fn update(task: &Task) -> Result<String, Failure> {
    let below = |path: &Path| match &task.root {
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    };
    let distcc = match (&task.distcc, &task.root) {
        (Some(distcc), _) => distcc.clone(),
        (None, Some(_)) => "/usr/bin/distcc".into(),
        (None, None) => beside().ok_or(Failure::NoDistcc)?,
    };
    let dir = below(&task.dir);
    let dirs = COMPILER_DIRS.map(|dir| below(Path::new(dir)));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| Failure::Io { path, error }
    };
    if !task.dry_run {
        fs::create_dir_all(&dir).map_err(failed(&dir))?;
    }
    // `/lib` may be a link, from which `..` leads elsewhere.
    let real = dir.canonicalize().ok().filter(|_| task.root.is_none());
    let target = relative(real.as_deref().unwrap_or(&task.dir), &distcc);
    // One run at a time; one that does nothing waits for nobody.
    let _turn = if task.dry_run { None } else { Some(lock(&dir).map_err(failed(&dir))?) };
    let record = dir.join(RECORD);
    let made = fs::read_to_string(&record).unwrap_or_default();
    let mut made: BTreeSet<String> = made.lines().map(str::to_owned).collect();
    let known = made.clone();
    let wanted = compilers_in(&dirs, &OTHERS);
    let mut told = String::new();
    let is_ours = |link: &Path| fs::read_link(link).is_ok_and(|found| found == target);
    for name in &wanted {
        let link = dir.join(name);
        if fs::symlink_metadata(&link).is_ok() {
            if !is_ours(&link) {
                told.push_str(&format!("{}: left alone, not ours\n", link.display()));
            }
            continue;
        }
        if !task.dry_run {
            symlink(&target, &link).map_err(failed(&link))?;
        }
        made.insert(name.clone());
        told.push_str(&format!("{} -> {}\n", link.display(), target.display()));
    }
    for name in known.iter().filter(|name| !wanted.contains(*name)) {
        let link = dir.join(name);
        if is_ours(&link) {
            if !task.dry_run {
                fs::remove_file(&link).map_err(failed(&link))?;
            }
            told.push_str(&format!("{}: removed, there is no such compiler\n", link.display()));
        }
        made.remove(name);
    }
    if !task.dry_run && made != known {
        keep(&record, &made).map_err(failed(&record))?;
    }
    Ok(told)
}

/// Writes the record, as a whole or not at all. An empty one goes: a server takes an empty directory
/// for none.
fn keep(record: &Path, made: &BTreeSet<String>) -> io::Result<()> {
    if made.is_empty() {
        return fs::remove_file(record);
    }
    let mut new = tempfile::NamedTempFile::new_in(record.parent().unwrap_or(Path::new("/")))?;
    for name in made {
        writeln!(new, "{name}")?;
    }
    new.persist(record)?;
    Ok(())
}

fn lock(dir: &Path) -> io::Result<Flock<File>> {
    Flock::lock(File::open(dir)?, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

fn beside() -> Option<PathBuf> {
    let distcc = env::current_exe().ok()?.with_file_name("distcc");
    is_executable(&distcc).then_some(distcc)
}

/// The way from a directory to a file, as it stays right below another root:
/// `../../bin/distcc`.
fn relative(dir: &Path, file: &Path) -> PathBuf {
    let names = |path: &Path| -> Vec<OsString> {
        let names = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            _ => None,
        });
        names.collect()
    };
    let (dir, file) = (names(dir), names(file));
    let n_common = dir.iter().zip(&file).take_while(|(one, other)| one == other).count();
    let ups = dir[n_common..].iter().map(|_| OsString::from(".."));
    ups.chain(file[n_common..].iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::base::testing::make_programs;

    struct Machine {
        root: tempfile::TempDir,
    }

    impl Machine {
        fn new(compilers: &[&str]) -> Self {
            let machine = Self { root: tempfile::tempdir().unwrap() };
            fs::create_dir_all(machine.path("usr/bin")).unwrap();
            make_programs(&machine.path("usr/bin"), compilers);
            machine
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn task(&self, words: &[&str]) -> Task {
            let root = self.root.path().to_str().unwrap();
            let words = [&["--root", root], words].concat();
            match understand(&words.iter().map(OsString::from).collect::<Vec<_>>()) {
                Request::Update(task) => task,
                other => panic!("{other:?}"),
            }
        }

        fn update(&self, words: &[&str]) -> String {
            update(&self.task(words)).unwrap()
        }

        fn links(&self) -> Vec<String> {
            let Ok(entries) = fs::read_dir(self.path("usr/lib/distcc")) else { return Vec::new() };
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn links_follow_the_compilers() {
        let names = ["gcc", "g++-12", "x86_64-linux-gnu-gcc-12", "c99-gcc", "clang++-14", "cc"];
        let machine = Machine::new(&[&names[..], &["gcc-ar", "ls", "distcc", "c99"]].concat());
        symlink("distcc", machine.path("usr/bin/gcc-9")).unwrap();
        assert_eq!(machine.update(&["--dry-run"]).lines().count(), 6);
        assert!(!machine.path("usr/lib").exists());
        let told = machine.update(&[]);
        assert_eq!(told.matches(" -> ../../bin/distcc\n").count(), 6, "{told}");
        assert_eq!(
            machine.links(),
            ["c99-gcc", "cc", "clang++-14", "g++-12", "gcc", "x86_64-linux-gnu-gcc-12"]
        );
        assert_eq!(machine.update(&[]), "");
        for name in names {
            fs::remove_file(machine.path("usr/bin").join(name)).unwrap();
        }
        assert_eq!(machine.update(&["--dry-run"]).matches(": removed, ").count(), 6);
        assert_eq!(machine.links().len(), 6);
        assert_eq!(machine.update(&[]).matches(": removed, ").count(), 6);
        // Not even the record: an empty directory narrows no server.
        assert_eq!(fs::read_dir(machine.path("usr/lib/distcc")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_user_has_made_is_never_removed() {
        let machine = Machine::new(&["gcc", "g++"]);
        let dir = machine.path("usr/lib/distcc");
        fs::create_dir_all(&dir).unwrap();
        // Of a compiler elsewhere, exactly as ours would be.
        symlink("../../bin/distcc", dir.join("gcc-13")).unwrap();
        symlink("../../bin/distcc", dir.join("g++")).unwrap();
        fs::write(dir.join("gcc"), "a wrapper").unwrap();
        let told = machine.update(&[]);
        assert!(told.ends_with("distcc/gcc: left alone, not ours\n"), "{told}");
        fs::remove_file(machine.path("usr/bin/gcc")).unwrap();
        fs::remove_file(machine.path("usr/bin/g++")).unwrap();
        assert_eq!(machine.update(&[]), "");
        assert_eq!(machine.links(), ["g++", "gcc", "gcc-13"]);
        assert_eq!(fs::read(dir.join("gcc")).unwrap(), b"a wrapper");
    }

    #[test]
    fn a_link_of_ours_that_a_user_has_changed_is_his() {
        let machine = Machine::new(&["gcc"]);
        machine.update(&[]);
        let link = machine.path("usr/lib/distcc/gcc");
        fs::remove_file(&link).unwrap();
        symlink("/opt/distcc", &link).unwrap();
        fs::remove_file(machine.path("usr/bin/gcc")).unwrap();
        assert_eq!(machine.update(&[]), "");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("/opt/distcc"));
    }

    #[test]
    fn runs_at_once_do_what_one_would() {
        let names = ["gcc", "g++", "clang", "clang++", "cc", "c++"];
        let machine = Machine::new(&names);
        let task = machine.task(&[]);
        let made: usize = thread::scope(|scope| {
            let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| update(&task).unwrap())).collect();
            runs.into_iter().map(|run| run.join().unwrap().lines().count()).sum()
        });
        assert_eq!(made, names.len());
        assert_eq!(machine.links().len(), names.len());
    }

    #[test]
    fn the_way_to_distcc_is_relative() {
        for (dir, distcc, expected) in [
            ("/usr/lib/distcc", "/usr/bin/distcc", "../../bin/distcc"),
            ("/usr/lib/distcc/bin", "/usr/local/bin/distcc", "../../../local/bin/distcc"),
            ("/opt/links", "/usr/bin/distcc", "../../usr/bin/distcc"),
        ] {
            assert_eq!(relative(Path::new(dir), Path::new(distcc)), Path::new(expected));
        }
    }

    #[test]
    fn every_option_takes_its_value() {
        let understood =
            |words: &[&str]| understand(&words.iter().map(OsString::from).collect::<Vec<_>>());
        for junk in [&["--dir"][..], &["--dir", "x"], &["--root", "x"], &["-q"], &["x"]] {
            assert!(matches!(understood(junk), Request::Unusable(_)), "{junk:?}");
        }
        let Request::Update(task) = understood(&["--dir", "/l", "--distcc", "/d"]) else {
            panic!()
        };
        assert_eq!((task.dir, task.distcc), ("/l".into(), Some("/d".into())));
        assert!(USAGE.lines().all(|line| line.len() <= 80));
    }
}
