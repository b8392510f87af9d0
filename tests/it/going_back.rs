//! Back to the papcast before: the copy that a start makes before it upgrades a store is that store, and can take its place.

use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::{Connection, OpenFlags};

use crate::common::{Gateway, PAPCAST, repository, skip, skip_anywhere};

/// The number of the schema and every row of every table, for comparison.
fn dump(path: &Path) -> (i64, Vec<String>) {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut query = connection.prepare(sql).unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.map(|row| row.unwrap()).collect()
    };
    let mut rows = texts("SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_master ORDER BY 1");
    assert!(rows.len() > 10, "{} is a store", path.display());
    for table in texts("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name") {
        let columns = texts(&format!("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}')"));
        let row = columns.join(" || ', ' || ");
        rows.extend(texts(&format!("SELECT '{table}: ' || {row} FROM \"{table}\" ORDER BY 1")));
    }
    (connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap(), rows)
}

/// What docs/store.md says of going back, once the gateway is stopped.
fn go_back(folder: &Path, copy: &Path) {
    for name in ["papcast.db", "papcast.db-wal", "papcast.db-shm"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    std::fs::rename(copy, folder.join("papcast.db")).unwrap();
}

#[test]
fn the_copy_before_an_upgrade_takes_the_place_of_the_store() {
    let mut schema = 0;
    loop {
        schema += 1;
        let shape = repository().join(format!("tests/data/schema/{schema}.sql"));
        let Ok(shape) = std::fs::read_to_string(shape) else { break };
        let mut gateway = Gateway::start();
        gateway.terminate();
        let folder = gateway.dir.path().to_owned();
        let (store, copy) = (folder.join("papcast.db"), folder.join(format!("papcast.db.schema-{schema}")));
        let earlier = folder.join("earlier.db");
        let connection = Connection::open(&earlier).unwrap();
        connection.execute_batch(&shape).unwrap();
        connection.pragma_update(None, "user_version", schema).unwrap();
        drop(connection);
        let before = dump(&earlier);
        assert_eq!(before.0, schema);
        go_back(&folder, &earlier);
        // Twice: who has gone back goes forward again some day.
        for _ in 0..2 {
            gateway.restart();
            gateway.http().bind("since", "somebody");
            gateway.terminate();
            assert!(dump(&store).0 > schema, "schema {schema} was upgraded");
            assert_ne!(dump(&store).1, before.1);
            assert_eq!(dump(&copy), before, "the copy of schema {schema}");
            go_back(&folder, &copy);
            assert_eq!(dump(&store), before, "the copy of schema {schema} in its place");
        }
    }
    assert!(schema > 8, "the earlier schemas were found");
}

/// `PREVIOUS_PAPCAST=/path/to/an/older/papcast`; nothing builds one by itself, CI neither. It does not begin with PAPCAST_: that would
/// be a setting to every gateway of the tests.
#[test]
fn an_older_papcast_takes_its_store_back_after_an_upgrade() {
    let Some(previous) = std::env::var_os("PREVIOUS_PAPCAST") else {
        return skip_anywhere("PREVIOUS_PAPCAST, the path of an older papcast");
    };
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip("curl");
    }
    let script = repository().join("tests/going-back.sh");
    let output = Command::new(script).arg(previous).arg(PAPCAST).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.ends_with("going-back: ok\n"), "{told}{output:?}");
}
