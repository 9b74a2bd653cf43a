//! What is known of compiler command lines, pure: one option table for client and server.
//!
//! `table` holds the options and `options` finds them; `scan` decides for the client whether a
//! command may be compiled elsewhere and `rewrite` makes the two commands that this takes; `vet`
//! is the server's view of the same table. `form` says in which form a source travels, with the
//! help of `comments`, `pragmas` and `directives`, of which the server asks the last, too.
//! `indentation` finds what only gcc here can warn of; `native` says `-march=native` for other
//! machines; `several` splits a command with several sources; `wp` reads `-Wp,` and `response`
//! `@file`; `sources` knows file names, `names` those of compilers. Nothing here opens a file, reads
//! the environment or logs. All three programs may import it.

mod comments;
mod depfile;
mod directives;
mod form;
mod indentation;
mod names;
pub(crate) mod native;
mod options;
mod pragmas;
mod reason;
mod response;
mod rewrite;
mod scan;
mod several;
mod sources;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod vet;
mod wp;

#[cfg(test)]
mod complete;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod stock;

pub(crate) use comments::without_comments;
pub(crate) use directives::{guarded, may_be_obeyed, names_files};
pub(crate) use form::{Form, Maker};
pub(crate) use indentation::may_mislead;
pub(crate) use names::CompilerName;
pub(crate) use pragmas::{entered_files, hidden_pragmas, put_back};
pub(crate) use reason::{LocalReason, Weight};
pub(crate) use response::expand;
pub(crate) use rewrite::{preprocess_argv, server_argv, syntax_argv};
pub(crate) use scan::{Compile, Kind, Plan, scan};
pub(crate) use several::{Single, is_assembler};
pub(crate) use sources::{Driver, Language, preprocessed_suffix};
pub(crate) use vet::{Admitted, Refusal, vet};
