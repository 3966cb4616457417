//! The names of accounts. Read from /etc/passwd alone, where those of mail servers are: asking NSS could wait for a directory
//! server, in the middle of everything.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::clock::BootTime;

/// More than this of the file is not read.
const BYTES_MAX: u64 = 4 << 20;

/// How often the file is read again because an account is not in it: a package that was installed meanwhile has made one.
const AGAIN: Duration = Duration::from_secs(60);

/// What /etc/passwd says.
#[derive(Debug)]
pub(super) struct Accounts {
    path: PathBuf,
    /// Ordered by number; of two with the same number the first in the file.
    names: Vec<(u32, Box<str>)>,
    read_at: Option<BootTime>,
}

impl Accounts {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), names: Vec::new(), read_at: None }
    }

    /// The name of an account; of one that is unknown, the file is asked again, once a minute.
    pub(super) fn name(&mut self, uid: u32, now: BootTime) -> Option<&str> {
        let known = |names: &[(u32, Box<str>)]| names.binary_search_by_key(&uid, |(uid, _)| *uid).ok();
        let mut place = known(&self.names);
        if place.is_none() && self.read_at.is_none_or(|read_at| now - read_at >= AGAIN) {
            self.read(now);
            place = known(&self.names);
        }
        self.names.get(place?).map(|(_, name)| &**name)
    }

    /// Reads the file. One that cannot be read leaves everything as it was.
    pub(super) fn read(&mut self, now: BootTime) {
        self.read_at = Some(now);
        let text = || -> io::Result<Vec<u8>> {
            let mut text = Vec::new();
            File::open(&self.path)?.take(BYTES_MAX).read_to_end(&mut text)?;
            Ok(text)
        };
        if let Ok(text) = text() {
            self.names = text.split(|byte| *byte == b'\n').filter_map(account).collect();
            self.names.sort_by_key(|(uid, _)| *uid);
            self.names.dedup_by_key(|(uid, _)| *uid);
        }
    }
}

/// `postfix:x:106:115::/var/spool/postfix:/usr/sbin/nologin` (passwd(5)).
fn account(line: &[u8]) -> Option<(u32, Box<str>)> {
    let mut fields = str::from_utf8(line).ok()?.split(':');
    let (name, _password, uid) = (fields.next()?, fields.next()?, fields.next()?);
    Some((uid.parse().ok()?, name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_the_names_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        write("root:x:0:0::/root:/bin/sh\n+nis\npostfix:x:106:115::/:/bin/false\nalso:x:106:1::/:\nbad:x:y:1::/:\n\n");
        let mut accounts = Accounts::of(file.path());
        let at = |seconds: i64| BootTime(seconds * 1_000_000_000);
        assert_eq!(accounts.name(0, at(0)), Some("root"));
        assert_eq!(accounts.name(106, at(0)), Some("postfix"));
        assert_eq!(accounts.name(107, at(0)), None);
        // A package brings its account.
        write("cyrus:x:107:8::/:/bin/false\n");
        assert_eq!(accounts.name(107, at(59)), None);
        assert_eq!(accounts.name(107, at(60)), Some("cyrus"));
        std::fs::remove_file(file.path()).unwrap();
        accounts.read(at(200));
        assert_eq!(accounts.name(107, at(200)), Some("cyrus"));
    }
}
