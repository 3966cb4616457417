use std::{fs, io::Write as _};

use flate2::write::GzEncoder;
use lzma_rust2::{XzOptions, XzWriter};

use super::*;

/// What a file says: its lines, an overlong one as its length, and why it could not be read on.
fn read(bytes: &[u8]) -> (Vec<String>, Option<Fault>) {
    let mut log = match LogFile::read("mail.log".to_owned(), io::Cursor::new(bytes.to_vec())) {
        Ok(log) => log,
        Err(error) => return (Vec::new(), Some(error.fault)),
    };
    let mut lines = Vec::new();
    loop {
        match log.next_line() {
            Ok(Some(line)) => {
                let (number, text) = match line {
                    Line::Whole { number, bytes } => (number, String::from_utf8_lossy(bytes).into_owned()),
                    Line::Overlong { number, bytes } => (number, format!("({bytes})")),
                };
                lines.push(text);
                assert_eq!(number, lines.len() as u64);
            }
            Ok(None) => return (lines, None),
            Err(error) => {
                assert_eq!(log.next_line(), Err(error.clone()), "the same when asked again");
                return (lines, Some(error.fault));
            }
        }
    }
}

fn gz(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn xz(text: &[u8]) -> Vec<u8> {
    let mut encoder = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zst(text: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    // As the program `zstd` does.
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

type Compress = fn(&[u8]) -> Vec<u8>;
const COMPRESSIONS: [(Compression, Compress); 4] =
    [(Compression::None, <[u8]>::to_vec), (Compression::Gzip, gz), (Compression::Xz, xz), (Compression::Zstd, zst)];

/// Lines that do not compress away, so that their file has a middle.
fn text(lines: usize) -> String {
    let number = |line: usize| (line as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x94d0_49bb_1331_11eb;
    (0..lines).map(|line| format!("{line} {:x} {:x}\n", number(line), number(line + 7))).collect()
}

#[test]
fn every_line_is_handed_on_as_it_stands() {
    let table: [(&[u8], &[&str]); 9] = [
        (b"", &[]),
        (b"\n", &[""]),
        (b"a\nb\n", &["a", "b"]),
        (b"a\n\nb", &["a", "", "b"]),
        (b"a\r\n", &["a\r"]),
        (b"\0\0\0a\0\nb\n", &["a\0", "b"]),
        (b"\0\0\0", &[]),
        (b"\xff\xfe\n", &["\u{fffd}\u{fffd}"]),
        (b"\x1f", &["\x1f"]),
    ];
    for (bytes, lines) in table {
        for (compression, compress) in COMPRESSIONS {
            assert_eq!(
                read(&compress(bytes)),
                (lines.iter().map(ToString::to_string).collect(), None),
                "{compression}"
            );
        }
    }
}

#[test]
fn an_overlong_line_is_told_by_its_length_and_the_next_one_is_whole() {
    let line = |length: usize| "x".repeat(length);
    let longest = line(LINE_MAX);
    for (length, told) in [(LINE_MAX, longest), (LINE_MAX + 1, format!("({})", LINE_MAX + 1))] {
        let lines = vec!["a".to_owned(), told, "b".to_owned()];
        assert_eq!(read(format!("a\n{}\nb\n", line(length)).as_bytes()), (lines, None));
    }
    for length in [CHUNK - 1, CHUNK, CHUNK + LINE_MAX - 1, CHUNK + LINE_MAX, CHUNK + LINE_MAX + 1, 3 * CHUNK] {
        let told = |rest: &str| read(format!("{}{rest}", line(length)).as_bytes());
        assert_eq!(told("\nb"), (vec![format!("({length})"), "b".to_owned()], None), "{length}");
        assert_eq!(told(""), (vec![format!("({length})")], None), "{length}");
    }
}

#[test]
fn large_files_come_whole_through_every_compression_and_from_several_parts() {
    let text = text(40_000);
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let (first, second) = text.as_bytes().split_at(text.len() / 3);
    for (compression, compress) in COMPRESSIONS {
        let whole = compress(text.as_bytes());
        assert_eq!(LogFile::read(String::new(), io::Cursor::new(whole.clone())).unwrap().compression(), compression);
        assert!(read(&whole) == (lines.clone(), None), "{compression}");
        let parts = [compress(first), compress(b""), compress(second)].concat();
        assert!(read(&parts) == (lines.clone(), None), "{compression} in parts");
    }
}

#[test]
fn what_stands_before_a_cut_is_read_and_the_cut_is_told() {
    let text = text(40_000);
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    for (compression, compress) in COMPRESSIONS.into_iter().skip(1) {
        let whole = compress(text.as_bytes());
        for cut in [7, 100, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
            let (read, fault) = read(&whole[..cut]);
            assert!(lines.starts_with(&read), "{compression} cut at {cut}");
            let fault = fault.unwrap();
            let position = cut as u64;
            assert_eq!(
                fault,
                Fault::CutOff { compression, position, lines: read.len() as u64 },
                "{compression} cut at {cut}"
            );
            // A decoder may hold back the block that is cut: 128 KiB in a zst file.
            let due = (lines.len() * cut / whole.len()).saturating_sub(5_000);
            assert!(read.len() >= due, "{compression} cut at {cut}: {} of {due} lines", read.len());
        }
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let text = text(40_000);
    for (compression, compress) in COMPRESSIONS.into_iter().skip(1) {
        let mut damaged = compress(text.as_bytes());
        let middle = damaged.len() / 2;
        damaged[middle..middle + 64].fill(0x5a);
        let (read, fault) = read(&damaged);
        let Some(Fault::Damaged { compression: told, position, lines, .. }) = fault else {
            panic!("{compression}: {fault:?}")
        };
        assert_eq!((told, lines), (compression, read.len() as u64));
        assert!(position >= middle as u64 && read.len() > 10_000, "{compression}: {position}, {} lines", read.len());
    }
}

#[test]
fn what_follows_an_archive_is_no_text_and_told() {
    for (compression, compress) in COMPRESSIONS.into_iter().skip(1) {
        let (lines, fault) = read(&[&compress(b"a\nb\n"), &b"some rubbish behind it"[..]].concat());
        assert_eq!(lines, ["a", "b"], "{compression}");
        assert!(fault.is_some(), "{compression}");
    }
}

#[test]
fn a_bomb_stays_small_in_memory() {
    let bomb = gz(&vec![b'x'; 64 << 20]);
    let mut log = LogFile::read("bomb".to_owned(), io::Cursor::new(bomb)).unwrap();
    assert_eq!(log.next_line(), Ok(Some(Line::Overlong { number: 1, bytes: 64 << 20 })));
    assert_eq!(log.buffer.len(), CHUNK + LINE_MAX);
    assert_eq!(log.next_line(), Ok(None));
}

#[test]
fn a_file_that_asks_for_too_much_memory_is_refused() {
    // The largest window that a zst file can name (RFC 8878, section 3.1.1.1.2), and the largest dictionary of an xz file.
    let (lines, fault) = read(b"\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00");
    assert!(matches!(fault, Some(Fault::Damaged { .. })) && lines.is_empty(), "{fault:?}");
    let mut options = XzOptions::with_preset(0);
    options.lzma_options.dict_size = 512 << 20;
    let mut encoder = XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(b"a\n").unwrap();
    let (lines, fault) = read(&encoder.finish().unwrap());
    assert!(matches!(fault, Some(Fault::Damaged { .. })) && lines.is_empty(), "{fault:?}");
}

#[test]
fn a_file_tells_its_size_and_when_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.log");
    let archive = gz(b"a\nb\n");
    fs::write(&path, &archive).unwrap();
    let written = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    let mut log = LogFile::open(&path).unwrap();
    assert_eq!((log.size(), log.compression()), (Some(archive.len() as u64), Compression::Gzip));
    assert_eq!(log.written(), Some(WallTime(1_700_000_000_000_000)));
    while log.next_line().unwrap().is_some() {}
    assert_eq!(log.position(), archive.len() as u64);

    let fault = |path: &Path| LogFile::open(path).err().unwrap().fault;
    assert_eq!(fault(folder.path()), Fault::Directory);
    assert!(matches!(fault(&folder.path().join("none")), Fault::Unopened(_)));

    fs::write(&path, b"LPKSHHRH and more").unwrap();
    assert_eq!(fault(&path), Fault::Journal);
    assert_eq!(fault(Path::new("journal")), Fault::Journal);
}
