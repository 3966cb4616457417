//! Columns of fixed widths, for rows that are written as they come: what comes later is not known. A longer cell moves its row,
//! and no more.

use super::style::Style;

/// Each column's heading and width.
#[derive(Debug)]
pub(super) struct Columns<const COUNT: usize>(pub(super) [(&'static str, usize); COUNT]);

impl<const COUNT: usize> Columns<COUNT> {
    /// The headings and a newline before the first row, nothing before the others.
    pub(super) fn heading(&self, begun: &mut bool, style: &Style) -> String {
        if std::mem::replace(begun, true) {
            return String::new();
        }
        format!("{}\n", style.heading(&self.row(&self.0.map(|(heading, _)| heading.to_owned()))))
    }

    /// A row, without a newline.
    pub(super) fn row(&self, cells: &[String; COUNT]) -> String {
        let cells: Vec<_> = cells.iter().zip(self.0).map(|(cell, (_, width))| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    }
}
