//! What logrotate makes of old logs, recognised by its first bytes, whatever the file is called.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read},
};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::{Action, Status, XzStream};

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952, of any number of members. The decoder needs 32 KiB.
    Gzip,
    /// The .xz file format, of any number of streams. A file may ask for 128 MiB (`xz -9` needs 64); of each block, of which
    /// there is mostly one, the decoder keeps 16 bytes.
    Xz,
    /// RFC 8878, of any number of frames. A file may ask for a window of 128 MiB, which is what `zstd` itself grants.
    Zstd,
}

/// How much of a compressed file is read at once.
const INPUT: usize = 64 * 1024;
/// What the decoder of an xz file may take, in KiB.
const XZ_MEMORY: u32 = 128 * 1024;

const GZIP: &[u8] = b"\x1f\x8b";
const XZ: &[u8] = b"\xfd7zXZ\0";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// The text in a file.
///
/// # Errors
/// Its first bytes cannot be read, or there is no memory for a decoder.
pub(super) fn open(mut input: impl Read + 'static) -> io::Result<(Compression, Box<dyn Read>)> {
    let mut magic = Vec::with_capacity(XZ.len());
    (&mut input).take(XZ.len() as u64).read_to_end(&mut magic)?;
    let compression = Compression::of(&magic);
    let input = io::Cursor::new(magic).chain(input);
    if compression == Compression::None {
        return Ok((compression, Box::new(input)));
    }
    let input = BufReader::with_capacity(INPUT, input);
    let text: Box<dyn Read> = match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(MultiGzDecoder::new(input)),
        Compression::Xz => Box::new(Xz { input, stream: XzStream::new_mem_limit(true, XZ_MEMORY), end: None }),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(input)?),
    };
    Ok((compression, text))
}

impl Compression {
    fn of(magic: &[u8]) -> Self {
        match magic {
            _ if magic.starts_with(GZIP) => Self::Gzip,
            _ if magic.starts_with(XZ) => Self::Xz,
            _ if magic.starts_with(ZSTD) => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "plain",
            Self::Gzip => "gz",
            Self::Xz => "xz",
            Self::Zstd => "zst",
        })
    }
}

/// lzma-rust2's own reader decodes nothing of a chunk (up to 2 MiB of text) that is cut off; its stream decoder does.
struct Xz<R> {
    input: BufReader<R>,
    stream: XzStream,
    end: Option<io::Result<()>>,
}

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.end.take() {
                None => {}
                // Nobody reads on from an error.
                Some(Err(error)) => return Err(error),
                Some(Ok(())) => {
                    self.end = Some(Ok(()));
                    return Ok(0);
                }
            }
            let input = self.input.fill_buf()?;
            let action = if input.is_empty() { Action::Finish } else { Action::Run };
            let before = self.stream.total_out();
            let consumed = match self.stream.process(input, buffer, action) {
                Ok(step) => {
                    if step.status == Status::StreamEnd {
                        self.end = Some(Ok(()));
                    } else if step.bytes_consumed == 0 && step.bytes_produced == 0 {
                        self.end = Some(Err(io::Error::other("the decoder does not go on")));
                    }
                    step.bytes_consumed
                }
                Err(error) => {
                    self.end = Some(Err(error));
                    0
                }
            };
            self.input.consume(consumed);
            // Also where it failed: what it had decoded by then.
            let produced = usize::try_from(self.stream.total_out() - before).unwrap_or(buffer.len());
            if produced > 0 || buffer.is_empty() {
                return Ok(produced);
            }
        }
    }
}
