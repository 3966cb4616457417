//! By which filters, and in which time zone.

use std::path::Path;

use jiff::tz::TimeZone;

use crate::{
    catalogue::Catalogue,
    cli::{Failure, output::Output},
    config::{Config, Errors},
    detect::Filter,
};

/// What lines are read by.
pub(super) struct Filters {
    /// Each name once.
    pub(super) filters: Vec<Filter>,
    /// Of stamps that name none.
    pub(super) zone: TimeZone,
    /// All that were meant are there.
    pub(super) is_complete: bool,
}

impl Filters {
    /// Those that were named, or else all there are.
    ///
    /// A named filter has to be usable. Of all there are, one that is broken is told and left out, so that somebody's unfinished
    /// filter does not hold up the others.
    pub(super) fn read(named: &[String], config: Option<&Path>, output: &mut Output) -> Result<Self, Failure> {
        let catalogue = Catalogue::beside(config);
        let known = catalogue.names();
        let zone = zone(config, known.as_deref().unwrap_or_default(), output);
        if !named.is_empty() {
            let mut filters: Vec<Filter> = Vec::new();
            for name in named {
                let filter = if is_path(name) { Catalogue::file(Path::new(name)) } else { catalogue.filter(name) };
                let filter = filter.map_err(Errors::from)?;
                if filters.iter().all(|other| other.name() != filter.name()) {
                    filters.push(filter);
                }
            }
            return Ok(Self { filters, zone, is_complete: true });
        }
        let mut is_complete = true;
        let mut left_out = |errors: &Errors, output: &mut Output| {
            is_complete = false;
            output.note(&format!("{errors}  it is left out; name the filters to use with --filter"));
        };
        let mut names = known.unwrap_or_else(|error| {
            left_out(&Errors::from(error), output);
            Filter::built_in_names().map(str::to_owned).collect()
        });
        names.sort();
        names.dedup();
        let mut filters = Vec::new();
        for name in names {
            match catalogue.filter(&name) {
                Ok(filter) => filters.push(filter),
                Err(error) => left_out(&Errors::from(error), output),
            }
        }
        Ok(Self { filters, zone, is_complete })
    }
}

/// A filter's file, and not the name of one: only the former has a directory.
fn is_path(name: &str) -> bool {
    name.contains('/') && name.ends_with(".toml")
}

/// `time_zone` is all that matching needs of a configuration; one that is broken, or not there, stands in nobody's way.
fn zone(config: Option<&Path>, known: &[String], output: &mut Output) -> TimeZone {
    let zone = match Config::load(config, known) {
        Ok(config) => config.time_zone,
        Err(_) => {
            output.note(
                "warning: the configuration cannot be used (`banner check` tells why); times without a zone are taken for this \
                 machine's",
            );
            None
        }
    };
    zone.unwrap_or_else(TimeZone::system)
}
