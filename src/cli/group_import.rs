//! `papcast group import`: members from a file.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::{Method, StatusCode};
use serde_json::json;

use super::client::{Failure, Gateway, escape, group_path};
use super::ending::sentence;
use super::names::count;
use super::{many, names, out};

/// Bind the users that a file names to the groups that it names.
///
/// Each line is group,user as in CSV; a tab or one blank between them will do. A first line "group,user", empty lines, and lines
/// that begin with # are passed over. A faulty line does not keep the others from being bound.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file; - reads stdin.
    file: PathBuf,
    /// Make groups that do not exist.
    #[arg(long)]
    create: bool,
}

/// Failures that are told one by one; of the others only the number is.
const TOLD: usize = 10;
/// How often a request is repeated for which the gateway has no time: once a second.
const REPEATS: u32 = 30;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    line: usize,
    group: String,
    user: String,
}

#[derive(Debug)]
struct Failed {
    line: usize,
    why: String,
}

pub(super) async fn run(gateway: &Gateway, args: &Args, json: bool) -> anyhow::Result<()> {
    let text = read(&args.file)?;
    let (mut pairs, mut failed) = parse(&text);
    if !args.create {
        let unknown = unknown_groups(gateway, &pairs).await?;
        let (faulty, good): (Vec<Pair>, Vec<Pair>) = pairs.into_iter().partition(|pair| unknown.contains(&pair.group));
        pairs = good;
        failed.extend(faulty.into_iter().map(|pair| Failed {
            line: pair.line,
            why: format!("there is no group {:?}; --create makes it", pair.group),
        }));
    }
    let (mut bound, mut already) = (0_u64, 0_u64);
    for (line, answer) in bind_all(gateway, pairs).await? {
        match answer {
            Ok(true) => bound += 1,
            Ok(false) => already += 1,
            Err(why) => failed.push(Failed { line, why }),
        }
    }
    failed.sort_by_key(|failed| failed.line);
    if json {
        let failures = failed.iter().map(|failed| json!({ "line": failed.line, "error": failed.why }));
        out::json(&json!({
            "bound": bound,
            "already": already,
            "failed": failed.len(),
            "failures": failures.collect::<Vec<_>>(),
        }));
    } else {
        failed.iter().take(TOLD).for_each(|failed| eprintln!("line {}: {}", failed.line, failed.why));
        if failed.len() > TOLD {
            eprintln!("and {} more", failed.len() - TOLD);
        }
        println!("{bound} bound, {already} were members already, {} failed", failed.len());
    }
    anyhow::ensure!(failed.is_empty(), "{} failed", count(failed.len() as u64, "line", "lines"));
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("stdin cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))
}

fn parse(text: &str) -> (Vec<Pair>, Vec<Failed>) {
    let (mut pairs, mut failed) = (Vec::new(), Vec::new());
    let mut first = true;
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cells = cells(line);
        let is_header = std::mem::take(&mut first) && is_header(&cells);
        if is_header {
            continue;
        }
        match pair(&cells) {
            Ok((group, user)) => pairs.push(Pair { line: at + 1, group, user }),
            Err(why) => failed.push(Failed { line: at + 1, why }),
        }
    }
    (pairs, failed)
}

fn is_header(cells: &[String]) -> bool {
    cells.len() == 2 && cells[0].eq_ignore_ascii_case("group") && cells[1].eq_ignore_ascii_case("user")
}

fn pair(cells: &[String]) -> Result<(String, String), String> {
    let [group, user] = cells else {
        return Err(format!("expected group,user, found {}", count(cells.len() as u64, "cell", "cells")));
    };
    Ok((names::group(group)?, names::user(user)?))
}

/// The cells of a line: RFC 4180 where there is a comma or a quote, else between tabs, else between blanks.
fn cells(line: &str) -> Vec<String> {
    if line.contains(['"', ',']) {
        return quoted_cells(line);
    }
    if line.contains('\t') {
        return line.split('\t').map(|cell| cell.trim().to_owned()).collect();
    }
    line.split_whitespace().map(ToOwned::to_owned).collect()
}

fn quoted_cells(line: &str) -> Vec<String> {
    let (mut found, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' if quoted || cell.trim().is_empty() => quoted = !quoted,
            ',' if !quoted => found.push(std::mem::take(&mut cell).trim().to_owned()),
            other => cell.push(other),
        }
    }
    found.push(cell.trim().to_owned());
    found
}

/// Those of the groups that do not exist.
async fn unknown_groups(gateway: &Gateway, pairs: &[Pair]) -> anyhow::Result<BTreeSet<String>> {
    let groups: BTreeSet<String> = pairs.iter().map(|pair| pair.group.clone()).collect();
    let asked = many::each(groups, |group| {
        let gateway = gateway.clone();
        async move { (gateway.find(&group_path(&group)).await, group) }
    });
    let mut unknown = BTreeSet::new();
    for (found, group) in asked.await? {
        if found?.is_none() {
            unknown.insert(group);
        }
    }
    Ok(unknown)
}

/// For each line, whether its user was bound by it or was a member already.
async fn bind_all(gateway: &Gateway, pairs: Vec<Pair>) -> anyhow::Result<Vec<(usize, Result<bool, String>)>> {
    let gateway = Arc::new(gateway.clone());
    many::each(pairs, |pair| {
        let gateway = Arc::clone(&gateway);
        async move { (pair.line, bind(&gateway, &pair).await.map_err(|error| sentence(&error))) }
    })
    .await
}

async fn bind(gateway: &Gateway, pair: &Pair) -> anyhow::Result<bool> {
    let place = format!("{}/members/{}", group_path(&pair.group), escape(&pair.user));
    let mut repeats = 0;
    loop {
        let error = match gateway.call(Method::PUT, &place, None, &[]).await {
            Ok((status, _)) => return Ok(status == StatusCode::CREATED),
            Err(error) => error,
        };
        let refused = error.downcast_ref::<Failure>();
        let is_busy =
            matches!(refused, Some(Failure::Refused(problem)) if problem.status == StatusCode::TOO_MANY_REQUESTS);
        if !is_busy || repeats == REPEATS {
            return Err(error);
        }
        repeats += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_into_such_a_file_is_read() {
        let text = "\u{feff}Group,User\r\n# the first floor\r\n\r\nnews,alice\r\nnews\tbob b\nnews carol\n\"#odd, name\",\"say \"\"hi\"\"\"\n , \nonly\na,b,c\n";
        let (pairs, failed) = parse(text);
        let pairs: Vec<_> = pairs.iter().map(|pair| (pair.line, pair.group.as_str(), pair.user.as_str())).collect();
        let odd = (7, "#odd, name", "say \"hi\"");
        assert_eq!(pairs, [(4, "news", "alice"), (5, "news", "bob b"), (6, "news", "carol"), odd]);
        let failed: Vec<_> = failed.iter().map(|failed| (failed.line, failed.why.as_str())).collect();
        assert_eq!(failed[0], (8, "a group needs a name"));
        assert_eq!(failed[1], (9, "expected group,user, found 1 cell"));
        assert_eq!((failed[2].0, failed.len()), (10, 3));
    }

    #[test]
    fn a_group_that_is_called_group_is_no_header_where_it_does_not_stand_first() {
        assert_eq!(parse("news,alice\ngroup,user\n").0.len(), 2);
    }
}
