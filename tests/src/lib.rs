//! What the tests share: the object under test, frames, namespaces.
