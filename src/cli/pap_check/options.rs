//! The command line of `papcast pap-check`.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use hyper::Uri;
use serde::Deserialize;

/// Check a push proxy gateway against a set of requests and expected answers.
///
/// MUST cases are what the specification demands, SHOULD cases are tolerance and good habits. Pushes are submitted to the
/// number, and to the group if one is named: use a gateway that nobody depends on. What failed is listed at the end, before
/// the table.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes:\n  \
    0  every case was run or skipped, and no MUST case failed\n  \
    1  a MUST case failed, or a case could not be run\n  \
    2  wrong usage\n  \
    5  no gateway answers")]
pub(in crate::cli) struct Args {
    /// PAP endpoint, such as http://127.0.0.1:8080/pap.
    pub(super) url: Uri,
    /// Digits of a phone number that the gateway serves.
    #[arg(long, default_value = "15550100")]
    pub(super) number: String,
    /// A group that the gateway serves (papcast); without it, cases about groups are skipped.
    #[arg(long)]
    pub(super) group: Option<String>,
    /// The version of PAP that the cases speak; cases that need a newer one are skipped.
    #[arg(long, value_name = "VERSION", default_value = "2.0")]
    pub(super) pap: Pap,
    /// How the gateway answers: as the specification says (202), or as BlackBerry initiators expect it (200, and every
    /// refused push is a bad message).
    #[arg(long, default_value = "spec")]
    pub(super) profile: Profile,
    /// Cases from this folder instead of those compiled in.
    #[arg(long, value_name = "DIR")]
    pub(super) cases: Option<PathBuf>,
    /// Only cases whose name or rule has this text.
    #[arg(long, value_name = "TEXT")]
    pub(super) only: Option<String>,
    /// Leave this case out; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(super) skip: Vec<String>,
    /// Seconds that a case may take, with all its requests.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) case_limit: u32,
    /// Seconds that everything may take; what is left then is not run.
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) run_limit: u32,
    /// Seconds to wait for a gateway that stopped answering.
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub(super) wait: u32,
    /// A shell command that brings the gateway back when it has stopped answering.
    #[arg(long, value_name = "COMMAND")]
    pub(super) restart: Option<String>,
    /// Show every case as it is run, and what was sent and answered where one failed.
    #[arg(long)]
    pub(super) verbose: bool,
    /// Print one JSON object for each case in place of everything else.
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) fn case_limit(&self) -> Duration {
        Duration::from_secs(self.case_limit.into())
    }

    pub(super) fn run_limit(&self) -> Duration {
        Duration::from_secs(self.run_limit.into())
    }

    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait.into())
    }
}

/// A version of PAP, the older one first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, ValueEnum)]
pub(super) enum Pap {
    #[default]
    #[serde(rename = "1.0")]
    #[value(name = "1.0")]
    V1_0,
    #[serde(rename = "2.0")]
    #[value(name = "2.0")]
    V2_0,
    #[serde(rename = "2.1")]
    #[value(name = "2.1")]
    V2_1,
}

impl Pap {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V2_0 => "2.0",
            Self::V2_1 => "2.1",
        }
    }
}

/// How a gateway answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Profile {
    /// As the specification says.
    Spec,
    /// With 200, and with a bad message for every refused push.
    Blackberry,
}

impl Profile {
    /// The HTTP status of an answer where the specification says 202.
    pub(super) fn status(self, status: u16) -> u16 {
        match self {
            Self::Blackberry if status == 202 => 200,
            Self::Spec | Self::Blackberry => status,
        }
    }
}
