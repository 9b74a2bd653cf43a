//! From what the preprocessor wrote to the text that is sent.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;

use crate::command::{Compile, Form, entered_files, hidden_pragmas, put_back, without_comments};

use super::preprocess::{Payload, PreprocessFailure, Written, makes_assembler_read};

/// The text in this form; none if the source needs the plain one.
pub(super) fn in_form(
    written: Written,
    form: &Form,
    compile: &Compile,
) -> Result<Option<Payload>, PreprocessFailure> {
    let Written { text, said } = written;
    let text = match form {
        Form::Directives => with_pragmas(text, compile.source.as_os_str()),
        Form::Plain | Form::Rewritten { .. } => Some(text),
    };
    let Some(text) = text else { return Ok(None) };
    let Some(source) = form.text(compile, text) else { return Ok(None) };
    // An English sentence in a comment is no directive.
    let reads = makes_assembler_read(&source)
        && (*form == Form::Plain || makes_assembler_read(&without_comments(&source)));
    if reads {
        return Err(PreprocessFailure::ReadsFile);
    }
    Ok(Some(Payload { source, said, form: form.clone() }))
}

/// The text with the pragmas that were lost on the way; none if a file of which gcc made it has
/// some that cannot be told, or cannot be looked at. The preprocessor has just read them all.
fn with_pragmas(text: Vec<u8>, source: &OsStr) -> Option<Vec<u8>> {
    let mut names: Vec<&OsStr> = entered_files(&text).collect();
    names.push(source);
    names.sort_unstable();
    names.dedup();
    let mut files = HashMap::new();
    for name in names {
        let hidden = hidden_pragmas(&fs::read(name).ok()?)?;
        if !hidden.is_empty() {
            files.insert(name, hidden);
        }
    }
    if files.is_empty() {
        return Some(text);
    }
    put_back(&text, &files)
}
