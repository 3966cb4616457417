//! Everybody who can drop the packets of banned sources, put on a cable with so many bans.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use aya::{
    Ebpf,
    programs::{Xdp, XdpMode},
};
use banner_common::{Ban, PERMANENT};
use banner_tests::{
    network::MAIL_PORTS,
    object::{Entry, Program},
};

use super::{
    assembly::{self, DROP, PASS},
    cable::Cable,
    generator::Sources,
    reference,
};

/// A way to filter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// No filter.
    Nothing,
    /// A program that passes everything.
    Pass,
    /// A program that drops everything.
    Drop,
    /// banner's object, in the driver or behind it.
    Banner(XdpMode),
    /// The one in plain C.
    Reference,
    /// xdp-filter, with these features.
    XdpTools(&'static str),
    /// nftables, by a set at a hook.
    Nft(Hook),
    /// A set of ipset, asked by iptables in INPUT.
    Ipset,
    /// A rule an address.
    Iptables,
}

/// Where nftables looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// Before everything.
    Ingress,
    /// Before a local socket.
    Input,
}

/// What has to live as long as the filter.
pub(super) enum Kept {
    Nothing,
    Banner(#[expect(dead_code, reason = "its end is the program's")] Box<Program>),
    Program(#[expect(dead_code, reason = "its end is the program's")] Ebpf),
}

impl Filter {
    /// Puts it on the receiver's end.
    pub(super) fn install(self, cable: &Cable, bans: Sources, object: &Path) -> anyhow::Result<Kept> {
        let interface = &cable.interface;
        Ok(match self {
            Self::Nothing => Kept::Nothing,
            Self::Pass => attach(cable, assembly::constant(PASS)?, assembly::NAME)?,
            Self::Drop => attach(cable, assembly::constant(DROP)?, assembly::NAME)?,
            Self::Reference => attach(cable, reference::load(&MAIL_PORTS, bans.all(), [0; 8])?, reference::NAME)?,
            Self::Banner(mode) => {
                let mut program = Program::load_with_entries(object, bans.count)?;
                for port in MAIL_PORTS {
                    program.guard(port, 1)?;
                }
                let ban = Ban { deadline: PERMANENT, services: 1, ..Ban::default() };
                for address in bans.all() {
                    program.ban(Entry::HostV4(address.octets()), ban)?;
                }
                let inside = cable.server.enter()?;
                program.attach_in(interface, mode)?;
                drop(inside);
                Kept::Banner(Box::new(program))
            }
            Self::XdpTools(features) => {
                run(
                    cable,
                    Command::new("unshare").args(["--mount", "sh", "-e"]),
                    &xdp_filter(interface, features, bans),
                )?;
                Kept::Nothing
            }
            Self::Nft(hook) => {
                for script in nft(interface, hook, bans) {
                    run(cable, Command::new("nft").args(["--file", "-"]), &script)?;
                }
                Kept::Nothing
            }
            Self::Ipset => {
                let mut set = format!("create banned hash:ip family inet maxelem {}\n", bans.count);
                for address in bans.all() {
                    let _: std::fmt::Result = writeln!(set, "add banned {address}");
                }
                run(cable, Command::new("ipset").arg("restore"), &set)?;
                let ports = ports();
                let rule =
                    format!("-A INPUT -p tcp -m multiport --dports {ports} -m set --match-set banned src -j DROP");
                run(cable, &mut Command::new("iptables-restore"), &format!("*filter\n{rule}\nCOMMIT\n"))?;
                Kept::Nothing
            }
            Self::Iptables => {
                let ports = ports();
                let mut rules =
                    format!("*filter\n:banned - [0:0]\n-A INPUT -p tcp -m multiport --dports {ports} -j banned\n");
                for address in bans.all() {
                    let _: std::fmt::Result = writeln!(rules, "-A banned -s {address} -j DROP");
                }
                rules += "-A banned -j RETURN\nCOMMIT\n";
                run(cable, &mut Command::new("iptables-restore"), &rules)?;
                Kept::Nothing
            }
        })
    }
}

fn attach(cable: &Cable, mut ebpf: Ebpf, name: &str) -> anyhow::Result<Kept> {
    let program: &mut Xdp = ebpf.program_mut(name).context("its program")?.try_into()?;
    let inside = cable.server.enter()?;
    program.attach(&cable.interface, XdpMode::Driver).with_context(|| format!("attaching `{name}`"))?;
    drop(inside);
    Ok(Kept::Program(ebpf))
}

/// A table with a set, and then the set in parts, as one message to the kernel must not grow beyond its bound.
fn nft(interface: &str, hook: Hook, bans: Sources) -> Vec<String> {
    const PART: usize = 20_000;
    let (family, hook) = match hook {
        Hook::Ingress => ("netdev", format!("ingress device {interface} priority -500")),
        Hook::Input => ("inet", "input priority 0".to_owned()),
    };
    let ports = ports();
    let table = format!(
        "table {family} filter {{
            set banned {{ type ipv4_addr; size {}; }}
            chain mail {{ type filter hook {hook}; policy accept; tcp dport {{ {ports} }} ip saddr @banned counter drop; }}
        }}",
        bans.count
    );
    let addresses: Vec<_> = bans.all().map(|address| address.to_string()).collect();
    let elements =
        addresses.chunks(PART).map(|part| format!("add element {family} filter banned {{ {} }}", part.join(",")));
    [table].into_iter().chain(elements).collect()
}

/// Its maps are pinned where all of its kind on the machine are, so it gets a bpffs of its own, which ends with the shell. The
/// program stays.
fn xdp_filter(interface: &str, features: &str, bans: Sources) -> String {
    let mut script = format!(
        "mount --make-rprivate /
        mount -t bpf bpf /sys/fs/bpf
        xdp-filter load --mode native --features {features} {interface}\n"
    );
    for address in bans.all() {
        let _: std::fmt::Result = writeln!(script, "xdp-filter ip --mode src {address}");
    }
    if features.contains("tcp") {
        // It drops what any of its tables names, so the one of ports is there, and names none of the mail server's.
        script += "xdp-filter port --mode dst --proto tcp 1\n";
    }
    script
}

fn ports() -> String {
    MAIL_PORTS.map(|port| port.to_string()).join(",")
}

/// Runs a command at the receiver's end, with this as its input.
fn run(cable: &Cable, command: &mut Command, input: &str) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let inside = cable.server.enter()?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("running {name}"))?;
    drop(inside);
    // None of them says anything before it has read all of it; one that ends early is told by its exit code.
    let _: std::io::Result<()> = child.stdin.take().context("its input")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
