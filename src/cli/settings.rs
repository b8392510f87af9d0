//! Where commands find the gateway, and how they sign in. Order: command line, environment, settings file, what is built in.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use hyper::Uri;
use hyper::http::uri::Authority;
use serde::Deserialize;

/// What the command line says. Tokens in the environment are not read by clap: to clap, a variable and a flag that exclude each
/// other would be wrong usage, and here the flag simply comes first.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Flags {
    /// Address of the gateway's HTTP side, HOST:PORT with or without http:// before it. Where nothing is said:
    /// http://127.0.0.1:8080.
    #[arg(long, value_name = "URL", global = true, env = "PAPCAST_GATEWAY", value_parser = address)]
    gateway: Option<Uri>,
    /// Give up after so many seconds. Where nothing is said: 30 for each answer of the gateway, and no limit for what
    /// `push --wait` waits for.
    #[arg(long, value_name = "SECONDS", global = true, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    #[command(flatten)]
    sign_in: SignIn,
    /// PEM file with the authority that has signed the gateway's certificate; else those of the system are trusted.
    #[arg(long, value_name = "FILE", global = true, env = "PAPCAST_CA")]
    ca: Option<PathBuf>,
}

/// The token of whoever asks, where the gateway wants one.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct SignIn {
    /// File with the token, where the gateway asks for one [env: PAPCAST_TOKEN_FILE].
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The token itself [env: PAPCAST_TOKEN]. Others on this machine can read a command line: a file is the better place.
    #[arg(long, value_name = "TOKEN", global = true)]
    token: Option<Token>,
}

/// What holds for one command.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) gateway: Uri,
    /// Whether somebody has said where the gateway is.
    pub(super) is_named: bool,
    /// Seconds.
    pub(super) timeout: Option<u64>,
    pub(super) token: Option<Token>,
    pub(super) ca: Option<PathBuf>,
}

impl Settings {
    /// This gateway, and nothing else.
    pub(super) fn of(gateway: Uri) -> Self {
        Self { gateway, is_named: true, timeout: None, token: None, ca: None }
    }
}

/// A token; never shown.
#[derive(Clone)]
pub(super) struct Token(pub(super) String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl std::str::FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("a token has neither blanks nor other than ASCII characters".into())
        }
    }
}

/// `papcast.toml`. An unknown key is an error: it was meant to say something.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    gateway: Option<String>,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    timeout: Option<u64>,
}

/// Where nobody says where the gateway is.
const BUILT_IN: &str = "http://127.0.0.1:8080";
/// Names another settings file; empty: none is read.
const FILE_VARIABLE: &str = "PAPCAST_CLI_CONFIG";
/// Bytes of a token file that are read; a token is much shorter.
const LONGEST_TOKEN: u64 = 64 << 10;

impl Flags {
    /// Reads what the command line does not say.
    pub(super) fn resolve(&self) -> anyhow::Result<Settings> {
        let Some(path) = file() else { return self.over(Written::default(), Path::new("")) };
        let written = read(&path)?;
        self.over(written, &path)
    }

    fn over(&self, written: Written, path: &Path) -> anyhow::Result<Settings> {
        let fault = |key: &str, why: &str| anyhow!("{}: {key}: {why}", path.display());
        let named = written.gateway.as_deref().map(|text| address(text).map_err(|why| fault("gateway", &why)));
        let named = named.transpose()?;
        ensure!(written.timeout != Some(0), fault("timeout", "expected at least 1 second"));
        let beside = |file: PathBuf| beside(path, &file);
        let gateway = self.gateway.clone().or(named);
        Ok(Settings {
            is_named: gateway.is_some(),
            gateway: gateway.unwrap_or_else(|| Uri::from_static(BUILT_IN)),
            timeout: self.timeout.or(written.timeout),
            token: self.sign_in.token(written.token_file.map(beside))?,
            ca: self.ca.clone().or_else(|| written.ca.map(beside)),
        })
    }
}

impl SignIn {
    /// The token that holds; `written`: the file that the settings file names.
    pub(super) fn token(&self, written: Option<PathBuf>) -> anyhow::Result<Option<Token>> {
        if let Some(token) = &self.token {
            return Ok(Some(token.clone()));
        }
        if let Some(path) = &self.token_file {
            return token_in(path, "--token-file").map(Some);
        }
        if let Some(text) = variable("PAPCAST_TOKEN") {
            let text = text.into_string().map_err(|_| anyhow!("PAPCAST_TOKEN: a token is ASCII"))?;
            return text.parse().map(Some).map_err(|why: String| anyhow!("PAPCAST_TOKEN: {why}"));
        }
        if let Some(path) = variable("PAPCAST_TOKEN_FILE") {
            return token_in(Path::new(&path), "PAPCAST_TOKEN_FILE").map(Some);
        }
        written.map(|path| token_in(&path, "token_file")).transpose()
    }
}

/// A variable that says something.
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The settings file that is to be read. The usual one may be missing.
fn file() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(FILE_VARIABLE) {
        return Some(PathBuf::from(named)).filter(|path| !path.as_os_str().is_empty());
    }
    // A relative one does not count (XDG base directory specification).
    let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(folder.join("papcast.toml")).filter(|path| path.exists())
}

fn read(path: &Path) -> anyhow::Result<Written> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{name}: the settings cannot be read"))?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| anyhow!("{name}: not TOML: {}", error.message()))?;
    serde_path_to_error::deserialize(toml::Value::Table(table))
        .map_err(|error| anyhow!("{name}: {}: {}", error.path(), error.inner().message()))
}

/// A path in the settings file: `~/` is the home folder, and a relative one lies beside the settings file.
fn beside(settings: &Path, file: &Path) -> PathBuf {
    if let (Ok(rest), Some(home)) = (file.strip_prefix("~"), variable("HOME")) {
        return Path::new(&home).join(rest);
    }
    settings.parent().map_or_else(|| file.to_owned(), |folder| folder.join(file))
}

/// The token in a file; a line end behind it does not count.
fn token_in(path: &Path, setting: &str) -> anyhow::Result<Token> {
    let fail = || format!("{setting}: {}: the token cannot be read", path.display());
    let file = std::fs::File::open(path).with_context(fail)?;
    let metadata = file.metadata().with_context(fail)?;
    if metadata.is_file() && metadata.permissions().mode() & 0o044 != 0 {
        eprintln!("warning: {0} can be read by others: chmod 600 {0}", path.display());
    }
    let mut text = String::new();
    file.take(LONGEST_TOKEN).read_to_string(&mut text).with_context(fail)?;
    text.trim().parse().map_err(|why: String| anyhow!("{setting}: {}: {why}", path.display()))
}

/// The value of `--gateway`.
fn address(text: &str) -> Result<Uri, String> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: Uri = with_scheme.parse().map_err(|_| "expected HOST:PORT or http://HOST:PORT".to_owned())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("only http and https are supported".into());
    }
    if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
        return Err("expected an address without a path; the path of a PAP endpoint is said with --path".into());
    }
    let whole = |authority: &Authority| {
        let alone = authority.as_str() == authority.host();
        !authority.host().is_empty() && !authority.as_str().contains('@') && (alone || authority.port_u16().is_some())
    };
    if uri.authority().is_some_and(whole) { Ok(uri) } else { Err("expected HOST:PORT or http://HOST:PORT".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_had_three_rules_for_its_address_and_lost_its_path() {
        for good in
            ["127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080/", "[::1]:8080", "gateway.example"]
        {
            let uri = address(good).unwrap();
            assert_eq!(uri.scheme_str(), Some("http"), "{good}");
            assert!(uri.authority().is_some(), "{good}");
        }
        assert!(address("http://h:8080/pap").unwrap_err().contains("--path"));
        assert!(address("h:8080/pap").unwrap_err().contains("--path"));
        assert_eq!(address("ftp://h:8080").unwrap_err(), "only http and https are supported");
        assert_eq!(address("https://h:8443").unwrap().scheme_str(), Some("https"));
        for bad in ["", "http://", "a b", "user@host:80", "h:port"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_relative_path_in_the_settings_lies_beside_them() {
        let settings = Path::new("/etc/me/papcast.toml");
        assert_eq!(beside(settings, Path::new("token")), Path::new("/etc/me/token"));
        assert_eq!(beside(settings, Path::new("/run/token")), Path::new("/run/token"));
    }
}
