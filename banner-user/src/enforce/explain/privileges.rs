//! What the process may do.

use std::{fmt, fs, io};

/// What banner needs, by its number in include/uapi/linux/capability.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// To load programs and make maps.
    Bpf = 39,
    /// To load XDP programs and attach them.
    NetAdmin = 12,
    /// To be spared the verifier's checks against leaking kernel pointers.
    Perfmon = 38,
}

const SYS_ADMIN: u64 = 1 << 21;

/// The effective capabilities, and where they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// One bit a capability: `CapEff` of /proc/self/status.
    pub effective: u64,
    /// Capabilities in any other user namespace do not count for BPF (bpf_capable in include/linux/bpf.h).
    pub initial_user_namespace: bool,
}

impl Privileges {
    /// Reads those of this process.
    ///
    /// # Errors
    /// Where /proc cannot be read, or says nothing of capabilities.
    pub fn read() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/thread-self/status")?;
        let effective = effective(&status).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { effective, initial_user_namespace: is_initial(&fs::read_to_string("/proc/self/uid_map")?) })
    }

    /// Root's, on the host.
    pub(super) fn all() -> Self {
        Self { effective: u64::MAX, initial_user_namespace: true }
    }

    /// Those of the needed capabilities that are not there. CAP_SYS_ADMIN stands for each of them (bpf_token_capable in
    /// kernel/bpf/token.c).
    #[must_use]
    pub fn missing(&self) -> Vec<Capability> {
        let has = |number: u64| self.effective & (1 << number | SYS_ADMIN) != 0;
        [Capability::Bpf, Capability::NetAdmin, Capability::Perfmon]
            .into_iter()
            .filter(|capability| !has(*capability as u64))
            .collect()
    }

    /// Whether bpf(2) takes them: CAP_PERFMON only makes the verifier milder.
    #[must_use]
    pub fn suffice(&self) -> bool {
        self.initial_user_namespace && self.missing().iter().all(|missing| *missing == Capability::Perfmon)
    }
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The initial namespace maps all user ids onto themselves (user_namespaces(7)); another that does was made so by a
/// privileged process.
fn is_initial(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bpf => "CAP_BPF",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status_of_the_process() {
        let status = "Name:\tbanner\nCapPrm:\t0000000000000000\nCapEff:\t000001fffeffffff\nCapBnd:\t000001ffffffffff\n";
        assert_eq!(effective(status), Some(0x1ff_feff_ffff));
        assert_eq!(effective("Name:\tCapEff:\t1\n"), None);
        assert_eq!(effective(""), None);
    }

    #[test]
    fn a_user_namespace_is_told_by_its_map() {
        assert!(is_initial("         0          0 4294967295\n"));
        assert!(!is_initial("         0     100000      65536\n"));
        assert!(!is_initial("         0          0 4294967294\n         1 1 1\n"));
        assert!(!is_initial(""));
    }

    #[test]
    fn what_is_missing_is_named() {
        use Capability::{Bpf, NetAdmin, Perfmon};
        let table: [(u64, &[Capability]); 6] = [
            (0, &[Bpf, NetAdmin, Perfmon]),
            (1 << 39, &[NetAdmin, Perfmon]),
            (1 << 12, &[Bpf, Perfmon]),
            (1 << 39 | 1 << 12 | 1 << 38, &[]),
            (1 << 21, &[]),
            (u64::MAX, &[]),
        ];
        for (effective, missing) in table {
            assert_eq!(Privileges { effective, initial_user_namespace: true }.missing(), missing, "{effective:x}");
        }
    }
}
