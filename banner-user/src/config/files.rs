//! Which files are the configuration, and their text.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

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
    if required || !is_missing(main) {
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
pub(crate) fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, Errors> {
    if is_missing(directory) {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
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

/// A file whose size is bounded and which is UTF-8.
pub(crate) fn text(path: &Path) -> Result<String, Errors> {
    let mut bytes = Vec::new();
    open(path)
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

/// Opens a file that ends: a FIFO would wait for a writer, a device has no end. A directory says itself what it is when it is read.
///
/// # Errors
/// It cannot be opened, or is no such file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    match file.metadata()?.file_type() {
        kind if kind.is_file() || kind.is_dir() => Ok(file),
        _ => Err(io::Error::other("not a regular file")),
    }
}

/// Whether there is nothing by this name. A symbolic link that leads nowhere is not missing: it was meant to be read.
fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn unreadable(path: &Path, why: &io::Error) -> Errors {
    error(Problem::Unreadable { path: path.to_owned(), why: why.to_string() }, None)
}

fn error(problem: Problem, place: Option<Place>) -> Errors {
    Errors::from(Diagnostic { severity: Severity::Error, problem, place })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A directory with files in it.
    fn directory(files: &[(&str, &[u8])]) -> TempDir {
        let directory = TempDir::new().unwrap();
        for (path, content) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        directory
    }

    /// What is read, as paths in the directory and texts; or what is said.
    fn read_in(directory: &TempDir, required: bool) -> Result<Vec<(String, String)>, String> {
        let shown = |path: &Path| path.strip_prefix(directory.path()).unwrap().to_str().unwrap().to_owned();
        match read_beside(&directory.path().join("banner.toml"), required) {
            Ok(files) => Ok(files.into_iter().map(|(path, text)| (shown(&path), text)).collect()),
            Err(errors) => Err(errors.to_string().replace(&format!("{}/", directory.path().display()), "")),
        }
    }

    fn owned(files: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        Ok(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn drop_ins_follow_the_main_file_in_the_order_of_their_names() {
        let directory = directory(&[
            ("banner.d/20-jail.toml", b"2"),
            ("banner.toml", b"0"),
            ("banner.d/10-net.toml", b"1"),
            ("banner.d/.10-net.toml.swp", b"x"),
            ("banner.d/.hidden.toml", b"x"),
            ("banner.d/README", b"x"),
            ("banner.d/old.toml.bak", b"x"),
            ("other.toml", b"x"),
        ]);
        let expected = [("banner.toml", "0"), ("banner.d/10-net.toml", "1"), ("banner.d/20-jail.toml", "2")];
        assert_eq!(read_in(&directory, true), owned(&expected));
    }

    #[test]
    fn only_the_default_file_may_be_missing() {
        let directory = directory(&[("banner.d/a.toml", b"1")]);
        assert_eq!(read_in(&directory, false), owned(&[("banner.d/a.toml", "1")]));
        assert_eq!(
            read_in(&directory, true),
            Err("error: cannot read banner.toml: No such file or directory (os error 2)\n  = check the path, and whether you are root\n"
                .to_owned())
        );
    }

    #[test]
    fn a_link_that_leads_nowhere_is_not_a_missing_file() {
        let directory = directory(&[]);
        symlink("/nonexistent", directory.path().join("banner.toml")).unwrap();
        assert!(read_in(&directory, false).unwrap_err().starts_with("error: cannot read banner.toml: No such file"));
    }

    #[test]
    fn a_directory_that_is_named_like_a_file_is_an_error() {
        let directory = directory(&[("banner.d/a.toml/b", b"")]);
        assert!(
            read_in(&directory, false).unwrap_err().starts_with("error: cannot read banner.d/a.toml: Is a directory")
        );
    }

    #[test]
    fn what_is_not_text_is_shown_where_it_stands() {
        let directory = directory(&[("banner.toml", b"# one\nignoreip = \"\xff\x1b\"\n")]);
        assert_eq!(
            read_in(&directory, true),
            Err(r#"error: not UTF-8
  --> banner.toml:2:13
  |
2 | ignoreip = "\xff\u{1b}"
  |             ^^^^ save the file as UTF-8
"#
            .to_owned())
        );
    }

    #[test]
    fn the_size_and_the_number_of_files_are_bounded() {
        let fits = directory(&[("banner.toml", &vec![b'#'; SIZE_MAX])]);
        assert!(read_in(&fits, true).is_ok());
        let large = directory(&[("banner.toml", &vec![b'#'; SIZE_MAX + 1])]);
        assert!(read_in(&large, true).unwrap_err().starts_with("error: banner.toml is larger than 1048576 bytes\n"));

        let names: Vec<_> = (0..=FILES_MAX).map(|number| format!("banner.d/{number}.toml")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
        assert_eq!(read_in(&directory(&files[1..]), false).unwrap().len(), FILES_MAX);
        assert!(
            read_in(&directory(&files), false).unwrap_err().starts_with("error: more than 100 files in banner.d\n")
        );
    }

    #[test]
    fn the_directory_beside_is_named_after_the_file() {
        for (file, expected) in [
            (DEFAULT_PATH, "/etc/banner/banner.d"),
            ("/srv/relay.toml", "/srv/relay.d"),
            ("/srv/relay.conf", "/srv/relay.conf.d"),
            ("relay", "relay.d"),
            ("../a.b.toml", "../a.b.d"),
        ] {
            assert_eq!(drop_in_directory(Path::new(file)), Path::new(expected));
        }
    }
}
