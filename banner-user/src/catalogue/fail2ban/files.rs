//! A filter's file with all that it includes, merged.
//!
//! ```text
//! before ... NAME.conf ... after, then the same for NAME.local     the later file's options win
//! ```
//!
//! Every file has a `.local` beside it, if there is one, and every file its own includes. What a later file replaces stays
//! known as `known/OPTION`. A file that is named and is not there is an error, but for a `.local`, which nearly never is.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    error::ImportError,
    ini::{self, Section, Sections},
};
use crate::config::open;

/// The largest file that is read, in bytes.
const SIZE_MAX: u64 = 1 << 20;
/// How deep includes may be nested.
const DEPTH_MAX: usize = 8;
/// How many files one filter may be made of.
const FILES_MAX: usize = 32;

/// The section whose options all others inherit.
const DEFAULT: &str = "DEFAULT";
/// The section that names other files.
const INCLUDES: &str = "INCLUDES";

/// What the files say together.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// `[DEFAULT]`: what every section has.
    pub(super) defaults: Section,
    pub(super) sections: Sections,
    /// What stood in a section before a later file replaced it.
    pub(super) known: BTreeMap<String, Section>,
}

/// Reads and merges a file and all that belongs to it.
pub(super) fn read(path: &Path) -> Result<Merged, ImportError> {
    let mut files = Vec::new();
    with_local(path, &[], &mut files)?;
    let mut merged = Merged::default();
    for file in files {
        merged.add(file);
    }
    Ok(merged)
}

impl Merged {
    /// Puts a later file over the earlier ones.
    pub(super) fn add(&mut self, file: Sections) {
        for (name, options) in file {
            if name == DEFAULT {
                self.defaults.extend(options);
                continue;
            }
            let section = self.sections.entry(name.clone()).or_default();
            let known = self.known.entry(name).or_default();
            for (key, value) in options {
                if let Some(replaced) = section.insert(key.clone(), value) {
                    known.insert(key, replaced);
                }
            }
        }
    }
}

/// The file and its `.local`, each with its includes, in the order in which they count. `above` are the files that include it.
fn with_local(path: &Path, above: &[PathBuf], files: &mut Vec<Sections>) -> Result<(), ImportError> {
    with_includes(path, above, files)?;
    let local = path.with_extension("local");
    if local != path && local.is_file() {
        with_includes(&local, above, files)?;
    }
    Ok(())
}

fn with_includes(path: &Path, above: &[PathBuf], files: &mut Vec<Sections>) -> Result<(), ImportError> {
    if above.len() > DEPTH_MAX || files.len() >= FILES_MAX {
        return Err(ImportError::TooManyFiles { path: path.to_owned(), depth: DEPTH_MAX, files: FILES_MAX });
    }
    let mut sections = sections(path)?;
    let includes = sections.remove(INCLUDES).unwrap_or_default();
    let above: Vec<_> = above.iter().cloned().chain([path.to_owned()]).collect();
    include(includes.get("before"), &above, files)?;
    files.push(sections);
    include(includes.get("after"), &above, files)
}

/// The files of a list, one a line, relative to the file that names them. A file that includes itself, through whatever others,
/// is not read again there.
fn include(list: Option<&String>, above: &[PathBuf], files: &mut Vec<Sections>) -> Result<(), ImportError> {
    for name in list.into_iter().flat_map(|list| list.lines()).filter(|name| !name.is_empty()) {
        let path = above.last().map(|including| including.with_file_name(name)).unwrap_or_default();
        let optional = path.extension().is_some_and(|extension| extension == "local");
        if !above.contains(&path) && (!optional || path.is_file()) {
            with_local(&path, above, files)?;
        }
    }
    Ok(())
}

fn sections(path: &Path) -> Result<Sections, ImportError> {
    let unreadable = |error: &io::Error| ImportError::Unreadable { path: path.to_owned(), why: error.to_string() };
    let mut text = String::new();
    let length = open(path)
        .and_then(|file| file.take(SIZE_MAX + 1).read_to_string(&mut text))
        .map_err(|error| unreadable(&error))?;
    if length as u64 > SIZE_MAX {
        return Err(ImportError::TooLarge { path: path.to_owned(), limit: SIZE_MAX });
    }
    ini::parse(&text).map_err(|error| ImportError::Syntax { path: path.to_owned(), line: error.line, what: error.what })
}
