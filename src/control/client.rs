//! Asking a running gateway.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{LINE, Order, Reply, path};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the gateway of this store answers; none where none runs.
pub fn ask(store: &Path, order: &Order) -> std::io::Result<Option<Reply>> {
    let mut stream = match UnixStream::connect(path(store)) {
        Ok(stream) => stream,
        // A path that is too long for a socket has none.
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::InvalidInput) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE)).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(std::io::Error::other("the gateway closed the connection without an answer"));
    }
    Ok(Some(serde_json::from_str(&answer)?))
}
