//! The matrix: many command lines, each by gcc, g++, clang and clang++, run by the compiler alone,
//! by Debian's distcc 3.4 and by ours. Ours must give the exit code, the words and every file of
//! the local run; where the original differs is printed as a table.
//!
//! [`cases`] is the data, by subject; [`table`] runs them.

mod case;
mod cases;
mod desk;
mod snapshot;
mod sources;
mod table;
