//! Who is banned, from what, and for how long.

use anyhow::ensure;
use banner_tests::{command_line::CommandLine as _, lab::root::Kind};

use crate::scene::{QUICK, guarded};

#[test]
fn banner_runs_on_a_real_mail_host_as_its_readme_says() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &[], QUICK)? else { return Ok(()) };
    let status = lab.json("status --json")?;
    ensure!(status.pointer("/interfaces/0/name") == Some(&"mail0".into()), "{status}");
    Ok(())
}
