//! From what the preprocessor wrote to the text that is sent.

use std::fs;
use std::path::Path;

use crate::command::{Compile, Form, entered_files, has_lost_pragma, without_comments};

use super::preprocess::{Payload, PreprocessFailure, Written, makes_assembler_read};

/// The text in this form; none if the source needs the plain one.
pub(super) fn in_form(
    written: Written,
    form: &Form,
    compile: &Compile,
) -> Result<Option<Payload>, PreprocessFailure> {
    let Written { text, said } = written;
    if *form == Form::Directives && has_lost_pragmas(&text, &compile.source) {
        return Ok(None);
    }
    let Some(source) = form.text(compile, text) else { return Ok(None) };
    // An English sentence in a comment is no directive.
    let reads = makes_assembler_read(&source)
        && (*form == Form::Plain || makes_assembler_read(&without_comments(&source)));
    if reads {
        return Err(PreprocessFailure::ReadsFile);
    }
    Ok(Some(Payload { source, said, form: form.clone() }))
}

/// True if a file of which gcc made the text has pragmas that are lost on the way, or cannot be
/// looked at. The preprocessor has just read them all.
fn has_lost_pragmas(text: &[u8], source: &Path) -> bool {
    let mut files: Vec<&Path> = entered_files(text).map(Path::new).collect();
    files.push(source);
    files.sort_unstable();
    files.dedup();
    files.iter().any(|file| fs::read(file).map_or(true, |contents| has_lost_pragma(&contents)))
}
