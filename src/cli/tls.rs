//! `papcast tls`

use std::path::PathBuf;

use clap::Subcommand;

use super::{names, out};
use crate::tls;

/// Certificates for a first try.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a certificate authority, and a server and a client certificate that it has signed. For a first try: the keys lie beside
    /// each other, and nobody can take a certificate back.
    SelfSigned {
        /// Where the files go. None is written over.
        folder: PathBuf,
        /// Names and IP addresses that clients reach the server by.
        #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["localhost", "127.0.0.1", "::1"])]
        name: Vec<String>,
        /// User ID of the client certificate, its common name.
        #[arg(long, value_name = "USER", default_value = "alice", value_parser = names::user)]
        client: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Action::SelfSigned { folder, name, client, json } = &args.action;
    let made = tls::self_signed(folder, name, client)?;
    if *json {
        out::json(&serde_json::json!({
            "ca": made.ca,
            "cert": made.cert,
            "key": made.key,
            "client_cert": made.client_cert,
            "client_key": made.client_key,
        }));
        return Ok(());
    }
    println!("[tls]");
    println!("cert = {:?}", made.cert.display().to_string());
    println!("key = {:?}", made.key.display().to_string());
    eprintln!("Clients trust {}. The client certificate is {}.", made.ca.display(), made.client_cert.display());
    Ok(())
}
