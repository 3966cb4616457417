use std::{fs, os::unix::fs::symlink};

use tempfile::TempDir;

use super::*;

/// A directory with these files in its `filters.d`.
fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join(DIRECTORY)).unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(DIRECTORY).join(name), content).unwrap();
    }
    directory
}

fn catalogue(directory: &TempDir) -> Catalogue {
    Catalogue::beside(Some(&directory.path().join("banner.toml")))
}

/// What is said, with paths from the directory on.
fn said(directory: &TempDir, text: impl ToString) -> String {
    text.to_string().replace(&format!("{}/", directory.path().display()), "")
}

/// What is said of a filter.
fn refused(directory: &TempDir, name: &str) -> String {
    said(directory, catalogue(directory).filter(name).unwrap_err())
}

fn checked(directory: &TempDir, config: &Config) -> Vec<String> {
    catalogue(directory).check(Some(config)).iter().map(|found| said(directory, found)).collect()
}

/// A configuration with a jail of these filters.
fn jail(filters: &[&str]) -> Config {
    let mut config = Config::default();
    config.policy.jails[0].filters = filters.iter().map(|name| (*name).into()).collect();
    config
}

const SOUND: &[u8] = b"ident = ['x']\n[[rule]]\nkind = 'failure'\nstart = 'failed '\npattern = '<ADDR>'\nexample = 'failed 192.0.2.1'\n";

#[test]
fn scratch() {
    for text in include_str!("messages.txt").split("<<<<\n").skip(1) {
        let (text, _) = text.split_once("\n>>>>\n").unwrap();
        eprintln!("<<<<\n{text}\n>>>>\n{}", refused(&directory(&[("mine.toml", text.as_bytes())]), "mine"));
    }
}
