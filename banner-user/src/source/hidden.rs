//! Which logs the daemon is not shown when it runs as `packaging/banner.service`.

use std::{fs, path::Path};

/// What `ProtectHome=yes` hides (systemd.exec(5)): below these, nothing exists for the daemon.
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];

/// The directory that hides a log, or a pattern of logs, from a daemon under the unit. Links are followed as far as they lead to
/// something.
pub(crate) fn hidden_below(path: &Path) -> Option<&'static str> {
    let below = |path: &Path| HIDDEN.into_iter().find(|hidden| path.starts_with(hidden));
    below(path).or_else(|| fs::canonicalize(path).ok().as_deref().and_then(below))
}

/// Why the daemon may see nothing there, and what to do.
pub(crate) fn remedy(hidden: &str) -> String {
    format!(
        "banner.service hides {hidden} from the daemon (ProtectHome=yes), unless a drop-in of it says otherwise: `systemctl edit \
         banner`, there `[Service]` and `ProtectHome=read-only`, then `systemctl restart banner`"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_the_unit_hides_is_known_by_its_path_or_by_where_its_links_lead() {
        for (path, expected) in [
            ("/home/mail/mail.log", Some("/home")),
            ("/home", Some("/home")),
            ("/root/*.log", Some("/root")),
            ("/run/user/0/mail.log", Some("/run/user")),
            ("/homely/mail.log", None),
            ("/run/banner.log", None),
            ("/var/log/mail.log", None),
        ] {
            assert_eq!(hidden_below(Path::new(path)), expected, "{path}");
        }
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("mail.log");
        symlink("/root", &link).unwrap();
        assert_eq!(hidden_below(&link), Some("/root"));
    }
}
