//! Reverse DNS: what the owners of addresses say that they are called.
