//! What the tests share.
//!
//! - [`object`] loads the compiled program, with maps of its own, and asks it about packets;
//! - [`frame`] builds packets byte by byte, also those that no sane sender sends;
//! - [`namespace`] makes two hosts with a cable between them, which vanish with the test;
//! - [`wire`] sends frames as they are and sees what comes back, [`segments`] counts what reaches TCP;
//! - [`network`] is a mail server with the internet around it, [`installation`] is banner on that server, [`mail_log`] is what
//!   Postfix and Cyrus log there, [`journal`] is the journal that they may log to instead, [`pinned`] is what banner leaves in the
//!   kernel;
//! - [`command_line`] is what an operator types and reads on such a server;
//! - [`lab`] boots a whole Debian host with real mail servers and banner's own unit there, and has their clients;
//! - [`measure`] is what benchmarks share;
//! - [`patience`] waits for what must come, [`process`] ends what must not stay;
//! - [`privilege`] says what a test needs from the machine, and what to do where it is missing.

pub mod command_line;
pub mod fail2ban;
pub mod frame;
pub mod installation;
pub mod journal;
pub mod lab;
pub mod mail_log;
pub mod measure;
pub mod namespace;
pub mod network;
pub mod object;
pub mod patience;
pub mod pinned;
pub mod privilege;
pub mod process;
pub mod segments;
pub mod wire;
