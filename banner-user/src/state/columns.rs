//! How origins, prefixes and services stand in columns.

use std::{
    collections::{HashMap, HashSet},
    fmt::{self, Write as _},
    sync::Arc,
};

use ipnet::IpNet;
use rusqlite::{Connection, types::ValueRef};

use crate::{
    judge::Origin,
    service::{ServiceMask, Services},
};

/// What the numbers in the column `services` mean.
pub(super) struct ServiceSets {
    /// The services that are known, and the names of those that are not.
    pub(super) masks: HashMap<i64, (ServiceMask, Vec<String>)>,
}

impl ServiceSets {
    /// Reads all of them.
    pub(super) fn read(connection: &Connection, services: &Services) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare("SELECT id, names FROM service_sets")?;
        let sets = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        let masks = sets.map(|set| {
            let (id, names) = set?;
            let mut known = (ServiceMask::NONE, Vec::new());
            for name in names.split(',') {
                match services.mask([name]) {
                    Ok(mask) => known.0 = known.0.union(mask),
                    Err(_) => known.1.push(name.to_owned()),
                }
            }
            Ok((id, known))
        });
        Ok(Self { masks: masks.collect::<rusqlite::Result<_>>()? })
    }
}

/// The origins that were read, so that each jail's name is kept once.
#[derive(Default)]
pub(super) struct Origins {
    jails: HashSet<Arc<str>>,
}

impl Origins {
    pub(super) fn parse(&mut self, column: ValueRef<'_>) -> Option<Origin> {
        let text = text(column)?;
        match text {
            "hand" => Some(Origin::Hand),
            "adopted" => Some(Origin::Adopted),
            _ => Some(Origin::Jail(self.jail(text.strip_prefix("jail:")?))),
        }
    }

    pub(super) fn jail(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.jails.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.jails.insert(Arc::clone(&name));
        name
    }
}

/// An origin as it stands on disk.
pub(super) struct Column<'a>(pub(super) &'a Origin);

impl fmt::Display for Column<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Origin::Hand => f.write_str("hand"),
            Origin::Adopted => f.write_str("adopted"),
            Origin::Jail(name) => write!(f, "jail:{name}"),
            // The judge saves none of these.
            Origin::List(name) => write!(f, "list:{name}"),
        }
    }
}

/// Reads a prefix, which has no bits beyond its length.
pub(super) fn prefix(column: ValueRef<'_>) -> Option<IpNet> {
    let prefix: IpNet = text(column)?.parse().ok()?;
    (prefix.network() == prefix.addr()).then_some(prefix)
}

fn text(column: ValueRef<'_>) -> Option<&str> {
    match column {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
    }
}

/// Writes into the same memory again.
pub(super) fn show(buffer: &mut String, what: impl fmt::Display) {
    buffer.clear();
    // Writing to a string does not fail.
    let _ = write!(buffer, "{what}");
}
