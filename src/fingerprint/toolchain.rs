//! The identity of a toolchain, a plain value.

use std::fmt::{self, Display, Formatter};

use crate::command::Driver;
use crate::wire::control::{CompilerRecord, ToolchainRecord};

/// The kind of a compiler.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    /// The GNU compilers.
    Gcc,
    /// clang and its siblings that call themselves so.
    Clang,
    /// Any other program, by its bare name.
    Other(String),
}

impl Family {
    /// The family of this name, as in [`Display`].
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "gcc" => Self::Gcc,
            "clang" => Self::Clang,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Display for Family {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gcc => "gcc",
            Self::Clang => "clang",
            Self::Other(name) => name,
        })
    }
}

/// Everything that decides whether two compilers make the same objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Toolchain {
    /// gcc, clang, or another program.
    pub(crate) family: Family,
    /// Full version, `12.2.0`; empty for an unknown family.
    pub(crate) version: String,
    /// As the compiler prints it, `x86_64-linux-gnu`; empty for an unknown family.
    pub(crate) target: String,
    /// Version of the external assembler, `2.40`; none where none runs or none is known.
    pub(crate) assembler: Option<String>,
    /// Who built it, `Debian`, `Red Hat`; `GNU` or `LLVM` for a build that names nobody; empty when
    /// unknown.
    pub(crate) distributor: String,
    /// The distributor's package revision, `12.2.0-14+deb12u1`; empty when unknown.
    pub(crate) revision: String,
    /// What changes defaults, sorted: configure words (`--enable-default-pie`) and options that the
    /// driver adds by itself (`-march=x86-64`, a wrapper's `-std=c99`).
    pub(crate) configure: Vec<String>,
    /// Over driver, compilers proper and assembler; all zero when unknown (a stock peer).
    pub(crate) digest: [u8; 16],
    /// What it writes into `.comment`; empty when unknown.
    pub(crate) ident: String,
}

impl Display for Toolchain {
    /// `gcc 12.2.0 x86_64-linux-gnu, as 2.40`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.family)?;
        if !self.version.is_empty() {
            write!(f, " {}", self.version)?;
        }
        if !self.target.is_empty() {
            write!(f, " {}", self.target)?;
        }
        if let Some(assembler) = &self.assembler {
            write!(f, ", as {assembler}")?;
        }
        Ok(())
    }
}

/// A compiler that a server offers, and the names under which it is known there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    /// The default name first; never empty.
    pub(crate) names: Vec<String>,
    /// How it takes `x.c`.
    pub(crate) driver: Driver,
    /// What it is.
    pub(crate) toolchain: Toolchain,
}

impl From<&Toolchain> for ToolchainRecord {
    fn from(toolchain: &Toolchain) -> Self {
        Self {
            family: toolchain.family.to_string(),
            version: toolchain.version.clone(),
            target: toolchain.target.clone(),
            assembler: toolchain.assembler.clone(),
            distributor: toolchain.distributor.clone(),
            revision: toolchain.revision.clone(),
            configure: toolchain.configure.clone(),
            digest: toolchain.digest,
            ident: toolchain.ident.clone(),
        }
    }
}

impl From<ToolchainRecord> for Toolchain {
    fn from(record: ToolchainRecord) -> Self {
        Self {
            family: Family::from_name(&record.family),
            version: record.version,
            target: record.target,
            assembler: record.assembler,
            distributor: record.distributor,
            revision: record.revision,
            configure: record.configure,
            digest: record.digest,
            ident: record.ident,
        }
    }
}

impl From<&Offered> for CompilerRecord {
    fn from(offered: &Offered) -> Self {
        Self {
            names: offered.names.clone(),
            cxx: offered.driver == Driver::Cxx,
            toolchain: (&offered.toolchain).into(),
        }
    }
}

impl From<CompilerRecord> for Offered {
    fn from(record: CompilerRecord) -> Self {
        Self {
            names: record.names,
            driver: if record.cxx { Driver::Cxx } else { Driver::C },
            toolchain: record.toolchain.into(),
        }
    }
}
