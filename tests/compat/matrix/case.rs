//! What a row of the matrix says.

/// The compilers, by the names that are typed.
pub(super) const ALL: &[&str] = &["gcc", "g++", "clang", "clang++"];
pub(super) const GNU: &[&str] = &["gcc", "g++"];
pub(super) const LLVM: &[&str] = &["clang", "clang++"];
pub(super) const C: &[&str] = &["gcc", "clang"];
pub(super) const CXX: &[&str] = &["g++", "clang++"];
/// It says of C sources that it takes them for C++: of `.i` only when it compiles them, and of
/// several before it compiles the first.
pub(super) const CLANGXX: &[&str] = &["clang++"];

/// Where our client must have the command done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// All of so many jobs on a host, and nothing here.
    Remote(usize),
    /// Here, with a reason in the log.
    Local,
    /// The words of the local compiler are wanted, so that it may well run in the end.
    Anywhere,
}

/// How the client comes into play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// `distcc gcc -c a.c`.
    Explicit,
    /// `gcc -c a.c`, which is a link to the client.
    Masquerade,
    /// `distcc -c a.c`, which is `cc`.
    Implicit,
}

/// A command line and what is expected of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// For `sh -c`; `$CC` is the compiler behind the client, `$RAW` the compiler alone.
    pub(super) script: &'static str,
    /// For which compilers.
    pub(super) compilers: &'static [&'static str],
    pub(super) place: Where,
    /// Compilers with which it is done here all the same.
    pub(super) here: &'static [&'static str],
    pub(super) call: Call,
}

/// One job on a host.
pub(super) const fn remote(script: &'static str) -> Case {
    Case { script, compilers: ALL, place: Where::Remote(1), here: &[], call: Call::Explicit }
}

/// Done here.
pub(super) const fn local(script: &'static str) -> Case {
    Case { place: Where::Local, ..remote(script) }
}

/// Done wherever the client likes.
pub(super) const fn anywhere(script: &'static str) -> Case {
    Case { place: Where::Anywhere, ..remote(script) }
}

impl Case {
    pub(super) const fn on(self, compilers: &'static [&'static str]) -> Self {
        Self { compilers, ..self }
    }

    pub(super) const fn jobs(self, n_jobs: usize) -> Self {
        Self { place: Where::Remote(n_jobs), ..self }
    }

    pub(super) const fn here_with(self, compilers: &'static [&'static str]) -> Self {
        Self { here: compilers, ..self }
    }

    pub(super) fn place_with(&self, compiler: &str) -> Where {
        if self.here.contains(&compiler) { Where::Local } else { self.place }
    }

    pub(super) const fn by(self, call: Call) -> Self {
        Self { call, ..self }
    }
}
