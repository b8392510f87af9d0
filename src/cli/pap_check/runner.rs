//! Running cases against a gateway that may fall silent: a case that gets no answer costs that case alone.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep, timeout};

use super::super::client::Gateway;
use super::answer::Answer;
use super::case::{Case, Operation, Step};
use super::expect::{self, Mismatch};
use super::options::Args;
use super::placeholders::Placeholders;
use super::survey::{self, Survey};

/// What became of a case.
#[derive(Debug)]
pub(super) enum Outcome {
    Passed,
    Skipped(String),
    Failed(Failure),
    /// The gateway was gone, or the time was up.
    NotRun(String),
}

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) mismatch: Mismatch,
    pub(super) sent: Vec<u8>,
    pub(super) answer: String,
}

/// A request that got no answer, and why.
struct Silence {
    expected: String,
    why: String,
    sent: Vec<u8>,
}

pub(super) struct Runner<'a> {
    args: &'a Args,
    gateway: Gateway,
    survey: Survey,
    until: Instant,
    /// Why no further case is run.
    over: Option<String>,
}

impl<'a> Runner<'a> {
    /// Looks at the gateway first.
    pub(super) async fn start(args: &'a Args) -> anyhow::Result<Self> {
        let until = Instant::now() + args.run_limit();
        let gateway = Gateway::of(args.url.clone());
        let mut runner = Self { args, gateway, survey: Survey::nothing(), until, over: None };
        let number = runner.first(&Step::push("{number-address}")).await?;
        let group = match args.group {
            Some(_) => runner.first(&Step::push("WAPPUSH={group}/TYPE=GROUP@ppg.example")).await.ok(),
            None => None,
        };
        let mut asked = [None, None, None];
        for (operation, answer) in Operation::ALL.into_iter().zip(&mut asked) {
            *answer = runner.first(&survey::question(operation)).await.ok();
        }
        let asked = asked.each_ref().map(Option::as_ref);
        runner.survey = Survey::of(args, &number, group.as_ref(), asked);
        runner.survey.hints.iter().for_each(|hint| eprintln!("papcast: {hint}"));
        Ok(runner)
    }

    /// An answer to one of the requests before the cases.
    async fn first(&self, step: &Step) -> anyhow::Result<Answer> {
        let (placeholders, limit) = (self.placeholders(), self.args.case_limit());
        let reply = timeout(limit, self.post(step, &placeholders, step.bytes(&placeholders))).await;
        reply.with_context(|| format!("{}: no answer to a push within {} seconds", self.args.url, limit.as_secs()))?
    }

    fn placeholders(&self) -> Placeholders {
        Placeholders::new(&self.args.number, self.args.group.as_deref(), self.args.pap)
    }

    pub(super) async fn outcome(&mut self, case: &Case) -> Outcome {
        if let Some(why) = self.skips(case) {
            return Outcome::Skipped(why);
        }
        if self.over.is_none() && Instant::now() >= self.until {
            self.over = Some(format!("everything took more than {} seconds (--run-limit)", self.args.run_limit));
        }
        if let Some(why) = &self.over {
            return Outcome::NotRun(why.clone());
        }
        match self.ask(case).await {
            Ok(outcome) => outcome,
            Err(silence) => self.ask_again(case, silence).await,
        }
    }

    fn skips(&self, case: &Case) -> Option<String> {
        let args = self.args;
        if args.skip.contains(&case.name) {
            return Some("left out with --skip".into());
        }
        if args.group.is_none() && case.needs_group() {
            return Some("about a group, and --group names none".into());
        }
        if case.pap > args.pap {
            return Some(format!("needs PAP {}, and --pap is {}", case.pap.name(), args.pap.name()));
        }
        if case.profile.is_some_and(|profile| profile != args.profile) {
            return Some("a rule of another profile (--profile)".into());
        }
        let operation = self.survey.missing(case)?;
        Some(format!("needs the operation {}, which is optional and not implemented here", operation.name()))
    }

    /// The same case once more when the gateway is back: the case before it may be the one that stopped it.
    async fn ask_again(&mut self, case: &Case, silence: Silence) -> Outcome {
        let wait = self.args.wait;
        eprintln!(
            "papcast: the gateway did not answer after {} ({}); waiting up to {wait} seconds for it",
            case.name, silence.why
        );
        let silence = match self.revive().await {
            true => match self.ask(case).await {
                Ok(outcome) => {
                    eprintln!(
                        "papcast: {} is answered now; the case before it may have stopped the gateway",
                        case.name
                    );
                    return outcome;
                }
                Err(again) => {
                    eprintln!("papcast: the gateway did not answer after {} again ({})", case.name, again.why);
                    if !self.revive().await {
                        self.give_up(case);
                    }
                    again
                }
            },
            false => {
                self.give_up(case);
                silence
            }
        };
        let came = format!("no answer: {}", silence.why);
        let mismatch = Mismatch { expected: silence.expected, came };
        Outcome::Failed(Failure { mismatch, sent: silence.sent, answer: String::new() })
    }

    fn give_up(&mut self, case: &Case) {
        let why = format!("the gateway did not come back within {} seconds after {}", self.args.wait, case.name);
        eprintln!("papcast: {why}");
        self.over = Some(why);
    }

    /// Waits until a push that was answered before the first case is answered again, in the same way.
    async fn revive(&self) -> bool {
        let until = (Instant::now() + self.args.wait()).min(self.until);
        let mut restart = self.args.restart.clone();
        loop {
            // A gateway that hangs does not get more time than is left, and not less than is fair.
            let limit = self.args.case_limit().min(until.saturating_duration_since(Instant::now()).max(PAUSE));
            let answer = timeout(limit, self.first(&Step::push("{number-address}"))).await;
            let name = answer.ok().and_then(Result::ok).map(|answer| answer.document().map(|node| node.name.clone()));
            if name.as_ref() == Some(&self.survey.alive) {
                return true;
            }
            if let Some(command) = restart.take() {
                run(command, until).await;
            } else if Instant::now() >= until {
                return false;
            }
            sleep(PAUSE).await;
        }
    }

    /// All steps of a case, within its limit.
    async fn ask(&self, case: &Case) -> Result<Outcome, Silence> {
        let placeholders = self.placeholders();
        let end = Instant::now() + self.args.case_limit();
        for step in &case.step {
            let sent = step.bytes(&placeholders);
            let silent = |why: String| Silence { expected: expect::wanted(step), why, sent: sent.clone() };
            let reply = tokio::time::timeout_at(end, self.post(step, &placeholders, sent.clone())).await;
            let answer = match reply {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => return Err(silent(crate::cli::ending::sentence(&error))),
                Err(_) => return Err(silent(format!("nothing within {} seconds", self.args.case_limit))),
            };
            if let Err(mismatch) = expect::check(step, &placeholders, self.args.profile, &answer) {
                return Ok(Outcome::Failed(Failure { mismatch, sent, answer: answer.text }));
            }
        }
        Ok(Outcome::Passed)
    }

    async fn post(&self, step: &Step, placeholders: &Placeholders, body: Vec<u8>) -> anyhow::Result<Answer> {
        let mut headers = Vec::new();
        if !step.content_type.is_empty() {
            headers.push(("content-type".to_owned(), step.content_type.clone()));
        }
        for header in &step.headers {
            let (name, value) = header.split_once(':').with_context(|| format!("{header:?} is no header"))?;
            headers.push((name.trim().to_ascii_lowercase(), placeholders.fill(value.trim())));
        }
        let path = format!("{}{}", self.args.url.path(), step.query);
        let reply = self.gateway.request(hyper::Method::POST, &path, &headers, body).await?;
        Ok(Answer::of(reply))
    }
}

const PAUSE: Duration = Duration::from_millis(250);

/// Runs the command of `--restart`; what it prints is not part of the result.
async fn run(command: String, until: Instant) {
    let child =
        std::process::Command::new("sh").args(["-c", &command]).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    match child {
        Ok(mut child) => {
            let ended = tokio::task::spawn_blocking(move || child.wait());
            match tokio::time::timeout_at(until, ended).await {
                Ok(Ok(Ok(status))) if status.success() => {}
                Ok(Ok(Ok(status))) => eprintln!("papcast: the command of --restart ended with {status}"),
                Ok(Ok(Err(error))) => eprintln!("papcast: the command of --restart: {error}"),
                Ok(Err(_)) | Err(_) => eprintln!("papcast: the command of --restart does not end"),
            }
        }
        Err(error) => eprintln!("papcast: the command of --restart cannot be run: {error}"),
    }
}
