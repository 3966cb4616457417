//! The client's side of SASL, as it is sent.

/// The initial response of PLAIN (RFC 4616): nobody else to act for, the user, the password.
#[must_use]
pub fn plain(user: &[u8], password: &[u8]) -> String {
    base64(&[b"\0", user, b"\0", password].concat())
}

/// Base 64 (RFC 4648, section 4), padded, on one line.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let letter = ALPHABET.get((bits >> (18 - 6 * at) & 0x3f) as usize).copied().map_or('=', char::from);
            text.push(if at <= group.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 4648, section 10, and bytes that are no text.
    #[test]
    fn bytes_are_encoded_as_the_standard_does() {
        let vectors: [(&[u8], &str); 8] = [
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (b"\xff\xfe\xfb", "//77"),
        ];
        for (bytes, text) in vectors {
            assert_eq!(base64(bytes), text);
        }
        assert_eq!(plain(b"alice", b"secret"), "AGFsaWNlAHNlY3JldA==");
    }
}
