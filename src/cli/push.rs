//! `papcast push`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use hyper::Method;

use super::client::{Endpoint, Gateway, Reply, escape};
use crate::pap::document::{DeliveryMethod, Priority, PushMessage, QualityOfService, Replace, ReplaceMethod};
use crate::pap::{self, Dialect, Document, Limits, Version};

/// Submit one push over PAP to a running gateway.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    endpoint: Endpoint,
    /// Addresses, separated by blanks: `group:ID`, `user:ID`, a SIP or tel URI, or the WAPPUSH form.
    #[arg(long, required = true, num_args = 1.., value_name = "ADDRESS")]
    to: Vec<String>,
    /// What the terminals get.
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    text: Option<String>,
    /// What the terminals get, from a file.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[arg(long, default_value = "text/plain", value_name = "TYPE")]
    content_type: String,
    /// Delivery counts only when the terminal acknowledges it.
    #[arg(long)]
    confirmed: bool,
    #[arg(long, default_value = "medium")]
    priority: Urgency,
    /// Not before this time, YYYY-MM-DDThh:mm:ssZ.
    #[arg(long, value_name = "TIME")]
    deliver_after: Option<String>,
    /// Not from this time on, YYYY-MM-DDThh:mm:ssZ.
    #[arg(long, value_name = "TIME")]
    deliver_before: Option<String>,
    /// Where the gateway shall post what became of it: one result notification for each address.
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
    /// Wait until every address has its outcome, and print it: as long as a member is away, up to deliver-before.
    #[arg(long)]
    wait: bool,
    /// With --wait: give up after so many seconds.
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Urgency {
    High,
    Medium,
    Low,
}

const BOUNDARY: &str = "papcast-part";

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let body = match (&args.text, &args.file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(file)) => std::fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))?,
        (None, None) => bail!("a push needs --text or --file"),
    };
    let push_id = args.push_id.clone().unwrap_or_else(|| format!("{}@papcast", uuid::Uuid::new_v4()));
    let message = PushMessage {
        push_id: push_id.clone(),
        deliver_after: time("--deliver-after", args.deliver_after.as_deref())?,
        deliver_before: time("--deliver-before", args.deliver_before.as_deref())?,
        notify_requested_to: args.notify.clone(),
        addresses: args.to.clone(),
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
    };
    let (code, desc) = submit(&args.endpoint.gateway, &args.endpoint.path, message, &args.content_type, &body).await?;
    if code != 1001 {
        bail!("the push was refused: {code} {desc}");
    }
    if !args.wait {
        if args.endpoint.json {
            println!("{}", serde_json::json!({ "push_id": push_id, "code": code, "desc": desc }));
        } else {
            println!("{push_id}\t{code}\t{desc}");
        }
        return Ok(());
    }
    eprintln!("{push_id} {code} {desc}; waiting for its outcome");
    let outcome = wait(&args.endpoint.gateway, &push_id, args.endpoint.json);
    match args.timeout {
        None => outcome.await,
        Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), outcome).await.with_context(|| {
            format!("{push_id}: not over after {seconds} seconds; papcast status {push_id} says more")
        })?,
    }
}

fn time(name: &str, text: Option<&str>) -> anyhow::Result<Option<i64>> {
    let Some(text) = text else { return Ok(None) };
    let (at, _) = pap::time::parse(text)
        .with_context(|| format!("{name}: {text:?} is not a time such as 2026-11-22T10:00:00Z"))?;
    Ok(Some(at))
}

/// Posts one push-message with its content; answers code and description of the push-response.
pub(super) async fn submit(
    gateway: &Gateway,
    path: &str,
    message: PushMessage,
    content_type: &str,
    content: &[u8],
) -> anyhow::Result<(u16, String)> {
    let control = pap::encode(&Document::PushMessage(Box::new(message)), &Dialect::of(Version::V2_0));
    let boundary = format!("{BOUNDARY}-{}", uuid::Uuid::new_v4().simple());
    let mut body = format!(
        "--{boundary}\r\nContent-Type: application/xml\r\n\r\n{control}\r\n--{boundary}\r\nContent-Type: {content_type}\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(content);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let kind = format!("multipart/related; boundary={boundary}; type=\"application/xml\"");
    let reply = gateway.send(Method::POST, path, &kind, body).await?;
    match read(&reply)? {
        Document::PushResponse(response) => Ok((response.code.0, response.desc.unwrap_or_default())),
        Document::BadMessage(message) => Ok((message.code.0, message.desc.unwrap_or_default())),
        other => bail!("the gateway answered with a {}", other.name()),
    }
}

/// Posts a document without content; answers the document that comes back.
pub(super) async fn ask(endpoint: &Endpoint, document: &Document) -> anyhow::Result<Document> {
    let body = pap::encode(document, &Dialect::of(Version::V2_0)).into_bytes();
    read(&endpoint.gateway.send(Method::POST, &endpoint.path, "application/xml", body).await?)
}

fn read(reply: &Reply) -> anyhow::Result<Document> {
    if !reply.status.is_success() {
        bail!("the gateway answered {} to a PAP request", reply.status);
    }
    let limits = Limits { addresses: 1_000_000, ..Limits::default() };
    let answer = pap::parse(Some("application/xml"), &reply.body, limits);
    Ok(answer.map_err(|failure| anyhow::anyhow!("the gateway's answer is no PAP: {}", failure.desc))?.document)
}

async fn wait(gateway: &Gateway, push_id: &str, json: bool) -> anyhow::Result<()> {
    loop {
        let push = gateway.json(Method::GET, &format!("/api/v1/pushes/{}", escape(push_id)), None).await?;
        let addresses = push["addresses"].as_array().cloned().unwrap_or_default();
        if addresses.iter().all(|address| address["state"] != "pending") {
            if json {
                println!("{}", serde_json::to_string_pretty(&push)?);
            } else {
                for address in addresses {
                    let text = |field: &str| address[field].as_str().unwrap_or("").to_owned();
                    println!("{}\t{}\t{}\t{}", text("address"), text("state"), address["code"], text("desc"));
                }
            }
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
