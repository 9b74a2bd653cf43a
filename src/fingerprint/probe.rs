//! Asks a compiler of this machine what it is.

use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::files::{self, Digests, Stamp};
use super::run::{self, Ran, RunError};
use super::verbose::{Parsed, assembler_banner_version, parse_verbose};
use super::{Driver, Family, Toolchain, stock, words};

/// A compiler that has not answered by then never will; the slowest board needs about a second.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longest line of a failing compiler that is passed on, in bytes.
const MAX_SAID: usize = 200;

/// A compiler of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probed {
    /// What it is.
    pub(crate) toolchain: Toolchain,
    /// How it takes `x.c`.
    pub(crate) driver: Driver,
    /// The files whose contents it rests on, links resolved: the driver first, then compilers
    /// proper, assembler, settings.
    pub(crate) files: Vec<PathBuf>,
    /// By what a change is noticed; more than `files`.
    pub(crate) stamps: Vec<Stamp>,
}

/// Why a compiler cannot be told.
#[derive(Debug)]
pub(crate) enum ProbeError {
    /// A relative path means nothing here.
    NotAbsolute {
        /// As given.
        path: PathBuf,
    },
    /// A link to a program that stands in for the compiler; look further along PATH.
    Masquerade {
        /// As given.
        path: PathBuf,
        /// `ccache`, `distcc`, ...
        program: &'static str,
    },
    /// A file cannot be read.
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It cannot be executed, or its output cannot be kept.
    Run {
        /// The compiler.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It did not end in time.
    TimedOut {
        /// The compiler.
        path: PathBuf,
        /// How long that was.
        after: Duration,
    },
    /// It says what it is, but cannot compile an empty file.
    Failed {
        /// The compiler.
        path: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it called an error, else the last line it wrote to standard error.
        said: String,
    },
    /// It was replaced while it was looked at; ask again.
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl Display for ProbeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute { path } => write!(f, "{} is not an absolute path", path.display()),
            Self::Masquerade { path, program } => {
                write!(f, "{} is a link to {program}", path.display())
            }
            Self::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Run { path, error } => write!(f, "cannot run {}: {error}", path.display()),
            Self::TimedOut { path, after } => {
                write!(f, "{} did not end within {} s", path.display(), after.as_secs())
            }
            Self::Failed { path, status, said } => {
                write!(f, "{} cannot compile an empty file: {status}: {said}", path.display())
            }
            Self::Changed { path } => {
                write!(f, "{} changed while it was looked at", path.display())
            }
        }
    }
}

impl std::error::Error for ProbeError {}

/// What the compiler at `path` is. `search_path` is the PATH of whoever will run it: a driver may
/// find its assembler there. Blocks while the compiler runs, at most some 20 s.
pub(crate) fn probe_local(path: &Path, search_path: &OsStr) -> Result<Probed, ProbeError> {
    probe(path, search_path, &mut Digests::default())
}

/// As [`probe_local`], reading no file again that `digests` knows.
pub(super) fn probe(
    path: &Path,
    search_path: &OsStr,
    digests: &mut Digests,
) -> Result<Probed, ProbeError> {
    if !path.is_absolute() {
        return Err(ProbeError::NotAbsolute { path: path.to_owned() });
    }
    let file_error = |error| ProbeError::File { path: path.to_owned(), error };
    fs::canonicalize(path).map_err(file_error)?;
    if let Some(program) = files::masquerade(path) {
        return Err(ProbeError::Masquerade { path: path.to_owned(), program });
    }
    let before = Stamp::at(path.to_owned());
    let inquiry = Inquiry::new(path, search_path)?;
    let answer = inquiry.compile_nothing()?;
    let probed = match parse_verbose(&answer.ran.stderr) {
        Some(parsed) => inquiry.known(parsed, &answer, digests),
        None => inquiry.unknown(digests),
    }?;
    // The driver that was hashed must be the one that has answered.
    if probed.stamps.first() != Some(&before) {
        return Err(ProbeError::Changed { path: path.to_owned() });
    }
    Ok(probed)
}

/// What the compiler at `path` prints for one option, such as `-dumpversion`.
pub(super) fn ask(path: &Path, dirs: &[PathBuf], option: &str) -> Result<String, ProbeError> {
    let search_path = std::env::join_paths(dirs).map_err(|error| ProbeError::Run {
        path: path.to_owned(),
        error: io::Error::other(error),
    })?;
    let ran = Inquiry::new(path, &search_path)?.run(path, &[option])?;
    Ok(words::printable(&ran.stdout, MAX_SAID))
}

/// One compiler and the place where it is asked.
struct Inquiry<'a> {
    path: &'a Path,
    name: String,
    driver: Driver,
    dirs: Vec<PathBuf>,
    workplace: tempfile::TempDir,
}

struct Answer {
    ran: Ran,
    object: Vec<u8>,
}

impl<'a> Inquiry<'a> {
    fn new(path: &'a Path, search_path: &OsStr) -> Result<Self, ProbeError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let workplace = tempfile::Builder::new().prefix("distcc-probe-").tempdir();
        Ok(Self {
            path,
            driver: Driver::of_program(name.as_bytes()),
            name,
            dirs: files::directories(search_path),
            workplace: workplace
                .map_err(|error| ProbeError::File { path: std::env::temp_dir(), error })?,
        })
    }

    fn run(&self, program: &Path, args: &[&str]) -> Result<Ran, ProbeError> {
        let path = || program.to_owned();
        let search_path = std::env::join_paths(&self.dirs)
            .map_err(|error| ProbeError::Run { path: path(), error: io::Error::other(error) })?;
        let mut command = run::command(program, &search_path, self.workplace.path());
        command.args(args);
        run::run(command, DEADLINE).map_err(|error| match error {
            RunError::Start(error) | RunError::Output(error) => {
                ProbeError::Run { path: path(), error }
            }
            RunError::TimedOut => ProbeError::TimedOut { path: path(), after: DEADLINE },
        })
    }

    /// The source is preprocessed already, as that of every distributed job, so that a stock peer's
    /// probe job shows the same options.
    fn compile_nothing(&self) -> Result<Answer, ProbeError> {
        let language = match self.driver {
            Driver::C => "cpp-output",
            Driver::Cxx => "c++-cpp-output",
        };
        let args = ["-v", "-c", "-x", language, "/dev/null", "-o", "probe.o"];
        let ran = self.run(self.path, &args)?;
        // Without an object there is nothing to read: the caller sees that it is empty.
        let object = fs::read(self.workplace.path().join("probe.o")).unwrap_or_default();
        Ok(Answer { ran, object })
    }

    fn known(
        &self,
        parsed: Parsed,
        answer: &Answer,
        digests: &mut Digests,
    ) -> Result<Probed, ProbeError> {
        let ident = stock::ident_of(&answer.object).filter(|_| answer.ran.status.success());
        let Some(ident) = ident else {
            let lines = || answer.ran.stderr.lines().filter(|line| !line.trim().is_empty());
            // gcc goes on to say that it ends.
            let said =
                lines().find(|line| line.contains("error: ")).or_else(|| lines().next_back());
            return Err(ProbeError::Failed {
                path: self.path.to_owned(),
                status: answer.ran.status,
                said: words::printable(said.unwrap_or("nothing"), MAX_SAID),
            });
        };
        let mut stamps = vec![Stamp::at(self.path.to_owned())];
        let mut add = |stamp: Option<Stamp>| {
            if let Some(stamp) = stamp
                && !stamps.iter().any(|known| known.id == stamp.id)
            {
                stamps.push(stamp);
            }
        };
        let programs = &parsed.programs;
        add(programs.compiler.as_deref().and_then(|name| self.locate(name)));
        let mut absent = None;
        if parsed.family == Family::Gcc {
            let used = programs.compiler.as_deref().unwrap_or_default();
            for other in ["cc1", "cc1plus"].into_iter().filter(|name| !used.ends_with(name)) {
                add(self.program_of_driver(other)?);
            }
            absent = self.absent_specs()?;
        }
        let assembler = programs.assembler.as_deref().and_then(|name| self.locate(name));
        let assembler_version = match (&parsed.assembler, &assembler) {
            // clang does not pass -v on to an external assembler.
            (None, Some(file)) => self.assembler_version(&file.path)?,
            (version, _) => version.clone(),
        };
        add(assembler);
        add(programs.driver.as_deref().and_then(|name| self.locate(name)));
        for settings in &programs.settings {
            add(self.locate(settings));
        }
        let (digest, files) = digest(&mut stamps, digests)?;
        stamps.extend(absent);
        let mut toolchain = parsed.into_toolchain(ident, digest);
        toolchain.assembler = assembler_version;
        Ok(Probed { toolchain, driver: self.driver, files, stamps })
    }

    /// Nothing but the file itself tells compilers of other families apart.
    fn unknown(&self, digests: &mut Digests) -> Result<Probed, ProbeError> {
        let mut stamps = vec![Stamp::at(self.path.to_owned())];
        let (digest, files) = digest(&mut stamps, digests)?;
        let toolchain = Toolchain {
            family: Family::Other(self.name.clone()),
            version: String::new(),
            target: String::new(),
            assembler: None,
            distributor: String::new(),
            revision: String::new(),
            configure: Vec::new(),
            digest,
            ident: String::new(),
        };
        Ok(Probed { toolchain, driver: self.driver, files, stamps })
    }

    /// The file that the driver means: an absolute path, or a bare name to be found on PATH.
    fn locate(&self, name: &str) -> Option<Stamp> {
        if Path::new(name).is_absolute() {
            return Some(Stamp::at(PathBuf::from(name))).filter(|stamp| stamp.id.is_some());
        }
        if name.contains('/') {
            return None;
        }
        let path = files::find(name.as_ref(), &self.dirs)?;
        Some(Stamp { found_as: Some(name.into()), ..Stamp::at(path) })
    }

    /// gcc prints the bare name of a program that it does not have (no g++ is installed).
    fn program_of_driver(&self, name: &str) -> Result<Option<Stamp>, ProbeError> {
        let ran = self.run(self.path, &[&format!("-print-prog-name={name}")])?;
        let printed = ran.stdout.trim();
        Ok(Path::new(printed).is_absolute().then(|| self.locate(printed)).flatten())
    }

    /// A file of this name beside gcc's own would replace its built-in defaults.
    fn absent_specs(&self) -> Result<Option<Stamp>, ProbeError> {
        let ran = self.run(self.path, &["-print-search-dirs"])?;
        let dir = ran.stdout.lines().find_map(|line| line.strip_prefix("install: "));
        let stamp = dir.map(|dir| Stamp::at(Path::new(dir.trim()).join("specs")));
        Ok(stamp.filter(|stamp| stamp.path.is_absolute() && stamp.id.is_none()))
    }

    fn assembler_version(&self, assembler: &Path) -> Result<Option<String>, ProbeError> {
        let ran = self.run(assembler, &["--version"])?;
        Ok(assembler_banner_version(&ran.stdout))
    }
}

/// One digest over the contents of all files; each stamp becomes that of the file that was read.
fn digest(
    stamps: &mut [Stamp],
    digests: &mut Digests,
) -> Result<([u8; 16], Vec<PathBuf>), ProbeError> {
    let mut parts = Vec::with_capacity(stamps.len());
    let mut files = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        let file_error = |error| ProbeError::File { path: stamp.path.clone(), error };
        let (id, part) = digests.of(&stamp.path).map_err(file_error)?;
        files.push(fs::canonicalize(&stamp.path).map_err(file_error)?);
        stamp.id = Some(id);
        parts.push(part);
    }
    Ok((files::combined(&parts), files))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SYSTEM_PATH, Shelf, installed, skip};
    use super::*;

    fn probe_system(name: &str) -> Option<Probed> {
        let path = installed(name)?;
        Some(probe_local(&path, SYSTEM_PATH.as_ref()).unwrap())
    }

    fn file_names(probed: &Probed) -> Vec<&str> {
        probed.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect()
    }

    #[test]
    fn tells_gcc() {
        let Some(probed) = probe_system("gcc-12") else { return };
        let toolchain = &probed.toolchain;
        assert_eq!((&toolchain.family, probed.driver), (&Family::Gcc, Driver::C));
        assert!(toolchain.version.starts_with("12."), "{toolchain}");
        assert!(toolchain.target.contains("-linux-gnu"), "{toolchain}");
        assert!(toolchain.assembler.as_ref().is_some_and(|version| version.starts_with("2.")));
        assert!(toolchain.ident.starts_with("GCC: ("), "{}", toolchain.ident);
        assert!(toolchain.ident.contains(&toolchain.version));
        assert!(toolchain.configure.contains(&"-fasynchronous-unwind-tables".to_owned()));
        assert_ne!(toolchain.digest, [0; 16]);
        let names = file_names(&probed);
        assert!(names[0].ends_with("gcc-12"), "{names:?}");
        assert_eq!(names[1], "cc1");
        assert!(names.last().unwrap().ends_with("as"), "{names:?}");
    }

    #[test]
    fn tells_two_releases_apart_and_names_of_one_not() {
        let (Some(twelve), Some(eleven)) = (probe_system("gcc-12"), probe_system("gcc-11")) else {
            return;
        };
        assert_ne!(twelve.toolchain.version, eleven.toolchain.version);
        assert_ne!(twelve.toolchain.digest, eleven.toolchain.digest);
        assert_ne!(twelve.toolchain.ident, eleven.toolchain.ident);
        let shelf = Shelf::new();
        let link = shelf.link("gcc", &installed("gcc-11").unwrap());
        let linked = probe_local(&link, &shelf.search_path()).unwrap();
        assert_eq!((&linked.toolchain, &linked.files), (&eleven.toolchain, &eleven.files));
    }

    #[test]
    fn tells_clang_and_its_cxx_driver() {
        let (Some(c), Some(cxx)) = (probe_system("clang-14"), probe_system("clang++-14")) else {
            return;
        };
        assert_eq!((c.driver, cxx.driver), (Driver::C, Driver::Cxx));
        assert_eq!(c.toolchain, cxx.toolchain);
        assert_eq!(c.toolchain.family, Family::Clang);
        assert_eq!(c.toolchain.assembler, None);
        assert!(c.toolchain.ident.contains("clang version 14."), "{}", c.toolchain.ident);
        assert_eq!(file_names(&c), ["clang"]);
    }

    #[test]
    fn looks_behind_a_script() {
        let Some(real) = probe_system("gcc-11") else { return };
        let shelf = Shelf::new();
        let script = shelf.script("gcc", "exec gcc-11 \"$@\"");
        let probed = probe_local(&script, &shelf.search_path()).unwrap();
        assert_eq!(probed.toolchain.version, real.toolchain.version);
        assert_eq!(probed.toolchain.configure, real.toolchain.configure);
        assert_ne!(probed.toolchain.digest, real.toolchain.digest);
        // The script, and the driver that it calls.
        assert_eq!(file_names(&probed)[0], "gcc");
        assert!(probed.files.contains(&real.files[0]), "{:?}", probed.files);
        let flags = shelf.script("cc", "exec gcc-11 -std=c99 -march=nehalem \"$@\"");
        let flagged = probe_local(&flags, &shelf.search_path()).unwrap().toolchain.configure;
        if cfg!(target_arch = "x86_64") {
            assert!(flagged.contains(&"-march=nehalem".to_owned()), "{flagged:?}");
        }
        assert!(flagged.contains(&"-std=c99".to_owned()), "{flagged:?}");
    }

    #[test]
    fn knows_the_assembler_that_path_means() {
        let Some(gcc) = installed("gcc-12") else { return };
        let shelf = Shelf::new();
        let banner = "GNU assembler version 2.99 (x) using BFD version (Mine) 2.99";
        shelf.script("as", &format!("echo '{banner}' >&2; exec /usr/bin/as \"$@\""));
        let probed = probe_local(&gcc, &shelf.search_path()).unwrap();
        assert_eq!(probed.toolchain.assembler.as_deref(), Some("2.99"));
        assert!(probed.files.contains(&shelf.path("as").canonicalize().unwrap()));
        let system = probe_local(&gcc, SYSTEM_PATH.as_ref()).unwrap();
        assert_ne!(probed.toolchain.digest, system.toolchain.digest);
    }

    #[test]
    fn refuses_links_to_programs_that_stand_in() {
        for program in ["ccache", "distcc"] {
            let path = Path::new("/usr/bin").join(program);
            if !path.exists() {
                skip(&format!("{program} is not installed"));
                continue;
            }
            let shelf = Shelf::new();
            let error = probe_local(&shelf.link("gcc", &path), &shelf.search_path()).unwrap_err();
            assert!(
                matches!(error, ProbeError::Masquerade { program: found, .. } if found == program)
            );
        }
    }

    #[test]
    fn tells_other_programs_by_their_contents() {
        let shelf = Shelf::new();
        let one = shelf.script("tcc", "echo tcc version 1 >&2; exit 1");
        let probed = probe_local(&one, &shelf.search_path()).unwrap();
        assert_eq!(probed.toolchain.family, Family::Other("tcc".into()));
        assert_eq!(probed.files, [one.canonicalize().unwrap()]);
        let elsewhere = Shelf::new();
        let same = elsewhere.script("tcc", "echo tcc version 1 >&2; exit 1");
        let other = elsewhere.script("tcc2", "echo tcc version 2 >&2; exit 1");
        let digest =
            |path: &Path| probe_local(path, SYSTEM_PATH.as_ref()).unwrap().toolchain.digest;
        assert_eq!(digest(&same), probed.toolchain.digest);
        assert_ne!(digest(&other), probed.toolchain.digest);
    }

    #[test]
    fn says_why_a_compiler_cannot_be_told() {
        let shelf = Shelf::new();
        let broken = shelf.script(
            "gcc",
            "echo 'Target: x-y-z\ngcc version 12.2.0 (GCC) \ngcc: cannot find cc1' >&2; exit 1",
        );
        let error = probe_local(&broken, &shelf.search_path()).unwrap_err();
        let shown = error.to_string();
        assert!(shown.ends_with("exit status: 1: gcc: cannot find cc1"), "{shown}");
        let missing = probe_local(&shelf.path("none"), &shelf.search_path()).unwrap_err();
        assert!(matches!(missing, ProbeError::File { .. }));
        let relative = probe_local(Path::new("gcc"), &shelf.search_path()).unwrap_err();
        assert!(matches!(relative, ProbeError::NotAbsolute { .. }));
    }
}
