//! How much memory the configured limits can come to: what `MemoryMax` of the unit has to allow.
//!
//! A cgroup pays for the maps that its processes make, as for the processes themselves (`bpf_map_save_memcg`,
//! kernel/bpf/syscall.c, Linux 5.11). Each figure is what one more of its kind takes at most, rounded up from what was measured:
//!
//! | | bytes | |
//! | --- | --- | --- |
//! | entry of a hash map | 120 | measured 113, all taken when the map is made |
//! | entry of a trie | 192 | a node of 128 and another of 64 where two prefixes part (`trie_update_elem`, kernel/bpf/lpm_trie.c) |
//! | ban | 512 | measured 153, the ledger; and once more on its way to the disk, when all are written |
//! | source | 192 | measured 78, the tally with one failure; and once more on its way to the disk |
//! | failure of a source | 16 | a stamp and a weight; so many count at most that quarters of one make `maxretry` |
//! | tries of a source | 160 | 8 to 48 with its entry; and once more on their way to the disk (`[accounts]`, `[spraying]`) |
//! | network with failures | 64 | one source that failed in it; up to `members` of 8 more (`[prefixes]`) |
//! | former bans of a prefix | 160 | an entry of 44 and its place; and once more on its way to the disk (`[increment]`, `[recidive]`) |
//! | login | 224 | a slot of 32 in three orders; and once more on its way to the disk (`[customers]`) |
//! | evidence of a source | 2,560 | its newest line (512), and ten failures with their users (64) |
//! | everything else | 128 MiB | measured 30: the binary, its filters' automata, buffers, the store; the journal's reader |
//!
//! The maps count twice: after a change of their sizes the old ones are there until the new ones are filled.

use crate::config::Config;

const HASH_ENTRY: u64 = 120;
const TRIE_ENTRY: u64 = 192;
const BAN: u64 = 512;
const SOURCE: u64 = 192;
const FAILURE: u64 = 16;
const TRIES: u64 = 160;
const NETWORK: u64 = 64;
const MEMBER: u64 = 8;
const FORMER: u64 = 160;
const LOGIN: u64 = 224;
const EVIDENCE: u64 = 2_560;
const REST: u64 = 128 * MIB;

/// Bytes.
const MIB: u64 = 1 << 20;

/// `MemoryMax` of packaging/banner.service, in MiB.
pub(super) const PACKAGED: u64 = 1536;

/// In MiB, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// Of it, the kernel's maps.
    pub(super) maps: u64,
    /// All.
    pub(super) all: u64,
}

impl Memory {
    /// What a configuration can come to.
    pub(super) fn needed(config: &Config) -> Self {
        let (sizes, policy) = (config.map_sizes, &config.policy);
        let limits = policy.limits;
        let [v4, v6, prefixes] = [sizes.bans_v4, sizes.bans_v6, sizes.prefixes].map(u64::from);
        // Both families have a trie of this size.
        let prefixes = 2 * prefixes;
        let maps = 2 * (HASH_ENTRY * (v4 + v6) + TRIE_ENTRY * prefixes);
        let maxretry = policy.jails.iter().map(|jail| u64::from(jail.maxretry)).max().unwrap_or(0);
        let has_tries = policy.accounts.is_some() || policy.spraying.is_some();
        let has_history = policy.increment.is_some() || policy.recidive.is_some();
        let network = policy.prefixes.map_or(0, |prefixes| NETWORK + MEMBER * u64::from(prefixes.members));
        let source = [
            SOURCE + FAILURE * 4 * maxretry,
            network,
            if has_tries { TRIES } else { 0 },
            if has_history { FORMER } else { 0 },
        ];
        let source: u64 = source.iter().sum();
        let login = if policy.customers.is_some() { LOGIN } else { 0 };
        let all = [
            maps,
            BAN.saturating_mul(v4 + v6 + prefixes),
            source.saturating_mul(limits.sources as u64),
            login.saturating_mul(limits.customers as u64),
            EVIDENCE.saturating_mul(limits.evidence as u64),
            REST,
        ];
        let all = all.into_iter().fold(0, u64::saturating_add);
        Self { maps: maps.div_ceil(MIB), all: all.div_ceil(MIB) }
    }

    /// What an operator should know of it before the start.
    pub(super) fn note(self) -> String {
        let Self { maps, all } = self;
        let note = format!("{all} MiB at the configured limits, {maps} of them the kernel's maps");
        if self.fits() {
            return note;
        }
        format!(
            "{note}: more than MemoryMax={PACKAGED}M of the packaged banner.service. Where that is in use, `systemctl edit \
             banner` and write [Service] and MemoryMax={all}M"
        )
    }

    /// Whether the packaged unit allows it.
    pub(super) fn fits(self) -> bool {
        self.all <= PACKAGED
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn needed(text: &str) -> Memory {
        Memory::needed(&Config::parse(&[(PathBuf::from("banner.toml"), text.to_owned())], &[]).unwrap())
    }

    #[test]
    fn the_unit_allows_what_the_default_limits_can_come_to_and_not_much_more() {
        let unit = include_str!("../../../packaging/banner.service");
        assert!(unit.contains(&format!("\nMemoryMax={PACKAGED}M\n")));
        let Memory { all, .. } = needed("");
        assert!(all <= PACKAGED && PACKAGED < all + all / 4, "{all} MiB");
    }

    #[test]
    fn every_limit_counts() {
        let default = needed("");
        for (text, more) in [
            ("[limits]\nbans_v4 = 1_262_144", (2 * 120 + 512) * 1_000_000),
            ("[limits]\nbans_v6 = 1_131_072", (2 * 120 + 512) * 1_000_000),
            ("[limits]\nprefixes = 1_065_536", 2 * (2 * 192 + 512) * 1_000_000),
            ("[limits]\nsources = 2_000_000", (192 + 16 * 4 * 3 + 160 + 64 + 8 * 10 + 160) * 1_000_000),
            ("[limits]\ncustomers = 1_200_000", 224 * 1_000_000),
            ("[prefixes]\nmembers = 20", 8 * 10 * 1_000_000),
            ("[limits]\nevidence = 1_010_000", 2_560 * 1_000_000),
            ("[jail.mail]\nmaxretry = 13", 16 * 4 * 10 * 1_000_000),
        ] {
            let grown = needed(text).all - default.all;
            assert!(grown.abs_diff(more / MIB) <= 1, "{text}: {grown} MiB more");
        }
    }

    #[test]
    fn what_is_switched_off_takes_nothing() {
        let default = needed("");
        for (text, less) in [
            ("[accounts]\nenabled = false\n[spraying]\nenabled = false", 160 * 1_000_000),
            ("[prefixes]\nenabled = false", (64 + 8 * 10) * 1_000_000),
            ("[increment]\nenabled = false\n[recidive]\nenabled = false", 160 * 1_000_000),
            ("[customers]\nenabled = false", 224 * 200_000),
        ] {
            let shrunk = default.all - needed(text).all;
            assert!(shrunk.abs_diff(less / MIB) <= 1, "{text}: {shrunk} MiB less");
        }
    }

    #[test]
    fn what_the_unit_does_not_allow_is_told_with_the_remedy() {
        let large = needed("[limits]\nbans_v4 = 2_000_000");
        assert!(!large.fits() && needed("").fits());
        assert!(large.note().contains(&format!("MemoryMax={}M", large.all)), "{}", large.note());
        assert!(!needed("").note().contains("systemctl"));
    }
}
