//! Root file systems of Debian 12 with mail servers in them, unpacked below `target/lab`, so that nothing is installed on the
//! machine itself.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

/// Names the folder with the roots; `target/lab` of the workspace without it.
pub const FOLDER: &str = "BANNER_LAB";

/// Debian 12, whose servers' log lines the built-in filters know best.
const SUITE: &str = "bookworm";

/// What a host has installed. IMAP servers exclude each other in Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Postfix, saslauthd, Cyrus IMAP.
    Cyrus,
    /// Postfix, Dovecot.
    Dovecot,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Cyrus, Self::Dovecot];

    /// The name of its folders.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cyrus => "cyrus",
            Self::Dovecot => "dovecot",
        }
    }
}

/// Where the roots are, and what they are made of.
#[derive(Clone, Debug)]
pub struct Roots {
    folder: PathBuf,
    workspace: PathBuf,
}

impl Roots {
    /// Those of this workspace.
    #[must_use]
    pub fn new() -> Self {
        // Of the running cargo, and not of the one that built this: the clone may have been moved since. Every member of the
        // workspace lies right below its root.
        let member =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let workspace = member.parent().unwrap_or(&member);
        let folder = env::var_os(FOLDER).map_or_else(|| workspace.join("target/lab"), PathBuf::from);
        Self { folder: folder.join("roots"), workspace: workspace.to_owned() }
    }

    /// The folder that they are in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder whose files are laid over a root: `all`, the name of a kind, or a variant's.
    #[must_use]
    pub fn layer(&self, name: &str) -> PathBuf {
        self.workspace.join("tests/lab/files").join(name)
    }

    /// banner's unit.
    #[must_use]
    pub fn unit(&self) -> PathBuf {
        self.workspace.join("packaging/banner.service")
    }

    /// Where the root is; None where it was never fetched, or from another recipe.
    ///
    /// # Errors
    /// The recipe cannot be read.
    pub fn find(&self, kind: Kind) -> anyhow::Result<Option<PathBuf>> {
        let fetched = match fs::read_to_string(self.stamp(kind)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("reading {}", self.stamp(kind).display())),
        };
        Ok((fetched == self.recipe(kind)?).then(|| self.path(kind)))
    }

    /// Makes a root: some 60 MB of packages, half a minute and 400 MB of disk. What mmdebstrap says goes to `output`.
    ///
    /// # Errors
    /// Without root, without mmdebstrap, and where the packages cannot be had.
    pub fn fetch(&self, kind: Kind, output: &File) -> anyhow::Result<PathBuf> {
        let (path, half) = (self.path(kind), self.folder.join(format!("{}.unfinished", kind.name())));
        fs::create_dir_all(&self.folder).with_context(|| format!("making {}", self.folder.display()))?;
        for old in [&half, &path] {
            remove(old)?;
        }
        let recipe = self.recipe(kind)?;
        let status = Command::new("mmdebstrap")
            .args(["--variant=minbase", "--mode=root"])
            .arg(format!("--include={}", packages(&fs::read_to_string(self.file(kind, "packages"))?)))
            .arg(r#"--customize-hook=sh -eu "$BANNER_LAB_PREPARE" "$1""#)
            .arg(SUITE)
            .arg(&half)
            .env("BANNER_LAB_PREPARE", self.file(kind, "prepare.sh"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .status()
            .context("starting `mmdebstrap`; install the Debian package of that name")?;
        if !status.success() {
            bail!("mmdebstrap failed ({status}); does apt reach Debian's packages, and is this root?");
        }
        fs::rename(&half, &path).with_context(|| format!("moving {} into place", half.display()))?;
        fs::write(self.stamp(kind), recipe)?;
        Ok(path)
    }

    fn path(&self, kind: Kind) -> PathBuf {
        self.folder.join(kind.name())
    }

    /// A file of the recipe.
    fn file(&self, kind: Kind, name: &str) -> PathBuf {
        self.workspace.join("tests/lab/roots").join(kind.name()).join(name)
    }

    /// What a root was made of: its recipe, word for word.
    fn stamp(&self, kind: Kind) -> PathBuf {
        self.folder.join(format!("{}.recipe", kind.name()))
    }

    fn recipe(&self, kind: Kind) -> anyhow::Result<String> {
        let read = |name| {
            let path = self.file(kind, name);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        Ok(format!("{SUITE}\n{}\n{}\n{}", read("packages")?, read("prepare.sh")?, read("../host.sh")?))
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self::new()
    }
}

/// Names, one a line, `#` begins a comment; as mmdebstrap takes them.
fn packages(text: &str) -> String {
    let names = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(",")
}

/// Removes a folder that may not be there.
fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_packages_may_have_comments() {
        assert_eq!(packages("# servers\npostfix\n\ncyrus-imapd # 3.6\n"), "postfix,cyrus-imapd");
    }
}
