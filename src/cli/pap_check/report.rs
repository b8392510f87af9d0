//! What is printed: every case as it is run where that is asked for, what failed and why at the end, and the table.

use std::fmt::Write as _;

use anyhow::bail;

use super::case::{Case, Level};
use super::options::Args;
use super::runner::{Failure, Outcome};

pub(super) struct Report<'a> {
    args: &'a Args,
    table: Table,
    failures: String,
    /// Why cases were skipped, and how many for each reason.
    skipped: indexmap::IndexMap<String, usize>,
    not_run: usize,
    why_not_run: String,
}

impl<'a> Report<'a> {
    pub(super) fn new(args: &'a Args) -> Self {
        let skipped = indexmap::IndexMap::new();
        Self { args, table: Table::default(), failures: String::new(), skipped, not_run: 0, why_not_run: String::new() }
    }

    pub(super) fn note(&mut self, area: &str, case: &Case, outcome: &Outcome) {
        let word = word(outcome);
        if self.args.json {
            let (expected, came) = match outcome {
                Outcome::Failed(failure) => (failure.mismatch.expected.as_str(), failure.mismatch.came.as_str()),
                Outcome::Passed => ("", ""),
                Outcome::Skipped(why) | Outcome::NotRun(why) => ("", why.as_str()),
            };
            let why = if expected.is_empty() { came.to_owned() } else { format!("expected {expected}, came {came}") };
            let line = serde_json::json!({"area": area, "case": case.name, "rule": case.rule,
                "level": case.level.name(), "outcome": word.to_lowercase(), "why": why});
            println!("{line}");
        } else if self.args.verbose {
            println!("{word:<8} {:<6} {:<40} {}", case.level.name(), case.name, case.rule);
        }
        match outcome {
            Outcome::Passed => {}
            Outcome::Skipped(why) => *self.skipped.entry(why.clone()).or_default() += 1,
            Outcome::NotRun(why) => {
                self.not_run += 1;
                self.why_not_run.clone_from(why);
            }
            Outcome::Failed(failure) => self.failures.push_str(&tell(case, failure, self.args.verbose)),
        }
        self.table.note(area, case.level, outcome);
    }

    /// Everything that is told at the end, the table last.
    pub(super) fn finish(&self) {
        if self.args.json {
            return;
        }
        let mut out = self.failures.clone();
        for (why, count) in &self.skipped {
            let _ = writeln!(out, "skipped  {count:>4}  {why}");
        }
        if self.not_run > 0 {
            let _ = writeln!(out, "not run  {:>4}  {}", self.not_run, self.why_not_run);
        }
        println!("{out}\n{}", self.table.markdown().trim_end());
    }

    /// An error where the specification is not kept, or where that is not known.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        let failed = self.table.musts_failed();
        if failed > 0 {
            bail!("{failed} cases failed that the specification demands");
        }
        if self.not_run > 0 {
            bail!("{} cases were not run: {}", self.not_run, self.why_not_run);
        }
        Ok(())
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Skipped(_) => "skipped",
        Outcome::Failed(_) => "FAILED",
        Outcome::NotRun(_) => "not run",
    }
}

fn tell(case: &Case, failure: &Failure, verbose: bool) -> String {
    let mismatch = &failure.mismatch;
    let mut out = format!(
        "FAILED   {:<6} {}\n         rule      {}\n         expected  {}\n         came      {}\n",
        case.level.name(),
        case.name,
        case.rule,
        mismatch.expected,
        mismatch.came
    );
    if verbose {
        let sent = printable(&String::from_utf8_lossy(&failure.sent));
        let _ = writeln!(out, "--- sent\n{sent}\n--- answer\n{}\n---", printable(&failure.answer));
    }
    out
}

/// What came over a network, without characters that a terminal obeys.
fn printable(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}

/// How many cases of each area passed.
#[derive(Default)]
struct Table(indexmap::IndexMap<String, [Score; 2]>);

#[derive(Default, Clone, Copy)]
struct Score {
    passed: usize,
    failed: usize,
    not_run: usize,
    skipped: usize,
}

impl Table {
    fn note(&mut self, area: &str, level: Level, outcome: &Outcome) {
        let scores = self.0.entry(area.to_owned()).or_default();
        let score = &mut scores[usize::from(level == Level::Should)];
        match outcome {
            Outcome::Passed => score.passed += 1,
            Outcome::Skipped(_) => score.skipped += 1,
            Outcome::Failed(_) => score.failed += 1,
            Outcome::NotRun(_) => score.not_run += 1,
        }
    }

    fn musts_failed(&self) -> usize {
        self.0.values().map(|[must, _]| must.failed).sum()
    }

    fn markdown(&self) -> String {
        let mut out = String::from("| area | MUST | SHOULD | skipped |\n| --- | --- | --- | --- |\n");
        let mut total = [Score::default(); 2];
        for (area, scores) in &self.0 {
            out.push_str(&row(area, scores));
            for (sum, score) in total.iter_mut().zip(scores) {
                sum.passed += score.passed;
                sum.failed += score.failed;
                sum.not_run += score.not_run;
                sum.skipped += score.skipped;
            }
        }
        out.push_str(&row("all", &total));
        out
    }
}

/// Of how many: of all that were not skipped.
fn row(area: &str, [must, should]: &[Score; 2]) -> String {
    let of = |score: &Score| format!("{} of {}", score.passed, score.passed + score.failed + score.not_run);
    format!("| {area} | {} | {} | {} |\n", of(must), of(should), must.skipped + should.skipped)
}
