//! Which files are the configuration, and their text.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    diagnostic::{Diagnostic, Errors, Place, Severity},
    problem::Problem,
};

/// The main file where none is named. It may be missing.
pub const DEFAULT_PATH: &str = "/etc/banner/banner.toml";

/// The largest file that is read, in bytes.
const SIZE_MAX: usize = 1 << 20;
/// The most files in the directory beside the main file.
const FILES_MAX: usize = 100;

/// The main file, then those beside it in the byte order of their names.
pub(super) fn read(named: Option<&Path>) -> Result<Vec<(PathBuf, String)>, Errors> {
    match named {
        Some(path) => read_beside(path, true),
        None => read_beside(Path::new(DEFAULT_PATH), false),
    }
}

fn read_beside(main: &Path, required: bool) -> Result<Vec<(PathBuf, String)>, Errors> {
    let mut files = Vec::new();
    // A symbolic link that leads nowhere is not missing: it was meant to be read.
    if required || !is_missing(&fs::symlink_metadata(main)) {
        files.push(main.to_owned());
    }
    files.extend(drop_ins(&drop_in_directory(main))?);
    files.into_iter().map(|path| text(&path).map(|text| (path, text))).collect()
}

/// `banner.d` for `banner.toml`: the file's name without `.toml`, with `.d`.
fn drop_in_directory(main: &Path) -> PathBuf {
    let stem = if main.extension() == Some(OsStr::new("toml")) { main.file_stem() } else { main.file_name() };
    let mut name = stem.unwrap_or_default().to_owned();
    name.push(".d");
    main.with_file_name(name)
}

/// The files `*.toml` of a directory that need not exist. Hidden ones are editors' business.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, Errors> {
    let entries = match fs::read_dir(directory) {
        result if is_missing(&result) => return Ok(Vec::new()),
        result => result.map_err(|error| unreadable(directory, &error))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(directory, &error))?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension() == Some(OsStr::new("toml")) {
            if paths.len() == FILES_MAX {
                return Err(error(Problem::TooManyFiles { path: directory.to_owned(), limit: FILES_MAX }, None));
            }
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> Result<String, Errors> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SIZE_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() > SIZE_MAX {
        return Err(error(Problem::TooLarge { path: path.to_owned(), limit: SIZE_MAX }, None));
    }
    String::from_utf8(bytes).map_err(|invalid| {
        let start = invalid.utf8_error().valid_up_to();
        let place = Place::new(path.to_owned(), invalid.as_bytes(), start..start + 1);
        error(Problem::NotText, Some(place))
    })
}

fn is_missing<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn unreadable(path: &Path, why: &io::Error) -> Errors {
    error(Problem::Unreadable { path: path.to_owned(), why: why.to_string() }, None)
}

fn error(problem: Problem, place: Option<Place>) -> Errors {
    Errors::from(Diagnostic { severity: Severity::Error, problem, place })
}
