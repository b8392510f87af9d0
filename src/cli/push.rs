//! `papcast push`

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use hyper::Method;
use serde_json::{Value, json};

use super::client::{Endpoint, Gateway, Problem, Reply, escape, text};
use super::ending::{EXIT_CODES, Ending};
use super::out;
use super::wait_bar::WaitBar;
use crate::pap::document::{DeliveryMethod, Priority, PushMessage, QualityOfService, Replace, ReplaceMethod};
use crate::pap::{self, Dialect, Document, Limits, Version};

/// Submit one push over PAP to a running gateway.
///
/// With one address the text may stand behind it; - reads it from stdin. With several addresses it is said with --text or --file.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, override_usage = USAGE)]
pub(super) struct Args {
    #[command(flatten)]
    endpoint: Endpoint,
    /// Addresses, separated by blanks: `group:ID`, `user:ID`, a SIP or tel URI, or the WAPPUSH form.
    #[arg(value_name = "ADDRESS", required_unless_present = "to")]
    addresses: Vec<String>,
    /// The same.
    #[arg(long, num_args = 1.., value_name = "ADDRESS")]
    to: Vec<String>,
    /// What the terminals get; - reads it from stdin.
    #[arg(long, conflicts_with = "file", allow_hyphen_values = true)]
    text: Option<String>,
    /// What the terminals get, from a file; - reads it from stdin.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    file: Option<String>,
    #[arg(long, default_value = "text/plain", value_name = "TYPE")]
    content_type: String,
    /// Ask for confirmed delivery: the result notification then says that the terminals acknowledged it.
    #[arg(long)]
    confirmed: bool,
    #[arg(long, default_value = "medium")]
    priority: Urgency,
    /// Not before this time, YYYY-MM-DDThh:mm:ssZ.
    #[arg(long, value_name = "TIME", value_parser = time)]
    deliver_after: Option<i64>,
    /// Not from this time on, YYYY-MM-DDThh:mm:ssZ.
    #[arg(long, value_name = "TIME", value_parser = time)]
    deliver_before: Option<i64>,
    /// URL that the gateway posts the result to, once for each address.
    #[arg(long, value_name = "URL")]
    notify: Option<String>,
    /// Unique name of the push; made up where it is missing.
    #[arg(long, value_name = "ID")]
    push_id: Option<String>,
    /// Take this earlier push back from those who have not got it, and submit the new one for all.
    #[arg(long, value_name = "PUSH-ID")]
    replace: Option<String>,
    /// With --replace: only those who have not got the earlier push get the new one.
    #[arg(long, requires = "replace")]
    pending_only: bool,
    /// Send nothing; say whom the push would reach, connected or away, and who cannot take its size.
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until every address has its outcome, and print it: as long as a member is away, up to deliver-before.
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Urgency {
    High,
    Medium,
    Low,
}

const USAGE: &str = "\
papcast push [OPTIONS] <ADDRESS> <TEXT|->
       papcast push [OPTIONS] <ADDRESS>... --text <TEXT>
       papcast push [OPTIONS] <ADDRESS>... --file <FILE>";

const BOUNDARY: &str = "papcast-part";

pub(super) async fn run(mut args: Args) -> anyhow::Result<()> {
    // Two words and nothing that says which is the text: an address and the text. More could be meant in several ways.
    if args.text.is_none() && args.file.is_none() && args.to.is_empty() && args.addresses.len() == 2 {
        args.text = args.addresses.pop();
    }
    push(&args).await
}

async fn push(args: &Args) -> anyhow::Result<()> {
    let body = content(args)?;
    let Endpoint { gateway, path, json } = &args.endpoint;
    if args.dry_run {
        return dry_run(args, &body).await;
    }
    let push_id = args.push_id.clone().unwrap_or_else(|| format!("{}@papcast", uuid::Uuid::new_v4()));
    let message = message(args, &push_id);
    let answer = Submission::new(message, &args.content_type, &body).post(gateway, path).await?;
    let (code, desc) = (answer.code, answer.desc);
    if code != 1001 {
        bail!("the push was refused: {code} {desc}");
    }
    if args.wait {
        if !json {
            eprintln!("{push_id} {code} {desc}; waiting for its outcome");
        }
        return wait_in_time(gateway, &push_id, *json).await;
    }
    if *json {
        out::json(&json!({ "push_id": &push_id, "code": code, "desc": desc }));
    } else {
        out::table(&["push-id", "code", "description"], &[vec![push_id.clone(), code.to_string(), desc]]);
    }
    if answer.papcast {
        // Only a hint: the push is accepted, whatever becomes of the question.
        if let Ok(shown) = look(gateway, &push_id).await {
            nobody(&shown).for_each(|address| eprintln!("nobody is in {address}"));
        }
    }
    Ok(())
}

/// Asks whom the push would reach; that is no question of PAP's.
async fn dry_run(args: &Args, body: &[u8]) -> anyhow::Result<()> {
    let Endpoint { gateway, json, .. } = &args.endpoint;
    let to = [&args.addresses[..], &args.to[..]].concat();
    let asked = json!({
        "to": to,
        "content_type": args.content_type,
        "body_base64": STANDARD.encode(body),
        "dry_run": true,
    });
    let reach = gateway.json(Method::POST, "/api/v1/pushes", Some(asked)).await?;
    if *json {
        out::json(&reach);
        return Ok(());
    }
    let counted = ["recipients", "connected", "away", "too_large"];
    let unknown = reach["unknown"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut rows: Vec<Vec<String>> =
        counted.iter().map(|name| vec![name.replace('_', " "), reach[*name].to_string()]).collect();
    rows.extend(unknown.map(|address| vec!["unknown".to_owned(), address.to_owned()]));
    out::table(&["who", "how many"], &rows);
    Ok(())
}

fn message(args: &Args, push_id: &str) -> PushMessage {
    PushMessage {
        push_id: push_id.to_owned(),
        deliver_after: args.deliver_after,
        deliver_before: args.deliver_before,
        notify_requested_to: args.notify.clone(),
        addresses: [&args.addresses[..], &args.to[..]].concat(),
        replace: args.replace.clone().map(|push_id| Replace {
            push_id,
            method: if args.pending_only { ReplaceMethod::PendingOnly } else { ReplaceMethod::All },
        }),
        quality_of_service: Some(QualityOfService {
            delivery_method: if args.confirmed { DeliveryMethod::Confirmed } else { DeliveryMethod::NotSpecified },
            priority: match args.priority {
                Urgency::High => Priority::High,
                Urgency::Medium => Priority::Medium,
                Urgency::Low => Priority::Low,
            },
            ..QualityOfService::default()
        }),
        ..PushMessage::default()
    }
}

/// What is to be sent.
fn content(args: &Args) -> anyhow::Result<Vec<u8>> {
    match (args.text.as_deref(), args.file.as_deref()) {
        (Some("-"), _) | (None, Some("-")) => {
            let mut body = Vec::new();
            std::io::stdin().read_to_end(&mut body).context("stdin cannot be read")?;
            Ok(body)
        }
        (Some(text), _) => Ok(text.as_bytes().to_vec()),
        (None, Some(file)) => std::fs::read(Path::new(file)).with_context(|| format!("{file}: cannot be read")),
        (None, None) => Err(no_content(args).into()),
    }
}

/// Wrong usage. Whoever writes the text behind the addresses is told how it is meant.
fn no_content(args: &Args) -> Ending {
    let last = args.to.last().or(args.addresses.last());
    let many = args.to.len() + args.addresses.len() > 1;
    let hint = match last.filter(|_| many) {
        Some(last) => format!(" ({last:?} counts as an address; is it the text? --text {last:?})"),
        None => String::new(),
    };
    Ending::Usage(format!("a push needs --text TEXT or --file FILE{hint}; see papcast push --help"))
}

fn time(text: &str) -> Result<i64, String> {
    let (at, _) = pap::time::parse(text).ok_or("expected a time such as 2026-11-22T10:00:00Z")?;
    Ok(at)
}

/// The answer to a submission.
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) desc: String,
    /// The gateway names itself papcast.
    papcast: bool,
}

/// A push-message with its content, as it is posted.
pub(super) struct Submission {
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

impl Submission {
    pub(super) fn new(message: PushMessage, content_type: &str, content: &[u8]) -> Self {
        let control = pap::encode(&Document::PushMessage(Box::new(message)), &Dialect::of(Version::V2_0));
        let boundary = format!("{BOUNDARY}-{}", uuid::Uuid::new_v4().simple());
        let mut body = format!(
            "--{boundary}\r\nContent-Type: application/xml\r\n\r\n{control}\r\n--{boundary}\r\nContent-Type: {content_type}\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Self { content_type: format!("multipart/related; boundary={boundary}; type=\"application/xml\""), body }
    }

    pub(super) async fn post(self, gateway: &Gateway, path: &str) -> anyhow::Result<Answer> {
        let reply = gateway.send(Method::POST, path, &self.content_type, self.body).await?;
        match read(&reply)? {
            Document::PushResponse(response) => Ok(Answer {
                code: response.code.0,
                desc: response.desc.unwrap_or_default(),
                papcast: response.sender_name.is_some_and(|name| name.starts_with("papcast")),
            }),
            Document::BadMessage(message) => {
                Ok(Answer { code: message.code.0, desc: message.desc.unwrap_or_default(), papcast: false })
            }
            other => bail!("the gateway answered with a {}", other.name()),
        }
    }
}

/// Posts a document without content; answers the document that comes back.
pub(super) async fn ask(endpoint: &Endpoint, document: &Document) -> anyhow::Result<Document> {
    let body = pap::encode(document, &Dialect::of(Version::V2_0)).into_bytes();
    read(&endpoint.gateway.send(Method::POST, &endpoint.path, "application/xml", body).await?)
}

fn read(reply: &Reply) -> anyhow::Result<Document> {
    let limits = Limits { addresses: 1_000_000, ..Limits::default() };
    let answer = pap::parse(Some("application/xml"), &reply.body, limits);
    if !reply.status.is_success() {
        let said = format!("the gateway answered {} to a PAP request", reply.status);
        if let Ok(Document::BadMessage(message)) = answer.map(|answer| answer.document) {
            bail!("{said}{}", message.desc.map(|why| format!(": {why}")).unwrap_or_default());
        }
        let problem = Problem::of(reply);
        anyhow::ensure!(problem.document["detail"].is_string(), "{said}");
        return Err(anyhow::Error::new(problem).context(said));
    }
    Ok(answer.map_err(|failure| anyhow::anyhow!("the gateway's answer is no PAP: {}", failure.desc))?.document)
}

async fn look(gateway: &Gateway, push_id: &str) -> anyhow::Result<Value> {
    gateway.json(Method::GET, &format!("/api/v1/pushes/{}", escape(push_id)), None).await
}

fn addresses(push: &Value) -> impl Iterator<Item = &Value> {
    push["addresses"].as_array().into_iter().flatten()
}

/// Addresses of a push that reached nobody at all, because nobody is there.
fn nobody(push: &Value) -> impl Iterator<Item = String> {
    addresses(push)
        .filter(|address| address["state"] == "undeliverable" && address["recipients"] == 0)
        .map(|address| text(address, "address"))
}

async fn wait_in_time(gateway: &Gateway, push_id: &str, json: bool) -> anyhow::Result<()> {
    let Some(limit) = gateway.timeout()? else { return wait(gateway, push_id, json).await };
    let late = || {
        let seconds = limit.as_secs();
        Ending::TooLate(format!("{push_id}: not over after {seconds} seconds; papcast status {push_id} says more"))
    };
    tokio::time::timeout(limit, wait(gateway, push_id, json)).await.map_err(|_| late())?
}

async fn wait(gateway: &Gateway, push_id: &str, json: bool) -> anyhow::Result<()> {
    let bar = WaitBar::new(json);
    loop {
        let push = look(gateway, push_id).await.with_context(|| {
            format!("{push_id} was accepted, and what became of it cannot be seen here; try papcast status {push_id}")
        });
        let push = push?;
        bar.show(&push);
        if addresses(&push).all(|address| address["state"] != "pending") {
            bar.end();
            return outcome(push_id, &push, json);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn outcome(push_id: &str, push: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        out::json(push);
    } else {
        let row = |address: &Value| {
            vec![text(address, "address"), text(address, "state"), address["code"].to_string(), text(address, "desc")]
        };
        out::table(&["address", "state", "code", "description"], &addresses(push).map(row).collect::<Vec<_>>());
    }
    let missed = addresses(push).filter(|address| address["state"] != "delivered").count();
    if missed == 0 {
        return Ok(());
    }
    let empty: Vec<String> = nobody(push).collect();
    let why = if empty.len() == missed {
        format!("nobody is in {}", empty.join(", "))
    } else {
        "not everybody has it".to_owned()
    };
    Err(Ending::NotAll(format!("{push_id}: {why}")).into())
}
