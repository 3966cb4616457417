//! What the bytes of the kernel object depend on, apart from the compiler.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use super::build;

/// The crates whose sources are compiled into the object; the first is the program.
const CRATES: [&str; 2] = ["banner-ebpf", "banner-common"];

/// Each input by name: a file with its SHA-256, a dependency with the checksum that Cargo.lock gives it, settings as they
/// are written. One line each, so that a mismatch names what has changed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Inputs(BTreeMap<String, String>);

impl Inputs {
    /// Reads the inputs as they are in this checkout.
    ///
    /// # Errors
    /// A file of theirs cannot be read or parsed.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut inputs = BTreeMap::new();
        for name in CRATES {
            add_file(&mut inputs, root, &format!("{name}/Cargo.toml"))?;
            add_folder(&mut inputs, root, &format!("{name}/src"))?;
        }
        let manifest = read_toml(&root.join("Cargo.toml"))?;
        inputs.insert("edition".into(), shown(lookup(&manifest, &["workspace", "package", "edition"])));
        inputs.insert("profile".into(), profile(&manifest));
        inputs.insert("flags".into(), build::FLAGS.join(" "));
        let manifests =
            CRATES.iter().map(|name| read_toml(&root.join(name).join("Cargo.toml"))).collect::<Result<Vec<_>>>()?;
        let names = manifests.iter().flat_map(direct_dependencies);
        inputs.extend(locked(&read_toml(&root.join("Cargo.lock"))?, names));
        Ok(Self(inputs))
    }

    /// The names of the inputs that differ, with what happened to them since `self`.
    pub(crate) fn changes(&self, now: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.0.keys().chain(now.0.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| match (self.0.get(name), now.0.get(name)) {
                (Some(then), Some(now)) if then == now => None,
                (Some(_), Some(_)) => Some(format!("{name} has changed")),
                (Some(_), None) => Some(format!("{name} is gone")),
                (None, _) => Some(format!("{name} is new")),
            })
            .collect()
    }
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add_file(inputs: &mut BTreeMap<String, String>, root: &Path, name: &str) -> Result<()> {
    let bytes = fs::read(root.join(name)).with_context(|| format!("cannot read {name}"))?;
    inputs.insert(name.to_owned(), sha256(&bytes));
    Ok(())
}

fn add_folder(inputs: &mut BTreeMap<String, String>, root: &Path, name: &str) -> Result<()> {
    for entry in fs::read_dir(root.join(name)).with_context(|| format!("cannot list {name}"))? {
        let entry = entry.with_context(|| format!("cannot list {name}"))?;
        let below = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            add_folder(inputs, root, &below)?;
        } else if below.ends_with(".rs") {
            add_file(inputs, root, &below)?;
        }
    }
    Ok(())
}

/// The settings of `[profile.bpf]`, over those of the release profile that it inherits.
fn profile(manifest: &Table) -> String {
    let settings = |name| lookup(manifest, &["profile", name]).and_then(Value::as_table).cloned().unwrap_or_default();
    let mut merged = settings("release");
    merged.extend(settings("bpf"));
    merged.iter().map(|(key, value)| format!("{key}={}", shown(Some(value)))).collect::<Vec<_>>().join(" ")
}

/// The dependencies that a crate names for the kernel side: optional ones belong to userland (banner-common's aya).
fn direct_dependencies(manifest: &Table) -> Vec<String> {
    let dependencies = manifest.get("dependencies").and_then(Value::as_table).cloned().unwrap_or_default();
    let optional = |value: &Value| value.get("optional").and_then(Value::as_bool).unwrap_or(false);
    dependencies.into_iter().filter(|(_, value)| !optional(value)).map(|(name, _)| name).collect()
}

/// Runs in build scripts alone and prints the one setting that `build::FLAGS` fixes; what it depends on (anyhow, serde) is
/// in userland too and may move without the object.
const BUILD_SCRIPT: &str = "aya-build";

/// The packages of the lock file that are reached from these names, with their checksums. The crates of this workspace are
/// in there without one: their files are inputs themselves, and their dependencies are named by the caller.
fn locked(lock: &Table, names: impl Iterator<Item = String>) -> BTreeMap<String, String> {
    let packages = lock.get("package").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut wanted: Vec<String> = names.collect();
    let mut found = BTreeMap::new();
    while let Some(name) = wanted.pop() {
        if name == BUILD_SCRIPT {
            continue;
        }
        for package in packages.iter().filter(|package| answers_to(package, &name)) {
            let Some(checksum) = package.get("checksum") else { continue };
            let title = format!("{} {}", shown(package.get("name")), shown(package.get("version")));
            if found.insert(title, shown(Some(checksum))).is_none() {
                let dependencies = package.get("dependencies").and_then(Value::as_array);
                wanted.extend(dependencies.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
            }
        }
    }
    found
}

/// Whether the lock file means this package by a dependency's text: a name, followed by the version where several are locked.
fn answers_to(package: &Value, dependency: &str) -> bool {
    let mut words = dependency.split(' ');
    let is = |key, word: &str| package.get(key).and_then(Value::as_str) == Some(word);
    words.next().is_some_and(|name| is("name", name)) && words.next().is_none_or(|version| is("version", version))
}

fn lookup<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(*key))
}

fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

fn read_toml(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("cannot parse {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn a_dependency_of_a_dependency_is_an_input_and_a_build_script_is_not() {
        let lock = table(
            r#"
            package = [
                { name = "aya-ebpf", version = "0.2.1", checksum = "aa", dependencies = ["aya-build", "syn 2.0.1"] },
                { name = "aya-build", version = "0.2.0", checksum = "ee", dependencies = ["tokio"] },
                { name = "syn", version = "1.0.9", checksum = "bb" },
                { name = "syn", version = "2.0.1", checksum = "cc", dependencies = ["aya-ebpf"] },
                { name = "tokio", version = "1.0.0", checksum = "dd" },
                { name = "banner-common", version = "0.1.0", dependencies = ["tokio"] },
            ]"#,
        );
        let found = locked(&lock, ["aya-ebpf".to_owned(), "banner-common".to_owned()].into_iter());
        let expected = [("aya-ebpf 0.2.1", "aa"), ("syn 2.0.1", "cc")];
        assert_eq!(found, expected.map(|(name, checksum)| (name.to_owned(), checksum.to_owned())).into());
    }

    #[test]
    fn userland_dependencies_are_no_input() {
        let manifest = table(
            r#"
            [dependencies]
            aya = { workspace = true, optional = true }
            aya-ebpf = "=0.2.1"
            banner-common.workspace = true"#,
        );
        assert_eq!(direct_dependencies(&manifest), ["aya-ebpf", "banner-common"]);
    }

    #[test]
    fn the_profile_is_what_cargo_makes_of_it() {
        let manifest = table(
            r#"
            [profile.release]
            lto = "thin"
            incremental = false
            [profile.bpf]
            inherits = "release"
            lto = true"#,
        );
        assert_eq!(profile(&manifest), "incremental=false inherits=release lto=true");
    }

    #[test]
    fn every_change_of_an_input_is_named() {
        let inputs = |entries: &[(&str, &str)]| {
            Inputs(entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let then = inputs(&[("same", "1"), ("edited", "1"), ("removed", "1")]);
        let now = inputs(&[("same", "1"), ("edited", "2"), ("added", "1")]);
        assert_eq!(then.changes(&now), ["added is new", "edited has changed", "removed is gone"]);
        assert!(then.changes(&then).is_empty());
    }

    #[test]
    fn this_checkout_has_its_sources_and_its_locked_dependencies_as_inputs() {
        let inputs = Inputs::read(&crate::workspace::root()).unwrap().0;
        for name in
            ["banner-ebpf/src/main.rs", "banner-common/src/lib.rs", "banner-ebpf/Cargo.toml", "profile", "flags"]
        {
            assert!(inputs.contains_key(name), "{name} is missing in {inputs:?}");
        }
        assert!(inputs.keys().any(|name| name.starts_with("aya-ebpf-bindings ")), "{inputs:?}");
        assert!(!inputs.keys().any(|name| name.starts_with("tokio ")), "{inputs:?}");
    }

    #[test]
    fn digests_are_hexadecimal_sha256() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
