//! Postfix and Dovecot.

use super::row::Row;

/// The table.
pub(crate) fn rows() -> Vec<Row> {
    vec![]
}
