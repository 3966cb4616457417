//! A network namespace for a test of what the kernel says.

use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use nix::sched::{CloneFlags, unshare};
use tokio::time::timeout;

/// Runs a test on a thread with a network namespace of its own; both go together.
pub(super) fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "tests of the host's network need root");
        println!("skipped: making a network namespace needs root");
        return;
    }
    thread::scope(|scope| {
        let namespace = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { timeout(Duration::from_secs(60), test()).await.expect("the test hangs") });
        });
        namespace.join().unwrap();
    });
}

/// Runs lines of `ip` in the namespace of the calling thread.
pub(super) fn ip(lines: &str) {
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "{lines}");
}

/// Without link-local addresses, whose duplicate detection would be a change a second later.
pub(super) const VETH: &str = "
    link add mail0 type veth peer name peer0
    link set mail0 up addrgenmode none
    link set peer0 up addrgenmode none
";
