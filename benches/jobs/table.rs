//! The numbers as a person reads them.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// One quantity of one case, of both sides.
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) what: &'static str,
    pub(crate) values: [Duration; 2],
}

/// All of them.
pub(crate) struct Table {
    sides: [&'static str; 2],
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(sides: [&'static str; 2]) -> Self {
        Self { sides, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [ours, theirs] = self.sides;
        writeln!(f, "{:<12} {:<24} {ours:>12} {theirs:>12} {:>7}", "job", "us per job", "ratio")?;
        let mut last = "";
        for Row { case, what, values: [ours, theirs] } in &self.rows {
            let case = if *case == last { "" } else { case };
            last = if case.is_empty() { last } else { case };
            let (ours, theirs) = (ours.as_micros(), theirs.as_micros());
            write!(f, "{case:<12} {what:<24} {ours:>12} {theirs:>12} ")?;
            match theirs {
                0 => writeln!(f, "{:>7}", "-")?,
                _ => writeln!(f, "{:>7.2}", ours as f64 / theirs as f64)?,
            }
        }
        Ok(())
    }
}
