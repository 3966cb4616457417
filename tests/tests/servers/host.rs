//! The host of the lab itself: nothing that is done there reaches the machine.

use banner_tests::{
    installation::binary,
    lab::{Lab, Setup, root::Kind},
};

#[test]
fn what_runs_on_a_host_is_among_its_files_and_leaves_the_kernel_alone() -> anyhow::Result<()> {
    let Some(lab) = Lab::up(&Setup::new(Kind::Cyrus, binary()?))? else { return Ok(()) };
    // A working directory from before the change of the root would be the machine's.
    lab.server.script("test . -ef /; test .. -ef /; test -e etc/cyrus.conf")?;
    lab.server.script(
        "test ! -w /proc/sys/kernel/core_pattern; test ! -w /sys/kernel; test -w /proc/sys/net/ipv4/ip_forward",
    )?;
    Ok(())
}
