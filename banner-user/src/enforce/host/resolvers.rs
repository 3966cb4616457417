//! Name servers, as resolv.conf(5) lists them.

use std::{
    fs::{self, File},
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{HostError, errno};

/// glibc asks the first 3 (MAXNS in resolv.h); systemd-resolved lists more. The rest is ignored.
const RESOLVERS_MAX: usize = 32;

/// The rest of a longer file is ignored.
const FILE_MAX: u64 = 1 << 16;

/// The name servers in all of these files, each once.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<IpAddr>, HostError> {
    let mut resolvers = Vec::new();
    for path in paths {
        let text =
            read_file(path).map_err(|error| HostError::Resolvers { path: path.clone(), cause: errno(&error) })?;
        for resolver in parse(&text) {
            if !resolvers.contains(&resolver) {
                resolvers.push(resolver);
            }
        }
    }
    Ok(resolvers)
}

/// Empty where there is no such file, or where it is none: a pipe would block.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => File::open(path)?.take(FILE_MAX).read_to_end(&mut text)?,
        Ok(_) => 0,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => 0,
        Err(error) => return Err(error),
    };
    Ok(text)
}

/// The addresses of the `nameserver` lines: the keyword at the very start, white space, the address, as glibc reads
/// them (resolv/res_init.c). A zone is cut off, an address that is none is left out.
fn parse(text: &[u8]) -> Vec<IpAddr> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"nameserver"))
        .filter(|rest| rest.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')))
        .filter_map(|rest| {
            let word = rest.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
            let address = word.split(|byte| *byte == b'%').next()?;
            str::from_utf8(address).ok()?.parse().ok()
        })
        .take(RESOLVERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_found_as_the_resolver_finds_them() {
        let table: &[(&str, &[&str])] = &[
            ("nameserver 192.0.2.53", &["192.0.2.53"]),
            ("nameserver\t2001:db8::53\n", &["2001:db8::53"]),
            ("nameserver   192.0.2.53  # the first\r\nnameserver 192.0.2.54\r\n", &["192.0.2.53", "192.0.2.54"]),
            ("nameserver fe80::1%eth0\n", &["fe80::1"]),
            ("nameserver 127.0.0.53\noptions edns0\nsearch example.com\n", &["127.0.0.53"]),
            ("#nameserver 192.0.2.1\n;nameserver 192.0.2.2\n nameserver 192.0.2.3\n", &[]),
            ("nameservers 192.0.2.1\nnameserver192.0.2.2\nnameserver\nnameserver \n", &[]),
            ("nameserver resolver.example.com\nnameserver 192.0.2.256\n", &[]),
            ("search nameserver 192.0.2.1\n", &[]),
        ];
        for (text, expected) in table {
            let expected: Vec<IpAddr> = expected.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_skipped() {
        assert_eq!(parse(b"nameserver \xff\xfe\n\0\nnameserver 192.0.2.53"), ["192.0.2.53".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn the_list_is_bounded() {
        assert_eq!(parse(&b"nameserver 192.0.2.53\n".repeat(1000)).len(), RESOLVERS_MAX);
    }

    #[test]
    fn files_are_joined_and_missing_ones_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["stub", "upstream", "missing"].map(|name| folder.path().join(name));
        fs::write(&paths[0], "nameserver 127.0.0.53\nnameserver 192.0.2.53\n").unwrap();
        fs::write(&paths[1], "nameserver 192.0.2.53\nnameserver 2001:db8::53\n").unwrap();
        let expected: Vec<IpAddr> = ["127.0.0.53", "192.0.2.53", "2001:db8::53"].map(|a| a.parse().unwrap()).to_vec();
        assert_eq!(read(&paths).unwrap(), expected);
        assert_eq!(read(&[folder.path().to_owned()]).unwrap(), [] as [IpAddr; 0]);
    }

    #[test]
    fn a_pipe_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("resolv.conf");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(read(&[pipe]).unwrap(), [] as [IpAddr; 0]);
    }
}
