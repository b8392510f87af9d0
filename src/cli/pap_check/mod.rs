//! `papcast pap-check`: a conformance kit for any push proxy gateway. The cases are the files under `tests/data/pap/`, which
//! papcast's own tests run too; they are compiled in, so that the program needs nothing else.

mod case;
mod expect;
mod placeholders;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::Uri;

use self::case::{Case, Level, Step};
use self::placeholders::Placeholders;
use super::client::{Gateway, Reply};

/// Check a push proxy gateway against a set of requests and expected answers.
///
/// Fails where a case fails that the specification demands (MUST); cases of tolerance and good habits (SHOULD) are shown
/// only. Pushes are submitted to the number, and to the group if one is named: use a gateway that nobody depends on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// PAP endpoint, such as http://127.0.0.1:8080/pap.
    url: Uri,
    /// Digits of a phone number that the gateway serves.
    #[arg(long, default_value = "15550100")]
    number: String,
    /// A group that the gateway serves (papcast); without it, cases about groups are skipped.
    #[arg(long)]
    group: Option<String>,
    /// Cases from this folder instead of those compiled in.
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Only cases whose name or rule has this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Show what was sent and answered where a case fails.
    #[arg(long)]
    verbose: bool,
    /// Print one JSON object for each case.
    #[arg(long)]
    json: bool,
}

/// An answer that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

enum Outcome {
    Passed,
    Skipped,
    Failed { why: String, sent: Vec<u8>, answer: String },
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let gateway = Gateway::of(args.url.clone());
    let path = args.url.path().to_owned();
    let mut table = Table::default();
    for (area, case) in case::all(args.cases.as_deref())? {
        let wanted = args.only.as_ref().is_none_or(|text| case.name.contains(text) || case.rule.contains(text));
        if wanted {
            let outcome = check(&args, &gateway, &path, &case).await?;
            show(&args, &area, &case, &outcome);
            table.note(&area, case.level, &outcome);
        }
    }
    if !args.json {
        print!("\n{}", table.markdown());
    }
    let failed = table.musts_failed();
    if failed > 0 {
        bail!("{failed} cases failed that the specification demands");
    }
    Ok(())
}

async fn check(args: &Args, gateway: &Gateway, path: &str, case: &Case) -> anyhow::Result<Outcome> {
    if args.group.is_none() && case.needs_group() {
        return Ok(Outcome::Skipped);
    }
    let placeholders = Placeholders::new(&args.number, args.group.as_deref());
    for step in &case.step {
        let body = step.bytes(&placeholders).with_context(|| format!("the case {}", case.name))?;
        let sent = body.clone();
        let reply = match tokio::time::timeout(TIMEOUT, post(gateway, path, step, &placeholders, body)).await {
            Ok(Ok(reply)) => reply,
            // No gateway at all is no result.
            Ok(Err(error)) if error.to_string().starts_with("no gateway") => return Err(error),
            Ok(Err(error)) => return Ok(Outcome::Failed { why: error.to_string(), sent, answer: String::new() }),
            Err(_) => {
                let why = format!("no answer within {} seconds", TIMEOUT.as_secs());
                return Ok(Outcome::Failed { why, sent, answer: String::new() });
            }
        };
        let answer = String::from_utf8_lossy(&reply.body).into_owned();
        let looked_at = expect::check(step, &placeholders, reply.status.as_u16(), &answer);
        if let Err(why) = looked_at.and_then(|()| expect::check_head(step, &reply.headers)) {
            return Ok(Outcome::Failed { why, sent, answer });
        }
    }
    Ok(Outcome::Passed)
}

async fn post(
    gateway: &Gateway,
    path: &str,
    step: &Step,
    placeholders: &Placeholders,
    body: Vec<u8>,
) -> anyhow::Result<Reply> {
    let mut headers = Vec::new();
    if !step.content_type.is_empty() {
        headers.push(("content-type".to_owned(), step.content_type.clone()));
    }
    for header in &step.headers {
        let (name, value) = header.split_once(':').with_context(|| format!("{header:?} is no header"))?;
        headers.push((name.trim().to_ascii_lowercase(), placeholders.fill(value.trim())));
    }
    let path = format!("{path}{}", step.query);
    gateway.request(hyper::Method::POST, &path, &headers, body).await
}

fn show(args: &Args, area: &str, case: &Case, outcome: &Outcome) {
    let (word, why) = match outcome {
        Outcome::Passed => ("passed", ""),
        Outcome::Skipped => ("skipped", "needs --group"),
        Outcome::Failed { why, .. } => ("FAILED", why.as_str()),
    };
    if args.json {
        let line = serde_json::json!({"area": area, "case": case.name, "rule": case.rule, "level": case.level.name(),
            "outcome": word.to_lowercase(), "why": why});
        println!("{line}");
        return;
    }
    println!("{word:<8} {:<6} {:<40} {}", case.level.name(), case.name, case.rule);
    if let Outcome::Failed { why, sent, answer } = outcome {
        println!("         {why}");
        if args.verbose {
            println!("--- sent\n{}\n--- answer\n{answer}\n---", String::from_utf8_lossy(sent));
        }
    }
}

/// How many cases of each area passed.
#[derive(Default)]
struct Table(indexmap::IndexMap<String, [Score; 2]>);

#[derive(Default, Clone, Copy)]
struct Score {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Table {
    fn note(&mut self, area: &str, level: Level, outcome: &Outcome) {
        let scores = self.0.entry(area.to_owned()).or_default();
        let score = &mut scores[usize::from(level == Level::Should)];
        match outcome {
            Outcome::Passed => score.passed += 1,
            Outcome::Skipped => score.skipped += 1,
            Outcome::Failed { .. } => score.failed += 1,
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
                sum.skipped += score.skipped;
            }
        }
        out.push_str(&row("all", &total));
        out
    }
}

fn row(area: &str, [must, should]: &[Score; 2]) -> String {
    let of = |score: &Score| format!("{} of {}", score.passed, score.passed + score.failed);
    format!("| {area} | {} | {} | {} |\n", of(must), of(should), must.skipped + should.skipped)
}
