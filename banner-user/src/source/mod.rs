//! Bytes of whole lines, with their position. Knows nothing of mail.
