//! What `banner check` says.

use serde::Serialize;

use super::{Exit, render::Style};
use crate::{
    config::{Diagnostic, Severity},
    control::protocol::Text,
};

/// Everything that `check` looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is wrong or odd in the configuration.
    pub problems: Vec<Problem>,
    /// What the kernel and the interfaces can do; empty where the configuration has errors.
    pub findings: Vec<Finding>,
}

/// Something wrong or odd in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether the configuration cannot be used because of it.
    pub error: bool,
    /// What.
    pub message: Text,
    /// What to write instead.
    pub remedy: Text,
    /// The file; `null` where it is about the whole.
    pub file: Option<Text>,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// The column in it, in characters, from 1.
    pub column: Option<usize>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `kernel`, `bpffs`, `interface eth0`.
    pub subject: Text,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, or what is wrong and what to do.
    pub note: Text,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, with a disadvantage.
    Warning,
    /// It will not work as it is configured.
    Misconfigured,
    /// The kernel does not do it, or not for this user.
    Refused,
}

impl Check {
    /// How `check` ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let found = |verdict| self.findings.iter().any(|finding| finding.verdict == verdict);
        if self.problems.iter().any(|problem| problem.error) || found(Verdict::Misconfigured) {
            Exit::Usage
        } else if found(Verdict::Refused) {
            Exit::Kernel
        } else {
            Exit::Done
        }
    }

    /// The findings, a line each. The problems are shown with the lines that they are in, by [`Diagnostic`].
    pub(super) fn render(&self, style: &Style) -> String {
        let width = self.findings.iter().map(|finding| finding.subject.as_str().chars().count()).max().unwrap_or(0);
        let line = |finding: &Finding| {
            let verdict = match finding.verdict {
                Verdict::Good => style.good("ok     "),
                Verdict::Warning => style.warning("warning"),
                Verdict::Misconfigured | Verdict::Refused => style.bad("failed "),
            };
            format!("{verdict}  {:width$}  {}\n", finding.subject, finding.note)
        };
        self.findings.iter().map(line).collect()
    }
}

impl From<&Diagnostic> for Problem {
    fn from(diagnostic: &Diagnostic) -> Self {
        let place = diagnostic.place.as_ref();
        Self {
            error: diagnostic.severity == Severity::Error,
            message: diagnostic.problem.to_string().into(),
            remedy: diagnostic.problem.hint().into(),
            file: place.map(|place| place.path.as_path().into()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(subject: &str, verdict: Verdict) -> Finding {
        Finding { subject: subject.into(), verdict, note: "note".into() }
    }

    #[test]
    fn the_worst_finding_decides_the_exit_code() {
        use Verdict::{Good, Misconfigured, Refused, Warning};
        for (verdicts, exit) in [
            (&[][..], Exit::Done),
            (&[Good, Warning], Exit::Done),
            (&[Good, Refused, Warning], Exit::Kernel),
            (&[Refused, Misconfigured], Exit::Usage),
        ] {
            let findings = verdicts.iter().map(|verdict| finding("kernel", *verdict)).collect();
            assert_eq!(Check { findings, problems: Vec::new() }.exit(), exit, "{verdicts:?}");
        }
    }

    #[test]
    fn findings_are_aligned() {
        let findings = vec![finding("kernel", Verdict::Good), finding("interface eth0", Verdict::Refused)];
        let shown = Check { findings, problems: Vec::new() }.render(&Style::plain());
        assert_eq!(shown, "ok       kernel          note\nfailed   interface eth0  note\n");
    }
}
