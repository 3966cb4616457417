//! What stands in the kernel, under a daemon to which things happen that no test of a part would think of.

mod full;
mod interfaces;
mod meddling;
mod sharing;
mod surviving;
