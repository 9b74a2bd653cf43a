//! How much of anything a peer may send. The original has no such limits (distcc 3.4 allocates
//! whatever the length field says); ours are far above what real compiles need. Every length of
//! the wire is compared with one of them before anything is allocated for it.

/// Most arguments of a request, compiler included. A command through `execve` may be 2 MiB long;
/// what travels is stripped of the preprocessor's options and is far below it.
pub(crate) const MAX_ARGC: usize = 20_000;
/// Most bytes of all arguments of a request together.
pub(crate) const MAX_ARGV_TOTAL: usize = 1 << 20;
/// Most bytes of a preprocessed source on the wire, compressed or not.
pub(crate) const MAX_BODY: usize = 256 << 20;
/// Most bytes that a compressed source may expand to.
pub(crate) const MAX_EXPANDED: usize = 512 << 20;
/// Most bytes of an object, on the wire and expanded.
pub(crate) const MAX_OBJECT: usize = 1 << 30;
/// Most bytes of the compiler's standard error, and of its standard output, on the wire and
/// expanded.
pub(crate) const MAX_STDERR: usize = 16 << 20;

/// The limits that a decoder keeps. Tests take small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Arguments of a request.
    pub(crate) argc: usize,
    /// Bytes of all arguments together.
    pub(crate) argv_total: usize,
    /// Bytes of a source on the wire.
    pub(crate) body: usize,
    /// Bytes of a source after expansion.
    pub(crate) expanded: usize,
    /// Bytes of an object, before and after expansion.
    pub(crate) object: usize,
    /// Bytes of standard error or standard output, before and after expansion.
    pub(crate) stderr: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            argc: MAX_ARGC,
            argv_total: MAX_ARGV_TOTAL,
            body: MAX_BODY,
            expanded: MAX_EXPANDED,
            object: MAX_OBJECT,
            stderr: MAX_STDERR,
        }
    }
}
