use std::{fs, os::unix::fs::symlink};

use tempfile::TempDir;

use super::*;
use crate::{
    clock::WallTime,
    event::{Attempt, Event},
};

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
fn said(directory: &TempDir, text: &impl ToString) -> String {
    text.to_string().replace(&format!("{}/", directory.path().display()), "")
}

/// What is said of a filter.
fn refused(directory: &TempDir, name: &str) -> String {
    said(directory, &catalogue(directory).filter(name).unwrap_err())
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

const SOUND: &[u8] =
    b"ident = ['x']\n[[rule]]\nkind = 'failure'\nstart = 'failed '\npattern = '<ADDR>'\nexample = 'failed 192.0.2.1'\n";

/// Blocks of `<<<<`, a filter, `>>>>`, and what is said of it.
const MESSAGES: &str = include_str!("messages.txt");

#[test]
fn what_is_wrong_with_a_filter_is_said_where_it_stands() {
    let blocks: Vec<_> = MESSAGES.split("<<<<\n").skip(1).collect();
    assert!(blocks.len() > 20, "{}", blocks.len());
    for block in blocks {
        let (text, expected) = block.split_once("\n>>>>\n").unwrap();
        assert_eq!(refused(&directory(&[("mine.toml", text.as_bytes())]), "mine"), expected, "{text}");
    }
}

#[test]
fn hidden_files_and_what_editors_leave_are_no_filters() {
    let files = [".hidden.toml", ".#mine.toml", "#mine.toml#", "mine.toml~", "mine.toml.bak", "README", "mine.toml"];
    let directory = directory(&files.map(|name| (name, SOUND)));
    let names = catalogue(&directory).names().unwrap();
    let own: Vec<_> = names.iter().filter(|name| !Filter::built_in_names().any(|known| known == **name)).collect();
    assert_eq!(own, ["mine"]);
    assert_eq!(&**catalogue(&directory).filter("mine").unwrap().name(), "mine");
}

#[test]
fn without_a_directory_there_are_the_built_in_filters() {
    let directory = TempDir::new().unwrap();
    assert_eq!(catalogue(&directory).names().unwrap(), Filter::built_in_names().collect::<Vec<_>>());
    assert!(catalogue(&directory).check(Some(&Config::default())).is_empty());
    assert_eq!(refused(&directory, "../banner"), "there is no filter `../banner`");
}

#[test]
fn a_name_that_a_jail_cannot_write_and_one_that_is_taken_are_refused() {
    let directory = directory(&[("my filter.toml", SOUND), ("cyrus.toml", SOUND)]);
    let no_name = "error: filters.d/my filter.toml: `my filter` cannot be the name of a filter\n  = rename the file: 1 to 32 \
         letters, digits, `-` and `_`, then `.toml`\n";
    let taken = "error: filters.d/cyrus.toml: `cyrus` is the name of a built-in filter\n  = rename the file, and name that in \
         the jails that are to use it\n";
    assert_eq!(refused(&directory, "my filter"), no_name);
    assert_eq!(refused(&directory, "cyrus"), taken);
    assert_eq!(checked(&directory, &jail(&["postfix-sasl"])), [taken, no_name]);
    let names = catalogue(&directory).names().unwrap();
    assert_eq!(names.iter().filter(|name| *name == "cyrus").count(), 1);
}

#[test]
fn what_cannot_be_read_is_named() {
    let large = [SOUND, &vec![b'#'; 1 << 20]].concat();
    let directory = directory(&[("binary.toml", b"\x7fELF\xff"), ("large.toml", &large)]);
    let filters = directory.path().join(DIRECTORY);
    symlink("/nonexistent", filters.join("nowhere.toml")).unwrap();
    symlink("round.toml", filters.join("round.toml")).unwrap();
    fs::create_dir(filters.join("folder.toml")).unwrap();
    nix::unistd::mkfifo(&filters.join("fifo.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, expected) in [
        ("binary", "error: not UTF-8\n --> filters.d/binary.toml:1:5"),
        ("large", "error: filters.d/large.toml is larger than 1048576 bytes"),
        ("nowhere", "error: cannot read filters.d/nowhere.toml: No such file"),
        ("round", "error: cannot read filters.d/round.toml: Too many levels of symbolic links"),
        ("folder", "error: cannot read filters.d/folder.toml: Is a directory"),
        ("fifo", "error: cannot read filters.d/fifo.toml: not a regular file"),
    ] {
        let said = refused(&directory, name).replace("  -->", " -->");
        assert!(said.starts_with(expected), "{name}: {said}");
    }
    assert_eq!(checked(&directory, &Config::default()).len(), 6);
}

#[test]
fn the_number_of_files_is_bounded() {
    let names: Vec<_> = (0..=100).map(|number| format!("f{number}.toml")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), SOUND)).collect();
    assert!(catalogue(&directory(&files[1..])).names().is_ok());
    let said = refused(&directory(&files), "f1");
    assert!(said.starts_with("error: more than 100 files in filters.d\n"), "{said}");
}

#[test]
fn only_the_filters_of_jails_are_loaded_and_all_are_checked() {
    let directory = directory(&[("broken.toml", b"ident = 1"), ("idle.toml", SOUND), ("mine.toml", SOUND)]);
    let mut config = jail(&["mine", "cyrus"]);
    catalogue(&directory).detector(&mut config).unwrap();
    let found = checked(&directory, &config);
    let [broken, idle] = &found[..] else { panic!("{found:?}") };
    assert!(broken.starts_with("error: filter `broken`: ") && broken.contains("filters.d/broken.toml:1:9"), "{broken}");
    assert!(idle.starts_with("warning: no enabled jail uses the filter `idle`\n"), "{idle}");

    let mut config = jail(&["broken"]);
    let said = said(&directory, &catalogue(&directory).detector(&mut config).unwrap_err());
    assert_eq!(said, *broken);
    // Without a configuration nobody knows which are used.
    assert_eq!(catalogue(&directory).check(None).len(), 1);
}

#[test]
fn which_filters_tell_of_no_logins_is_known_and_told_where_none_does() {
    let directory = directory(&[("mine.toml", SOUND)]);
    let nobody = "warning: no filter of any jail tells of logins: `[customers]` and `[fuse]` spare nobody, and `[increment]`, \
         `[recidive]`, `[prefixes]` do nothing\n  = name banner's own filter of your server, such as `postfix-sasl` \
         or `dovecot`, or set `enabled = false` in `[customers]` and these; bans grow all the same by `without_logins = true` in \
         `[increment]` and `[recidive]`\n";
    let mut config = jail(&["mine", "postscreen", "cyrus"]);
    catalogue(&directory).detector(&mut config).unwrap();
    let without: Vec<_> = config.policy.fuse.clone().unwrap().without_logins;
    assert_eq!(without, ["mine".into(), "postscreen".into()]);
    assert_eq!(checked(&directory, &config), [""; 0]);
    let mut config = jail(&["mine", "postscreen"]);
    assert_eq!(checked(&directory, &config), [nobody]);
    config.policy.customers = None;
    assert_eq!(checked(&directory, &config), [""; 0]);
}

#[test]
fn a_jail_without_its_filter_is_told() {
    let found = checked(&directory(&[]), &jail(&["gone"]));
    assert_eq!(found, ["error: there is no filter `gone`\n"]);
}

/// What the filter of a name says of OpenSSH's messages: the client's address, or nothing.
fn read_by(catalogue: &Catalogue, message: &str) -> Option<(&'static str, String)> {
    let mut detector = Detector::new(vec![catalogue.filter("sshd").unwrap()], TimeZone::UTC);
    let line = format!("2026-11-22T12:00:00.000000+00:00 mail sshd-session[4711]: {message}");
    match detector.handle(line.as_bytes(), WallTime(0)) {
        [] => None,
        [Event::Failure(Attempt { source, .. })] => Some(("failure", source.to_string())),
        [Event::Success(Attempt { source, .. })] => Some(("success", source.to_string())),
        other => panic!("{other:?}"),
    }
}

const FAILED: &str = "Failed password for invalid user x from 203.0.113.9 port 1 ssh2 from 192.0.2.1 port 4711 ssh2";

#[test]
fn the_packaged_example_is_a_filter_that_cannot_be_deceived() {
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/banner.toml");
    let catalogue = Catalogue::beside(Some(&packaged));
    assert_eq!(catalogue.check(None), []);
    for (message, expected) in [
        ("Failed password for root from 192.0.2.1 port 4711 ssh2", Some(("failure", "192.0.2.1"))),
        (FAILED, Some(("failure", "192.0.2.1"))),
        ("Failed none for root from 192.0.2.1 port 4711 ssh2", None),
        ("Accepted password for alice from 2001:db8::1 port 4711 ssh2", Some(("success", "2001:db8::1"))),
    ] {
        let read = read_by(&catalogue, message);
        assert_eq!(read.as_ref().map(|(kind, source)| (*kind, source.as_str())), expected, "{message}");
    }
}

#[test]
fn the_example_of_the_readme_works_and_without_its_end_is_refused_as_it_says() {
    let readme = include_str!("../../../README.md");
    let section = readme.split("## Your own filters\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let (example, error) = section.split_once("ident = ").unwrap().1.split_once("It describes").unwrap();
    let example = format!("ident = {}", example.replace("\n    ", "\n"));
    let directory = directory(&[("sshd.toml", example.as_bytes())]);
    assert_eq!(read_by(&catalogue(&directory), FAILED), Some(("failure", "192.0.2.1".to_owned())));

    let without_end = example.replace("port [0-9]+ ssh2'", ".*'");
    assert_ne!(without_end, example);
    fs::write(directory.path().join(DIRECTORY).join("sshd.toml"), without_end).unwrap();
    let said = refused(&directory, "sshd");
    let shown =
        error.lines().find_map(|line| line.strip_prefix("    error: ")).unwrap().strip_suffix("or as ...").unwrap();
    assert!(said.starts_with(&format!("error: {shown}")), "{said}");
}

#[test]
fn a_jail_knows_whether_any_of_its_filters_tells_logins() {
    let directory = directory(&[("mine.toml", SOUND)]);
    let imported = directory.path().join("theirs.conf");
    fs::write(&imported, "[Definition]\nfailregex = ^mail x\\[1\\]: failed from <HOST>$\n").unwrap();
    let imported = format!("fail2ban:{}", imported.display());
    let table: [(&[&str], bool); 6] = [
        (&["cyrus"], true),
        (&["postfix-abuse"], false),
        (&["postfix-abuse", "postfix-sasl"], true),
        (&["mine"], false),
        (&[&imported], false),
        (&[&imported, "dovecot"], true),
    ];
    for (filters, hears) in table {
        let mut config = jail(filters);
        catalogue(&directory).detector(&mut config).unwrap();
        let [jail] = config.policy.jails.as_slice() else { panic!("{:?}", config.policy.jails) };
        assert_eq!(jail.hears_logins, hears, "{filters:?}");
    }
}
