//! How the cases of a module went: as text for people, and as JSON for programs.

use model::Digest;
use serde::Serialize;

use super::cases::compare::{Difference, differences, is_host_fault, shown};
use super::cases::run::Ran;
use super::cases::{Case, Suite};

/// So many lines of a case's log are shown, and only where it does not pass.
const LOG_LINES_MAX: usize = 10;

/// How all cases went.
#[derive(Serialize)]
pub(crate) struct Report {
    /// The module.
    pub(crate) module: Digest,
    /// The digest of the cases.
    pub(crate) tests: Digest,
    /// The engine that ran them.
    pub(crate) engine: String,
    /// How many passed.
    pub(crate) passed: usize,
    /// In how many something differs from what was expected.
    pub(crate) differing: usize,
    /// In how many the machine failed.
    pub(crate) failed: usize,
    /// The files, in the order of their names.
    pub(crate) files: Vec<FileReport>,
}

/// How the cases of one file went.
#[derive(Serialize)]
pub(crate) struct FileReport {
    /// The file.
    pub(crate) file: String,
    /// Its cases, in their order.
    pub(crate) cases: Vec<CaseReport>,
}

/// How one case went.
#[derive(Serialize)]
pub(crate) struct CaseReport {
    /// What it shows.
    pub(crate) name: String,
    /// How it went.
    pub(crate) result: CaseResult,
    /// What came out, in a line.
    pub(crate) outcome: String,
    /// What is not as expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) differences: Vec<Difference>,
    /// What the module logged, where something is not as expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) log: Vec<String>,
    /// The fuel that the event took.
    pub(crate) fuel_used: u64,
    /// How long starting an instance and the event took, in microseconds.
    pub(crate) time_us: u64,
}

/// How a case went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CaseResult {
    /// All is as expected.
    Passed,
    /// Something is not.
    Differs,
    /// The machine failed, which says nothing about the module.
    Failed,
}

impl Report {
    /// Puts together what was expected and what came.
    pub(crate) fn new(module: Digest, engine: &str, suite: &Suite, ran: &[Vec<Ran>]) -> Self {
        let files: Vec<FileReport> = suite
            .files
            .iter()
            .zip(ran)
            .map(|(file, ran)| FileReport {
                file: file.name.clone(),
                cases: file.cases.iter().zip(ran).map(|(case, ran)| CaseReport::new(case, ran)).collect(),
            })
            .collect();
        let count =
            |result| files.iter().flat_map(|file| &file.cases).filter(|case| case.result == result).count();
        Self {
            module,
            tests: suite.digest(),
            engine: engine.to_owned(),
            passed: count(CaseResult::Passed),
            differing: count(CaseResult::Differs),
            failed: count(CaseResult::Failed),
            files,
        }
    }

    /// Whether all cases passed.
    pub(crate) fn is_passed(&self) -> bool {
        self.differing == 0 && self.failed == 0
    }

    /// How many cases there are.
    pub(crate) fn count(&self) -> u64 {
        (self.passed + self.differing + self.failed) as u64
    }

    /// The report for people: each case on a line, and below it what is not as expected.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        for file in &self.files {
            lines.push(file.file.clone());
            file.cases.iter().for_each(|case| case.lines(&mut lines));
        }
        lines.push(self.summary());
        lines.join("\n")
    }

    /// How many cases passed, in a line.
    pub(crate) fn summary(&self) -> String {
        let mut line = format!("{} of {} cases passed", self.passed, self.count());
        if self.differing > 0 {
            line.push_str(&format!(", {} differ", self.differing));
        }
        if self.failed > 0 {
            line.push_str(&format!(", in {} the machine failed", self.failed));
        }
        format!("{line} ({})", self.module.short())
    }
}

impl CaseReport {
    fn new(case: &Case, ran: &Ran) -> Self {
        let differences = differences(case, ran);
        let result = match differences.is_empty() {
            true => CaseResult::Passed,
            false if is_host_fault(ran) => CaseResult::Failed,
            false => CaseResult::Differs,
        };
        let log = if differences.is_empty() { Vec::new() } else { ran.log.clone() };
        Self {
            name: case.name.clone(),
            result,
            outcome: shown(&ran.outcome),
            differences,
            log,
            fuel_used: ran.fuel_used,
            time_us: u64::try_from(ran.time.as_micros()).unwrap_or(u64::MAX),
        }
    }

    fn lines(&self, lines: &mut Vec<String>) {
        let result = match self.result {
            CaseResult::Passed => "ok     ",
            CaseResult::Differs => "DIFFERS",
            CaseResult::Failed => "FAILED ",
        };
        lines.push(format!("  {result} {}", self.name));
        lines.extend(self.details().into_iter().map(|line| format!("          {line}")));
    }

    /// What is not as expected, and what the module said meanwhile.
    pub(crate) fn details(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Difference { what, lines: changes } in &self.differences {
            lines.push(format!("{what}:"));
            lines.extend(changes.iter().map(|line| format!("  {line}")));
        }
        if !self.log.is_empty() {
            lines.push("the log:".into());
            let shown = self.log.iter().take(LOG_LINES_MAX);
            lines.extend(shown.map(|line| format!("    {line}")));
            let more = self.log.len().saturating_sub(LOG_LINES_MAX);
            if more > 0 {
                lines.push(format!("    … and {more} lines more"));
            }
        }
        lines
    }
}
