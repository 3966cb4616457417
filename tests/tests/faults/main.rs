//! Nothing is lost: whatever happens to the daemon, its files, its interface or its machine, every failure counts exactly once
//! and every ban lasts exactly as long as it should.
//!
//! Each row does something to a daemon at work ([`scene`]): a server's logger goes on writing failures of many sources
//! ([`writer`]), banned, innocent and other sources go on knocking at its ports ([`traffic`]), and the bans in the kernel are
//! looked at every few milliseconds ([`watch`]). In the end all of it is compared with what should have been ([`verdict`]).
//!
//! Each source fails as often as bans it, or once less. So a line that is lost is a source that is not banned, and one that
//! counts twice is a source that is.

mod clock;
mod dice;
mod expected;
mod scene;
mod sources;
mod traffic;
mod verdict;
mod watch;
mod writer;

mod disk;
mod killing;
mod large;
mod meddling;
mod reboot;
mod rotating;
mod stepping;
mod upgrading;
