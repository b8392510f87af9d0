//! `papcast pap-check`: a conformance kit for any push proxy gateway. The cases are the files under `tests/data/pap/`, which
//! papcast's own tests run too; they are compiled in, so that the program needs nothing else.
//!
//! | file | job |
//! | --- | --- |
//! | [`options`] | the command line |
//! | [`case`], [`placeholders`] | the cases, and what stands in braces in them |
//! | [`survey`] | what is asked before the first case |
//! | [`runner`] | one case after the other, also where the gateway falls silent |
//! | [`answer`], [`expect`] | an answer as XML, and what it has to be |
//! | [`report`] | what is printed |

mod answer;
mod case;
mod expect;
mod options;
mod placeholders;
mod report;
mod runner;
mod survey;

use anyhow::bail;

pub(super) use self::options::Args;

use self::case::Case;
use self::report::Report;
use self::runner::Runner;

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let cases = wanted(&args)?;
    let mut runner = Runner::start(&args).await?;
    let mut report = Report::new(&args);
    let mut area = "";
    for (of, case) in &cases {
        if area != of {
            area = of;
            eprintln!("papcast: {area}, {} cases", cases.iter().filter(|(of, _)| of == area).count());
        }
        let outcome = runner.outcome(case).await;
        report.note(area, case, &outcome);
    }
    report.finish();
    report.verdict()
}

/// The cases that are asked for.
fn wanted(args: &Args) -> anyhow::Result<Vec<(String, Case)>> {
    let mut cases = case::all(args.cases.as_deref())?;
    if let Some(name) = args.skip.iter().find(|name| !cases.iter().any(|(_, case)| case.name == **name)) {
        bail!("--skip: no case is called {name}");
    }
    if let Some(text) = &args.only {
        cases.retain(|(_, case)| case.name.contains(text) || case.rule.contains(text));
    }
    Ok(cases)
}
