//! compat tests.
