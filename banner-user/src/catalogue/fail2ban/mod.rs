//! fail2ban's filters as they are: what a file of `filter.d` says, with all its includes and options, as a definition that
//! `detect` can compile.
//!
//! ```toml
//! filter = "fail2ban:/etc/fail2ban/filter.d/postfix.conf[mode=aggressive]"
//! ```
//!
//! Read are `[INCLUDES]`, `.local` files, `[DEFAULT]`, `[Init]`, `[Definition]` and every section that they name; of
//! `[Definition]`: `prefregex`, `failregex`, `ignoreregex`, `datepattern`, `maxlines` (which must be 1), `usedns` and whatever
//! these refer to. `journalmatch` says where lines come from, not what they mean: in banner the jail's `source` does.
//!
//! | file | what it does |
//! | --- | --- |
//! | `reference` | reads the name |
//! | `ini` | reads one file |
//! | `files` | reads what belongs together |
//! | `options` | replaces names by what they stand for |

mod error;
mod files;
mod ini;
mod options;
mod reference;

use self::options::Options;
pub use self::{
    error::ImportError,
    reference::{Reference, ReferenceError},
};
use crate::detect::{Filter, ImportRefused, Imports};

/// Reads and compiles the filter that a name refers to.
///
/// # Errors
/// A file cannot be read, or something in it cannot be had here.
pub fn filter(name: &str, reference: Reference) -> Result<Filter, ImportError> {
    let files = files::read(&reference.path)?;
    let options = Options::new(&files, reference.options)?;
    Ok(Filter::imported(name, &imports(&options)?)?)
}

fn imports(options: &Options<'_>) -> Result<Imports, ImportError> {
    let lines = |option: &str| -> Result<Vec<String>, ImportError> {
        let value = options.value(option)?.unwrap_or_default();
        Ok(value.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    };
    if options.value("maxlines")?.is_some_and(|lines| lines.trim() != "1") {
        return Err(ImportRefused::SeveralLines.into());
    }
    Ok(Imports {
        prefregex: options.value("prefregex")?.filter(|value| !value.is_empty()),
        failregex: lines("failregex")?,
        ignoreregex: lines("ignoreregex")?,
        datepattern: lines("datepattern")?,
        names: options.value("usedns")?.as_deref() != Some("no"),
    })
}

#[cfg(test)]
mod tests;
