//! The rows, by subject.

mod asked;
mod calls;
mod debug;
mod depend;
mod language;
mod lto;
mod messages;
mod native;
mod outputs;
mod passed;
mod response;
mod several;
mod side;
mod tuning;

use super::case::Case;

/// Every subject with its rows.
pub(super) const SUBJECTS: &[(&str, &[Case])] = &[
    ("invocation", calls::CASES),
    ("questions, preprocessing and linking", asked::CASES),
    ("optimisation and code", tuning::CASES),
    ("outputs", outputs::CASES),
    ("dependencies", depend::CASES),
    ("side files", side::CASES),
    ("languages", language::CASES),
    ("several inputs", several::CASES),
    ("@file", response::CASES),
    ("-Wp and -Xpreprocessor", passed::CASES),
    ("debug info", debug::CASES),
    ("LTO", lto::CASES),
    ("native", native::CASES),
    ("errors and warnings", messages::CASES),
];
