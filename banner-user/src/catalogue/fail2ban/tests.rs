use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{files::Merged, *};
use crate::{clock::WallTime, detect::Detector};

/// Writes files, the first of which is the filter, and reads it with options. An error is told as a user sees it, with file names
/// alone.
fn read(files: &[(&str, &str)], options: &[(&str, &str)]) -> Result<Imports, String> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let options = options.iter().map(|(option, value)| ((*option).to_owned(), (*value).to_owned())).collect();
    let read = || {
        let merged = files::read(&directory.path().join(files[0].0))?;
        imports(&Options::new(&merged, options)?)
    };
    read().map_err(|error: ImportError| error.to_string().replace(&format!("{}/", directory.path().display()), ""))
}

fn failregex(files: &[(&str, &str)], options: &[(&str, &str)]) -> Vec<String> {
    read(files, options).unwrap_or_else(|error| panic!("{error}")).failregex
}

#[test]
fn files_count_in_the_order_before_own_after_local() {
    let filter = (
        "f.conf",
        "[INCLUDES]\nbefore = b.conf\nafter = a.conf\n       not-there.local\n[Definition]\nfailregex = %(x)s %(y)s %(z)s\ny = own\nz = own\n",
    );
    let before = ("b.conf", "[DEFAULT]\nx = before\n[Definition]\ny = before\n");
    let after = ("a.conf", "[Definition]\nz = after\n");
    assert_eq!(failregex(&[filter, before, after], &[]), ["before own after"]);
    let local = ("f.local", "[Definition]\nz = local\n");
    assert_eq!(failregex(&[filter, before, after, local], &[]), ["before own local"]);
    let local_of_included = ("b.local", "[DEFAULT]\nx = before.local\n");
    assert_eq!(failregex(&[filter, before, after, local_of_included], &[]), ["before.local own after"]);
}

#[test]
fn names_are_replaced_by_what_they_stand_for() {
    for (definition, expected) in [
        ("failregex = 5%%", "5%"),
        ("failregex = %(A)s\na = 1", "1"),
        ("failregex = %(a)s\na = %(b)s%(b)s\nb = 1", "11"),
        ("failregex = <a>\na = <b>-<b>\nb = 1", "1-1"),
        ("failregex = <a-<b>>\na-x = 1\nb = x", "1"),
        ("failregex = <a/x>", "in a"),
        ("failregex = %(a/x)s", "in a"),
        ("failregex = %(a/d)s", "by default"),
        ("failregex = %(default/d)s", "by default"),
        ("failregex = <T_<b>/X>\nb = a", "in T_a"),
        ("failregex = <i>", "by init"),
        ("failregex = %(known/d)s", "by default"),
        // What is no option stays: fail2ban's own tags, and plain text.
        (
            "failregex = <HOST> (?P<u>x) <F-USER>.</F-USER> <[^>]*> <b c>",
            "<HOST> (?P<u>x) <F-USER>.</F-USER> <[^>]*> <b c>",
        ),
    ] {
        let text = format!(
            "[DEFAULT]\nd = by default\n[Definition]\n{definition}\n[Init]\ni = by init\n[a]\nx = in a\n[T_a]\nx = in T_a\n"
        );
        assert_eq!(failregex(&[("f.conf", &text)], &[]), [expected], "{definition}");
    }
}

#[test]
fn what_was_replaced_by_a_later_file_is_known() {
    let filter = ("f.conf", "[Definition]\nfailregex = a\nx = b\n");
    let local = ("f.local", "[Definition]\nfailregex = %(known/failregex)s\n  <x>\nx = <known/x>c\n");
    assert_eq!(failregex(&[filter, local], &[]), ["a", "bc"]);
}

#[test]
fn the_jail_chooses_modes_and_sets_options() {
    let text = "[Definition]\nfailregex = <re-<mode>>\n  %(port)s\nre-normal =\nre-more = ^a\n  ^b\nmode = normal\nport = 1\n[Init]\nname = n\n";
    let files = [("f.conf", text)];
    assert_eq!(failregex(&files, &[]), ["1"]);
    assert_eq!(failregex(&files, &[("mode", "more")]), ["^a", "^b", "1"]);
    assert_eq!(failregex(&files, &[("mode", "more"), ("port", "2")]), ["^a", "^b", "2"]);
    assert_eq!(failregex(&files, &[("failregex", "x <name>"), ("name", "m")]), ["x m"]);
    let imports = read(&files, &[("usedns", "no"), ("logtype", "short"), ("datepattern", "{^LN-BEG}")]).unwrap();
    assert_eq!((imports.names, imports.datepattern), (false, vec!["{^LN-BEG}".to_owned()]));
}

#[test]
fn the_kind_of_log_chooses_the_prefix() {
    let text = "[DEFAULT]\nlogtype = file\npre = <lt_<logtype>/pre>\n[lt_file]\npre = F\n[lt_short]\npre = S\n[Definition]\nprefregex = ^%(pre)s\nfailregex = x";
    let prefix = |options| read(&[("f.conf", text)], options).unwrap().prefregex;
    assert_eq!(prefix(&[]).as_deref(), Some("^F"));
    assert_eq!(prefix(&[("logtype", "short")]).as_deref(), Some("^S"));
}

#[test]
fn files_that_include_each_other_are_read_once() {
    let a = ("a.conf", "[INCLUDES]\nbefore = b.conf\n[Definition]\nfailregex = %(x)s\n");
    let b = ("b.conf", "[INCLUDES]\nafter = a.conf\n[DEFAULT]\nx = 1\n");
    assert_eq!(failregex(&[a, b], &[]), ["1"]);
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    let mode = "[Definition]\nfailregex = <re-<mode>>\nre-normal = x\nmode = normal\n";
    let limit = "or grows beyond 65536 bytes, when the names in it are replaced";
    for (text, options, refusal) in [
        ("[Init]\na = 1", &[][..], "there is no section [Definition]".to_owned()),
        ("[Definition]\na = 1\na = 2", &[], "f.conf, line 3: this key is there twice in its section".to_owned()),
        (mode, &[("mode", "agressive")], "option `failregex`: there is no `re-agressive`".to_owned()),
        (mode, &[("mod", "normal")], "the filter has no option `mod`; did you mean `mode`?".to_owned()),
        ("[Definition]\nfailregex = %(x)s", &[], "option `failregex`: there is no `x`".to_owned()),
        ("[Definition]\nfailregex = 5% x", &[], "option `failregex`: a `%` is neither `%%` nor `%(name)s`".to_owned()),
        (
            "[Definition]\nfailregex = %(a)s\na = %(b)s\nb = %(a)s",
            &[],
            format!("option `failregex` names itself, {limit}"),
        ),
        ("[Definition]\nfailregex = <a>\na = <b>\nb = <a>", &[], format!("option `failregex` names itself, {limit}")),
        ("[Definition]\nfailregex = <failregex>", &[], format!("option `failregex` names itself, {limit}")),
        (
            "[Definition]\nfailregex = x\nmaxlines = 2",
            &[],
            "maxlines: patterns over several lines are not supported, only maxlines = 1".to_owned(),
        ),
        ("[INCLUDES]\nbefore = b.conf", &[], "cannot read b.conf: No such file or directory (os error 2)".to_owned()),
    ] {
        assert_eq!(read(&[("f.conf", text)], options), Err(refusal), "{text}");
    }
}

#[test]
fn files_and_values_are_bounded() {
    let large = format!("[Definition]\nfailregex = x\n#{}", "x".repeat(1 << 20));
    assert_eq!(read(&[("f.conf", &large)], &[]), Err("f.conf is larger than 1048576 bytes".to_owned()));
    // Each name stands for ten of the next, which in the end are empty.
    for (open, close) in [("%(", ")s"), ("<", ">")] {
        let mut text = String::from("[Definition]\nfailregex = <a0>\n");
        for level in 0..9 {
            text += &format!("a{level} = {}\n", format!("{open}a{}{close}", level + 1).repeat(10));
        }
        text += "a9 =\n";
        let refused = read(&[("f.conf", &text)], &[]).unwrap_err();
        assert!(refused.starts_with("option `failregex` names itself, or grows"), "{refused}");
    }
    let chain: Vec<_> = (0..20)
        .map(|number| (format!("{number}.conf"), format!("[INCLUDES]\nbefore = {}.conf\n", number + 1)))
        .collect();
    let chain: Vec<_> = chain.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let refused = read(&chain, &[]).unwrap_err();
    assert_eq!(refused, "9.conf is included more than 8 files deep, or as one of more than 32");
}

#[test]
fn a_filter_is_compiled_from_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f.conf");
    std::fs::write(&path, "[Definition]\nfailregex = <re-<mode>>\nre-a = ^<HOST>\nre-b = ^\\S\nmode = a\n").unwrap();
    let compile = |options: &str| {
        let name = format!("fail2ban:{}{options}", path.display());
        filter(&name, Reference::parse(&name).unwrap().unwrap()).map(|filter| filter.name().to_string() == name)
    };
    assert_eq!(compile(""), Ok(true));
    let refused = compile("[mode=b]").unwrap_err();
    assert_eq!(refused.to_string(), "failregex 1: it has no <HOST>, nor has prefregex");
}

/// Something of everything that a filter can have.
const EVERYTHING: &str = r#"[DEFAULT]
_daemon = (?:a|b)d
pre = ^ \S+ %(_daemon)s(?:\[\d{,5}\])?: ; a comment
[lt_file]
pre = x
[Definition]
prefregex = <F-MLFID>%(pre)s</F-MLFID><F-CONTENT>.+</F-CONTENT>$
failregex = ^bad(?! luck) (?P<e>\S+) (?P=e)? for <F-USER>[^[]*</F-USER> \[<HOST>\]$
    ^((?i)worse|worst)(?P<o> x)?(?(o)a|b) {[^}]+} <IP4>(?:,<IP6>)?\s*$
    ^<F-NOFAIL>from</F-NOFAIL> <ADDR>%%
    <re-<mode>>
re-normal = ^(?>a+)b*+ \<<DNS>\> <ADDR>
mode = normal
ignoreregex = ^good
datepattern = {^LN-BEG}%%Y-%%m-%%d[T ]%%H:%%M:%%S(?:[.,]%%f)?(?:\s*%%z)?
    ^[^-]+ -- ({DATE})
    {^LN-BEG}
[Init]
x = 1
"#;

proptest! {
    /// Whatever stands in a file, it becomes a filter or is refused, and the filter then ends on whatever stands in a line.
    #[test]
    fn any_file_and_any_line_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, r"[ -~\n]{0,3}|[\[\](){}<>?*+|%$^\\:=;-]{1,3}"), 0..6),
        line in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut text = EVERYTHING.to_owned();
        for (at, length, new) in changes {
            let start = at.index(text.len());
            text.replace_range(start..(start + length).min(text.len()), &new);
        }
        let mut merged = Merged::default();
        let Ok(sections) = ini::parse(&text) else { return Ok(()) };
        merged.add(sections);
        let compiled = Options::new(&merged, Vec::new())
            .and_then(|options| Ok(Filter::imported("any", &imports(&options)?)?));
        match compiled {
            Err(error) => prop_assert!(!error.to_string().chars().any(|character| character.is_control()), "{error}"),
            Ok(filter) => {
                let mut detector = Detector::new(vec![filter], TimeZone::UTC);
                for message in text.lines().map(str::as_bytes).chain([line.as_slice()]) {
                    detector.handle(&[b"Nov  2 03:04:05 mail ad[1]: ".as_slice(), message].concat(), WallTime(0));
                    detector.handle(message, WallTime(0));
                }
            }
        }
    }
}

#[test]
fn the_filter_that_has_everything_is_one() {
    let mut merged = Merged::default();
    merged.add(ini::parse(EVERYTHING).unwrap());
    let imports = imports(&Options::new(&merged, Vec::new()).unwrap()).unwrap();
    assert_eq!((imports.failregex.len(), imports.datepattern.len()), (4, 3));
    let mut detector = Detector::new(vec![Filter::imported("all", &imports).unwrap()], TimeZone::UTC);
    assert_eq!(detector.handle(b"Nov  2 03:04:05 mail ad[1]: ", WallTime(0)), []);
    assert_eq!(detector.handle(b"Nov  2 03:04:05 mail ad[1]:bad x  for y [192.0.2.1]", WallTime(0)).len(), 1);
}

#[test]
fn a_fifo_is_refused_and_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo.conf");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = files::read(&path).unwrap_err();
    assert!(matches!(&error, ImportError::Unreadable { why, .. } if why == "not a regular file"), "{error}");
}
