//! Changing the shape of an existing store. `schema.sql` is the shape of a new one; [`STEPS`] lead there from every
//! earlier one. Steps are appended, never edited: a test runs each shape that ever was through them and compares the
//! result with a new file.

use std::path::Path;

use rusqlite::Connection;

use super::{Error, Result};

/// `PRAGMA user_version` of the schema in `schema.sql`.
pub const SCHEMA_VERSION: i64 = STEPS.len() as i64 + 1;

/// What leads from shape n + 1 to shape n + 2. A new column goes to the end of its table, as SQLite adds it.
const STEPS: &[&str] = &[
    // 2: replacing, and the look-ups of retention.
    "ALTER TABLE dispatches ADD COLUMN replaces INTEGER;
     ALTER TABLE dispatches ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
     CREATE INDEX dispatches_over ON dispatches (event_at) WHERE state >= 2;
     CREATE INDEX dispatches_replaces ON dispatches (replaces) WHERE replaces IS NOT NULL;
     DROP INDEX dispatches_flow;
     CREATE INDEX dispatches_flow ON dispatches (flow, seq);
     CREATE INDEX sessions_user ON sessions (user);
     CREATE INDEX requests_user ON requests (user);
     CREATE INDEX bindings_left ON bindings (flow, left_seq) WHERE left_seq IS NOT NULL;",
    // 3: what terminals can do.
    "CREATE TABLE terminals (
         client          TEXT    PRIMARY KEY,
         user            TEXT    NOT NULL,
         protocol        TEXT    NOT NULL,
         receive_maximum INTEGER NOT NULL,
         maximum_packet  INTEGER,
         seen_at         INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX terminals_user ON terminals (user);
     CREATE INDEX terminals_seen ON terminals (seen_at);",
    // 4: a share of the outbox for each receiver. What an earlier papcast took counts by its whole URL.
    "ALTER TABLE pushes ADD COLUMN receiver TEXT;
     ALTER TABLE outbox ADD COLUMN receiver TEXT NOT NULL DEFAULT '';
     UPDATE outbox SET receiver = (
         SELECT p.notify FROM dispatches d JOIN pushes p ON p.id = d.push WHERE d.id = outbox.dispatch);
     DROP INDEX outbox_due;
     CREATE INDEX outbox_due ON outbox (receiver, next_at) WHERE given_up = 0;
     DROP TRIGGER dispatch_over;
     CREATE TRIGGER dispatch_over AFTER UPDATE OF state ON dispatches
     WHEN OLD.state < 2 AND NEW.state >= 2 BEGIN
         INSERT INTO outbox (dispatch, next_at, begun_at, receiver)
             SELECT NEW.id, NEW.event_at, NEW.event_at, coalesce(receiver, notify) FROM pushes WHERE id = NEW.push AND notify IS NOT NULL;
     END;",
    // 5: limits on groups and pending joins, decisions that wait for an absent asker, empty groups that are forgotten, and
    // an index of what is owed. Of an earlier papcast's groups those count as made on purpose that have a member, a policy
    // other than open, or ever got a push; the others are kept for one more store.retention.
    "ALTER TABLE counter ADD COLUMN group_count INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE counter ADD COLUMN request_count INTEGER NOT NULL DEFAULT 0;
     UPDATE counter SET group_count = (SELECT count(*) FROM flows WHERE kind = 0 AND instr(name, char(1)) = 0),
         request_count = (SELECT count(*) FROM requests);
     ALTER TABLE flows ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE flows ADD COLUMN left_at INTEGER NOT NULL DEFAULT 0;
     UPDATE flows SET left_at = unixepoch() * 1000, kept = members > 0 OR policy <> 0 OR last_seq > 0
         WHERE kind = 0 AND instr(name, char(1)) = 0;
     CREATE INDEX flows_deleted ON flows (id) WHERE policy = 3;
     CREATE INDEX dispatches_owed ON dispatches (flow, seq) WHERE state IN (1, 2) OR (state = 7 AND held > 0);
     CREATE INDEX requests_age ON requests (requested_at);
     CREATE TABLE answers (
         id             INTEGER PRIMARY KEY,
         user           INTEGER NOT NULL REFERENCES flows (id),
         group_name     TEXT    NOT NULL,
         outcome        INTEGER NOT NULL,
         request_id     TEXT,
         response_topic TEXT,
         correlation    BLOB,
         decided_at     INTEGER NOT NULL
     ) STRICT;
     CREATE INDEX answers_user ON answers (user);
     CREATE INDEX answers_age ON answers (decided_at);",
    // 6: each flow counts its own dispatches. There was one counter for all, so who had joined or left while others were
    // counted stands beyond the newest of its flow, and is set back to it. Numbers that were given stay, with gaps between
    // them. Besides, pushes that are set aside, and what is known of terminals.
    "UPDATE bindings SET
         joined_seq = min(joined_seq, (SELECT last_seq FROM flows WHERE id = flow)),
         acked_seq = min(acked_seq, (SELECT last_seq FROM flows WHERE id = flow)),
         left_seq = min(left_seq, (SELECT last_seq FROM flows WHERE id = flow));
     UPDATE exceptions SET upto = max(seq, min(upto,
         (SELECT f.last_seq FROM bindings b JOIN flows f ON f.id = b.flow WHERE b.id = binding)));
     DROP INDEX dispatches_seq;
     DROP INDEX dispatches_flow;
     DROP INDEX dispatches_replaces;
     ALTER TABLE dispatches DROP COLUMN prev_seq;
     CREATE UNIQUE INDEX dispatches_flow ON dispatches (flow, seq);
     CREATE INDEX dispatches_replaces ON dispatches (flow, replaces) WHERE replaces IS NOT NULL;
     ALTER TABLE counter DROP COLUMN seq;
     ALTER TABLE counter DROP COLUMN direct_seq;
     ALTER TABLE counter ADD COLUMN pushes INTEGER NOT NULL DEFAULT 0;
     UPDATE counter SET pushes = (SELECT coalesce(max(id), 0) FROM pushes);
     CREATE TABLE set_aside (
         binding INTEGER NOT NULL REFERENCES bindings (id),
         seq     INTEGER NOT NULL,
         client  TEXT    NOT NULL,
         tries   INTEGER NOT NULL,
         size    INTEGER NOT NULL,
         largest INTEGER NOT NULL,
         since   INTEGER NOT NULL,
         PRIMARY KEY (binding, seq, client)
     ) STRICT, WITHOUT ROWID;
     ALTER TABLE terminals ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE terminals ADD COLUMN largest_acked INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE terminals ADD COLUMN gone TEXT;",
    // 7: credentials.
    "CREATE TABLE credentials (
         hash       BLOB    PRIMARY KEY,
         kind       INTEGER NOT NULL,
         name       TEXT    NOT NULL,
         role       INTEGER,
         created_at INTEGER NOT NULL,
         until      INTEGER
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX credentials_name ON credentials (kind, name);
     CREATE INDEX credentials_old  ON credentials (until) WHERE until IS NOT NULL;
     CREATE TABLE secrets (
         id        INTEGER PRIMARY KEY CHECK (id = 1),
         token_key BLOB NOT NULL
     ) STRICT;",
    // 8: limits on users, on groups that one user makes, and on what one initiator has under way.
    "ALTER TABLE counter ADD COLUMN user_count INTEGER NOT NULL DEFAULT 0;
     UPDATE counter SET user_count = (SELECT count(*) FROM flows WHERE kind = 1);
     ALTER TABLE flows ADD COLUMN maker INTEGER;
     CREATE INDEX flows_maker ON flows (maker) WHERE maker IS NOT NULL;
     ALTER TABLE sessions ADD COLUMN by_jwt INTEGER NOT NULL DEFAULT 0;
     CREATE TABLE initiators (
         name    TEXT    PRIMARY KEY,
         pending INTEGER NOT NULL DEFAULT 0,
         day     INTEGER NOT NULL DEFAULT 0,
         pushes  INTEGER NOT NULL DEFAULT 0
     ) STRICT, WITHOUT ROWID;
     INSERT INTO initiators (name, pending)
         SELECT p.initiator, count(*) FROM dispatches d JOIN pushes p ON p.id = d.push WHERE d.state < 2 GROUP BY p.initiator;
     DROP TRIGGER dispatch_over;
     CREATE TRIGGER dispatch_over AFTER UPDATE OF state ON dispatches
     WHEN OLD.state < 2 AND NEW.state >= 2 BEGIN
         INSERT INTO outbox (dispatch, next_at, begun_at, receiver)
             SELECT NEW.id, NEW.event_at, NEW.event_at, coalesce(receiver, notify) FROM pushes WHERE id = NEW.push AND notify IS NOT NULL;
         UPDATE initiators SET pending = pending - 1 WHERE name = (SELECT initiator FROM pushes WHERE id = NEW.push);
     END;",
    // 9: when who had a push, who came into a group and who left it, what operators changed, and the last push for new members.
    "ALTER TABLE flows ADD COLUMN welcome INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE pushes ADD COLUMN request TEXT;
     ALTER TABLE dispatches ADD COLUMN first_at INTEGER;
     ALTER TABLE dispatches ADD COLUMN half_at INTEGER;
     ALTER TABLE dispatches ADD COLUMN most_at INTEGER;
     ALTER TABLE dispatches ADD COLUMN last_at INTEGER;
     ALTER TABLE dispatches ADD COLUMN welcome INTEGER;
     CREATE INDEX dispatches_welcome ON dispatches (push, welcome) WHERE welcome IS NOT NULL;
     CREATE TABLE delivery_times (
         flow     INTEGER NOT NULL,
         seq      INTEGER NOT NULL,
         at       INTEGER NOT NULL,
         bindings BLOB    NOT NULL,
         PRIMARY KEY (flow, seq, at)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX delivery_times_age ON delivery_times (at);
     CREATE TABLE history (
         id         INTEGER PRIMARY KEY,
         at         INTEGER NOT NULL,
         group_name TEXT    NOT NULL,
         user       TEXT    NOT NULL,
         act        INTEGER NOT NULL,
         hand       TEXT    NOT NULL
     ) STRICT;
     CREATE INDEX history_group ON history (group_name, at);
     CREATE INDEX history_user  ON history (user, group_name, at);
     CREATE TABLE audit (
         id     INTEGER PRIMARY KEY,
         at     INTEGER NOT NULL,
         hand   TEXT    NOT NULL,
         act    TEXT    NOT NULL,
         object TEXT    NOT NULL,
         detail TEXT    NOT NULL
     ) STRICT;
     DROP TRIGGER dispatch_over;
     CREATE TRIGGER dispatch_over AFTER UPDATE OF state ON dispatches
     WHEN OLD.state < 2 AND NEW.state >= 2 AND NEW.welcome IS NULL BEGIN
         INSERT INTO outbox (dispatch, next_at, begun_at, receiver)
             SELECT NEW.id, NEW.event_at, NEW.event_at, coalesce(receiver, notify) FROM pushes WHERE id = NEW.push AND notify IS NOT NULL;
         UPDATE initiators SET pending = pending - 1 WHERE name = (SELECT initiator FROM pushes WHERE id = NEW.push);
     END;",
];

/// Brings a store of an earlier shape to the present one: all of it or, after a crash, none of it.
pub(super) fn upgrade(connection: &mut Connection, path: &Path, from: i64) -> Result<()> {
    let fail = |error: rusqlite::Error| {
        Error::Open(format!(
            "{}: cannot be upgraded from schema {from} to {SCHEMA_VERSION}, and was left as it is: {error}",
            path.display()
        ))
    };
    let done = usize::try_from(from - 1).unwrap_or(0);
    let transaction = connection.transaction().map_err(fail)?;
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step).map_err(fail)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(fail)?;
    transaction.commit().map_err(fail)?;
    tracing::info!(path = %path.display(), from, to = SCHEMA_VERSION, "the store was upgraded");
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::OptionalExtension as _;

    use super::*;
    use crate::store::open_file;

    /// Every shape that a store ever had, oldest first, with rows in it.
    const EARLIER: [&str; STEPS.len()] = [
        include_str!("../../tests/data/schema/1.sql"),
        include_str!("../../tests/data/schema/2.sql"),
        include_str!("../../tests/data/schema/3.sql"),
        include_str!("../../tests/data/schema/4.sql"),
        include_str!("../../tests/data/schema/5.sql"),
        include_str!("../../tests/data/schema/6.sql"),
        include_str!("../../tests/data/schema/7.sql"),
        include_str!("../../tests/data/schema/8.sql"),
    ];

    /// Tables with their columns, indexes and triggers, without the blanks and comments of the text.
    fn shape(connection: &Connection) -> Vec<String> {
        let columns =
            "SELECT m.name || '.' || c.cid || ' ' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' ||
                coalesce(c.dflt_value, '-') || ' ' || c.pk
             FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1";
        let others = "SELECT sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL ORDER BY name";
        let read = |sql: &str| -> Vec<String> {
            let mut query = connection.prepare(sql).unwrap();
            let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
            rows.map(|text| text.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")).collect()
        };
        read(columns).into_iter().chain(read(others)).collect()
    }

    #[test]
    fn every_earlier_shape_becomes_the_present_one_and_keeps_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let fresh = shape(&open_file::open(&dir.path().join("fresh.db")).unwrap());
        for (at, text) in EARLIER.iter().enumerate() {
            let path = dir.path().join(format!("{}.db", at + 1));
            let old = Connection::open(&path).unwrap();
            old.execute_batch(text).unwrap();
            old.pragma_update(None, "user_version", at as i64 + 1).unwrap();
            drop(old);
            for _ in 0..2 {
                let upgraded = open_file::open(&path).unwrap();
                assert_eq!(shape(&upgraded), fresh, "from schema {}", at + 1);
                let kept: (i64, String, i64) = upgraded
                    .query_row(
                        "SELECT (SELECT count(*) FROM bindings), p.push_id, d.seq FROM dispatches d JOIN pushes p ON p.id = d.push",
                        [],
                        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                    )
                    .unwrap();
                assert_eq!(kept, (2, "kept".into(), 7));
                let counted: (i64, i64) = upgraded
                    .query_row("SELECT user_count, (SELECT pending FROM initiators) FROM counter", [], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .unwrap();
                assert_eq!(counted, (1, 1), "a user, and an address that is not over");
                let receiver: Option<String> =
                    upgraded.query_row("SELECT receiver FROM outbox", [], |row| row.get(0)).optional().unwrap();
                let expected = text.contains("INSERT INTO outbox (dispatch, next_at, begun_at) SELECT");
                assert_eq!(receiver.as_deref(), expected.then_some("http://pi.example:8080/told"));
                assert_eq!(
                    upgraded.query_row("PRAGMA foreign_key_check", [], |_| Ok(())),
                    Err(rusqlite::Error::QueryReturnedNoRows)
                );
            }
        }
    }

    /// Joined and left are numbers of the one counter there was, far beyond those of their flow.
    #[tokio::test]
    async fn who_joined_under_the_one_counter_owed_nothing_until_his_group_had_caught_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("5.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(EARLIER[4]).unwrap();
        old.execute_batch(
            "UPDATE counter SET seq = 100;
             INSERT INTO flows (id, kind, name, members, last_seq, created_at) VALUES (7, 1, 'bob', 1, 0, 1), (8, 1, 'carl', 1, 90, 1);
             -- Bob joined, and Carl left, when 100 dispatches had gone to others; Carl's own newest push is 90.
             INSERT INTO bindings (id, flow, user, sources, joined_seq, acked_seq, joined_at) VALUES (7, 1, 7, 1, 100, 100, 1);
             INSERT INTO bindings (id, flow, user, sources, joined_seq, acked_seq, left_seq, joined_at, left_at)
                 VALUES (8, 1, 8, 0, 3, 3, 100, 1, 1);
             INSERT INTO bindings (id, flow, user, sources, joined_seq, acked_seq, joined_at) VALUES (9, 8, 8, 1, 20, 90, 1);
             UPDATE flows SET members = 2 WHERE id = 1;",
        )
        .unwrap();
        old.pragma_update(None, "user_version", 5).unwrap();
        drop(old);
        let store =
            crate::store::Store::open(&path, 1, &crate::supervision::Health::default(), |_| {}, Default::default())
                .unwrap();
        let bindings = store
            .read(|sql| {
                let mut query =
                    sql.prepare("SELECT joined_seq, acked_seq, left_seq FROM bindings WHERE id > 6 ORDER BY id")?;
                let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                Ok(rows.collect::<rusqlite::Result<Vec<(i64, i64, Option<i64>)>>>()?)
            })
            .await
            .unwrap();
        assert_eq!(bindings, [(7, 7, None), (3, 3, Some(7)), (20, 90, None)]);
        let submitted = store.submit(crate::store::tests::push("next", 10)).await.unwrap();
        assert_eq!(submitted, crate::store::Submitted::Accepted { unknown: vec![] });
        let seq: i64 = store
            .read(|sql| {
                Ok(sql.query_row("SELECT seq FROM dispatches WHERE flow = 1 ORDER BY seq DESC", [], |row| row.get(0))?)
            })
            .await
            .unwrap();
        assert_eq!(seq, 8, "the group goes on counting where it was");
        let fetch =
            crate::store::Fetch { binding: 7, after: crate::parcel::Seq(7), limit: 9, max_bytes: 9_999, now: 20 };
        let owed = store.fetch(fetch).await.unwrap().unwrap();
        assert_eq!(owed.parcels.len(), 1, "bob is owed it");
        let page = store
            .recipients("i".into(), "next".into(), crate::store::Wanted::All, (0, 0), 9, crate::store::Detail::Full)
            .await
            .unwrap()
            .unwrap();
        let mut users: Vec<&str> = page.recipients.iter().map(|one| one.user.as_str()).collect();
        users.sort_unstable();
        assert_eq!(users, ["alice", "bob"], "carl had left");
    }

    #[test]
    fn there_was_no_way_back_from_an_upgrade() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("papcast.db");
        let make = || {
            let old = Connection::open(&path).unwrap();
            old.execute_batch(EARLIER[4]).unwrap();
            old.pragma_update(None, "user_version", 5).unwrap();
            shape(&old)
        };
        let before = make();
        open_file::open(&path).unwrap();
        let version = |path: &Path| -> i64 {
            Connection::open(path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
        };
        let copy = dir.path().join("papcast.db.schema-5");
        assert_eq!((version(&copy), version(&path)), (5, SCHEMA_VERSION));
        assert_eq!(shape(&Connection::open(&copy).unwrap()), before);
        // Somebody goes back, and upgrades again: no copy is written over.
        std::fs::remove_file(&path).unwrap();
        make();
        open_file::open(&path).unwrap();
        assert_eq!(version(&dir.path().join("papcast.db.schema-5.2")), 5);
        open_file::open(&path).unwrap();
        assert!(!dir.path().join(format!("papcast.db.schema-{SCHEMA_VERSION}")).exists(), "nothing to upgrade");
    }

    /// Empty groups that nobody had done anything for filled the store for ever.
    #[test]
    fn the_groups_of_an_earlier_papcast_are_counted_and_those_that_matter_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("4.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(EARLIER[3]).unwrap();
        old.pragma_update(None, "user_version", 4).unwrap();
        drop(old);
        let upgraded = open_file::open(&path).unwrap();
        let counts: (i64, i64) = upgraded
            .query_row("SELECT group_count, request_count FROM counter", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(counts, (3, 1));
        let mut query = upgraded
            .prepare("SELECT name, kept, left_at > 1 FROM flows WHERE kind = 0 AND id < 5 ORDER BY id")
            .unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let groups: Vec<(String, bool, bool)> = rows.map(|row| row.unwrap()).collect();
        let expected = [("news", true), ("forgotten", false), ("vip", true)];
        assert_eq!(groups, expected.map(|(name, kept)| (name.to_owned(), kept, true)));
    }

    #[test]
    fn a_step_that_fails_leaves_the_store_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broken.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(EARLIER[0]).unwrap();
        // Somebody has added what the step is about to add at its end.
        old.execute_batch("CREATE INDEX bindings_left ON bindings (left_seq)").unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let before = shape(&old);
        drop(old);
        let error = open_file::open(&path).unwrap_err().to_string();
        assert!(error.contains("broken.db: cannot be upgraded from schema 1"), "{error}");
        assert_eq!(shape(&Connection::open(&path).unwrap()), before);
    }
}
