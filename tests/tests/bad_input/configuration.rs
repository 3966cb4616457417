//! Configurations that mean nothing.

use anyhow::Context as _;
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    network::Network,
};

use crate::expect_error;

/// Each command that reads the configuration.
const COMMANDS: [&str; 3] = ["run", "check", "status"];

/// What is written, and what is said about it, after the path of the file.
#[rustfmt::skip]
const ROWS: &[(&str, &str, &[&str])] = &[
    ("an unknown key",            "intreface = \"mail0\"",               &["unknown key `intreface`", "banner.toml:1:1", "did you mean `interface`?"]),
    ("a key of another table",    "[jail.mail]\nignoreself = true",      &["`ignoreself` does not belong here", "banner.toml:2:1", "it belongs"]),
    ("no TOML",                   "interface = \"mail0",                 &["not TOML", "banner.toml:1:"]),
    ("a word without quotes",     "interface = mail0",                   &["`mail0` is not in quotes", "banner.toml:1:13", "write \"mail0\""]),
    ("the wrong type",            "[jail.mail]\nmaxretry = \"three\"",   &["`maxretry` is a string", "banner.toml:2:12", "expected a"]),
    ("a number out of range",     "[jail.mail]\nmaxretry = 0",           &["`maxretry` is out of range", "banner.toml:2:12", "expected 1 to 1000"]),
    ("a duration without a unit", "[jail.mail]\nbantime = \"10 apples\"", &["`bantime`", "banner.toml:2:11"]),
    ("a host name",               "ignoreip = [\"mail.example.com\"]",   &["`mail.example.com`: a host name", "banner.toml:1:13", "write its addresses"]),
    ("an unknown service",        "[jail.mail]\nservices = [\"impas\"]", &["unknown service `impas`", "banner.toml:2:13", "did you mean `imaps`?"]),
    ("an unknown filter",         "[jail.mail]\nfilter = [\"postfix\"]", &["unknown filter `postfix`", "banner.toml:2:11"]),
    ("a relative path",           "state_dir = \"state\"",               &["`state` is not an absolute path", "banner.toml:1:13", "start it with `/`"]),
    ("a control byte",            "\"x\\u001b[31m\" = 1",                &["unknown key `x\\u{1b}[31m`", "banner.toml:1:1"]),
];

#[test]
fn a_configuration_that_means_nothing_is_refused_with_its_place_and_what_to_write() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    // Read after it: a row that means something after all is kept to this test's own paths.
    std::fs::create_dir(installation.path("banner.d"))?;
    let paths = format!("socket = {:?}\nbpffs = {:?}\n", installation.socket(), installation.bpffs());
    std::fs::write(installation.path("banner.d/paths.toml"), paths)?;
    for (case, text, said) in ROWS {
        installation.write_configuration(text)?;
        for command in COMMANDS {
            let answer = installation.banner(command)?;
            expect_error(&answer, 2, said).with_context(|| format!("{case}, banner {command}"))?;
            anyhow::ensure!(!answer.stderr.contains('\u{1b}'), "a control byte reaches the terminal: {answer:?}");
        }
    }
    Ok(())
}

#[test]
fn a_named_configuration_that_is_missing_or_no_file_is_refused() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    for (path, cause) in [(installation.path("no-such-file.toml"), "No such file"), ("/".into(), "Is a directory")] {
        for command in COMMANDS {
            let mut banner = std::process::Command::new(installation.binary());
            let answer = installation.run(banner.arg(command).arg("--config").arg(&path))?;
            let shown = path.to_string_lossy();
            expect_error(&answer, 2, &["cannot read", &shown, cause, "check the path"])?;
        }
    }
    Ok(())
}
