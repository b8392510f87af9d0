-- The whole current schema of a papcast store, compiled into the program. Its number is PRAGMA user_version; a change
-- of it needs a step in src/store/schema_upgrade.rs. All times are milliseconds since 1970 UTC. docs/ledger.md explains seq, cursor and exception.

-- One row: how many pushes were ever taken, which is the id of the newest one, and how many there are of what is limited:
-- groups that are not deleted, joins that wait for a decision, and users.
CREATE TABLE counter (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    group_count   INTEGER NOT NULL DEFAULT 0,
    request_count INTEGER NOT NULL DEFAULT 0,
    pushes        INTEGER NOT NULL DEFAULT 0,
    user_count    INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO counter (id) VALUES (1);

-- A flow is what can be addressed: a group (kind 0), or a user's own pushes (kind 1, and then it is the user as well).
-- One more (kind 2, without a name) stands for whatever an address named that was not known.
CREATE TABLE flows (
    id         INTEGER PRIMARY KEY,
    kind       INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    policy     INTEGER NOT NULL DEFAULT 0,   -- groups: 0 open, 1 approval, 2 closed, 3 deleted and not yet empty
    members    INTEGER NOT NULL DEFAULT 0,   -- open bindings
    last_seq   INTEGER NOT NULL DEFAULT 0,   -- seq of the newest dispatch to this flow
    created_at INTEGER NOT NULL,
    kept       INTEGER NOT NULL DEFAULT 0,   -- groups: 1 made on purpose, and not forgotten when it has been empty for long
    left_at    INTEGER NOT NULL DEFAULT 0,   -- groups: when a member left last
    maker      INTEGER,                      -- groups: the user whose join made it
    welcome    INTEGER NOT NULL DEFAULT 0,   -- groups: 1 a new member gets the last live push
    UNIQUE (kind, name)
) STRICT;
CREATE INDEX flows_deleted ON flows (id) WHERE policy = 3;
CREATE INDEX flows_maker   ON flows (maker) WHERE maker IS NOT NULL;

-- One interval of membership. It owes every live dispatch of its flow with seq > max(joined_seq, acked_seq), up to
-- left_seq. Every user has one in its own flow (flow = user).
CREATE TABLE bindings (
    id         INTEGER PRIMARY KEY,
    flow       INTEGER NOT NULL REFERENCES flows (id),
    user       INTEGER NOT NULL REFERENCES flows (id),
    sources    INTEGER NOT NULL,             -- bits: 1 join, 2 subscribe, 4 operator, 8 assign
    joined_seq INTEGER NOT NULL,
    acked_seq  INTEGER NOT NULL,             -- the cursor: everything up to it is resolved
    left_seq   INTEGER,
    exceptions INTEGER NOT NULL DEFAULT 0,   -- 1: rows in exceptions may exist
    joined_at  INTEGER NOT NULL,
    left_at    INTEGER
) STRICT;
CREATE UNIQUE INDEX bindings_open   ON bindings (flow, user) WHERE left_seq IS NULL;
CREATE INDEX        bindings_user   ON bindings (user, flow);
CREATE INDEX        bindings_flow   ON bindings (flow);
CREATE INDEX        bindings_left   ON bindings (flow, left_seq) WHERE left_seq IS NOT NULL;

-- What a cursor alone would say wrongly. kind: 1 got (above the cursor), 2 refused, 3 skipped (seq..upto), 4 late,
-- 5 held (replaced while it was under way to this member), 6 aside (a terminal could not take it so far).
CREATE TABLE exceptions (
    binding INTEGER NOT NULL REFERENCES bindings (id),
    seq     INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    upto    INTEGER NOT NULL,
    code    INTEGER NOT NULL DEFAULT 0,
    at      INTEGER NOT NULL,
    PRIMARY KEY (binding, seq, kind)
) STRICT, WITHOUT ROWID;

-- Pushes that a client could not take, for now: it closed on them or never answered (docs/ledger.md, rule 20).
CREATE TABLE set_aside (
    binding INTEGER NOT NULL REFERENCES bindings (id),
    seq     INTEGER NOT NULL,
    client  TEXT    NOT NULL,                -- empty: clients that have a new id each time
    tries   INTEGER NOT NULL,                -- connections of this client that ended on it, or left it unanswered
    size    INTEGER NOT NULL,                -- bytes of its packet
    largest INTEGER NOT NULL,                -- bytes of the largest packet that this client acknowledged
    since   INTEGER NOT NULL,
    PRIMARY KEY (binding, seq, client)
) STRICT, WITHOUT ROWID;

CREATE TABLE pushes (
    id             INTEGER PRIMARY KEY,
    initiator      TEXT    NOT NULL,
    push_id        TEXT    NOT NULL,
    digest         INTEGER NOT NULL,         -- of the submission, to know a repeat from a duplicate
    created_at     INTEGER NOT NULL,
    deliver_after  INTEGER NOT NULL,
    deliver_before INTEGER NOT NULL,
    delivery       INTEGER NOT NULL,         -- 0 notspecified, 1 preferconfirmed, 2 confirmed, 3 unconfirmed
    priority       INTEGER NOT NULL,         -- 0 high, 1 medium, 2 low
    source         TEXT,                     -- PAP source-reference
    notify         TEXT,                     -- URL for result notifications, where they were asked for
    notify_form    TEXT,                     -- what it is told in: a PAP version, or "json"
    sender         TEXT,                     -- the address the initiator posted to
    content_type   TEXT    NOT NULL,
    headers        TEXT    NOT NULL,         -- JSON: [["name","value"],…], lower-case names
    body           BLOB    NOT NULL,
    receiver       TEXT,                     -- host and port of notify: one that is slow shall not delay the others
    request        TEXT,                     -- the X-Request-Id that it came with, or one made for it
    UNIQUE (initiator, push_id)
) STRICT;

-- One push to one address. seq counts the dispatches of a flow from 1 on, and is null until this one is dispatched
-- (deliver-after).
CREATE TABLE dispatches (
    id         INTEGER PRIMARY KEY,
    push       INTEGER NOT NULL REFERENCES pushes (id),
    position   INTEGER NOT NULL,             -- of the address in the submission
    address    TEXT    NOT NULL,             -- exactly as the initiator wrote it
    flow       INTEGER NOT NULL REFERENCES flows (id),
    seq        INTEGER,
    priority   INTEGER NOT NULL,             -- that of the push
    shared     INTEGER NOT NULL,             -- 1: another address of this push may reach the same user
    due        INTEGER NOT NULL,             -- not to be dispatched before
    deadline   INTEGER NOT NULL,             -- not to be sent from then on
    state      INTEGER NOT NULL,             -- 0 scheduled, 1 pending, 2 delivered, 3 undeliverable, 4 expired, 5 aborted,
                                             -- 6 timeout, 7 cancelled, 8 rejected
    code       INTEGER NOT NULL,
    recipients INTEGER NOT NULL DEFAULT 0,   -- members at the moment of dispatch
    delivered  INTEGER NOT NULL DEFAULT 0,
    refused    INTEGER NOT NULL DEFAULT 0,
    refusal    INTEGER NOT NULL DEFAULT 0,   -- code of the last refusal
    gone       INTEGER NOT NULL DEFAULT 0,   -- left while it was pending
    event_at   INTEGER,
    replaces   INTEGER,                      -- seq of the dispatch of this flow whose recipients are left out (replace, pending-only)
    held       INTEGER NOT NULL DEFAULT 0,   -- members for whom it was under way when it was replaced
    first_at   INTEGER,                      -- when the first member had it,
    half_at    INTEGER,                      -- half of them,
    most_at    INTEGER,                      -- 95 of 100,
    last_at    INTEGER,                      -- and the last one so far
    welcome    INTEGER                       -- the group whose last push this gives to a new member; it is no address of the push
) STRICT;
CREATE UNIQUE INDEX dispatches_flow ON dispatches (flow, seq);
-- What may still be owed to somebody: a member who was away for long must not walk over all that has expired.
CREATE INDEX        dispatches_owed ON dispatches (flow, seq) WHERE state IN (1, 2) OR (state = 7 AND held > 0);
CREATE INDEX        dispatches_push ON dispatches (push, flow);
CREATE INDEX        dispatches_open ON dispatches (deadline) WHERE state < 2;
CREATE INDEX        dispatches_due  ON dispatches (priority, due) WHERE state = 0;
CREATE INDEX        dispatches_over ON dispatches (event_at) WHERE state >= 2;
CREATE INDEX        dispatches_welcome ON dispatches (push, welcome) WHERE welcome IS NOT NULL;
CREATE INDEX        dispatches_replaces ON dispatches (flow, replaces) WHERE replaces IS NOT NULL;

-- Result notifications that wait to be posted: one for each address that is over. Filled by the trigger, so that a final
-- state and its notification are one transaction whatever it was that ended the dispatch.
CREATE TABLE outbox (
    dispatch   INTEGER PRIMARY KEY REFERENCES dispatches (id),
    attempts   INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL,
    begun_at   INTEGER NOT NULL,
    failure    TEXT,                         -- why the last attempt failed
    given_up   INTEGER NOT NULL DEFAULT 0,
    receiver   TEXT    NOT NULL DEFAULT ''   -- that of the push
) STRICT;
CREATE INDEX outbox_due ON outbox (receiver, next_at) WHERE given_up = 0;
CREATE TRIGGER dispatch_over AFTER UPDATE OF state ON dispatches
WHEN OLD.state < 2 AND NEW.state >= 2 AND NEW.welcome IS NULL BEGIN
    INSERT INTO outbox (dispatch, next_at, begun_at, receiver)
        SELECT NEW.id, NEW.event_at, NEW.event_at, coalesce(receiver, notify) FROM pushes WHERE id = NEW.push AND notify IS NOT NULL;
    UPDATE initiators SET pending = pending - 1 WHERE name = (SELECT initiator FROM pushes WHERE id = NEW.push);
END;

-- How much each initiator has under way, and how much it has submitted today.
CREATE TABLE initiators (
    name    TEXT    PRIMARY KEY,
    pending INTEGER NOT NULL DEFAULT 0,      -- addresses of its pushes that are not over
    day     INTEGER NOT NULL DEFAULT 0,      -- days since 1970 UTC
    pushes  INTEGER NOT NULL DEFAULT 0       -- taken on that day
) STRICT, WITHOUT ROWID;

-- MQTT sessions that own something: a subscription that binds, or the right to be resumed.
CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY,
    client     TEXT    NOT NULL UNIQUE,
    user       TEXT    NOT NULL,
    lasting    INTEGER NOT NULL,             -- 0: ends with its connection, and so with the gateway's process
    expiry     INTEGER NOT NULL,             -- milliseconds it may stay away
    away_since INTEGER,                      -- null while connected
    by_jwt     INTEGER NOT NULL DEFAULT 0    -- 1: its user signed in with a token that somebody else has signed
) STRICT;
CREATE INDEX sessions_user ON sessions (user);
CREATE INDEX sessions_away ON sessions (away_since + expiry) WHERE away_since IS NOT NULL;

CREATE TABLE subscriptions (
    session INTEGER NOT NULL REFERENCES sessions (id),
    filter  TEXT    NOT NULL,
    qos     INTEGER NOT NULL,
    binding INTEGER REFERENCES bindings (id), -- of an exact groups/<group>
    PRIMARY KEY (session, filter)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_binding ON subscriptions (binding) WHERE binding IS NOT NULL;

-- Joins that wait for an operator's decision, with what the second answer needs.
CREATE TABLE requests (
    flow           INTEGER NOT NULL REFERENCES flows (id),
    user           INTEGER NOT NULL REFERENCES flows (id),
    request_id     TEXT,
    response_topic TEXT,
    correlation    BLOB,
    requested_at   INTEGER NOT NULL,
    PRIMARY KEY (flow, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_user ON requests (user);
CREATE INDEX requests_age  ON requests (requested_at);

-- Decisions on joins that the one who asked has not been told of: it was away, or is just being told.
CREATE TABLE answers (
    id             INTEGER PRIMARY KEY,
    user           INTEGER NOT NULL REFERENCES flows (id),
    group_name     TEXT    NOT NULL,          -- the group may be deleted
    outcome        INTEGER NOT NULL,          -- 0 accepted, 1 declined, 2 the group was deleted
    request_id     TEXT,
    response_topic TEXT,
    correlation    BLOB,
    decided_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX answers_user ON answers (user);
CREATE INDEX answers_age  ON answers (decided_at);

-- Devices as they were last seen, for those who ask what a user's terminals can do.
CREATE TABLE terminals (
    client          TEXT    PRIMARY KEY,
    user            TEXT    NOT NULL,
    protocol        TEXT    NOT NULL,         -- mqtt3.1.1 or mqtt5
    receive_maximum INTEGER NOT NULL,
    maximum_packet  INTEGER,                  -- bytes; null: it did not say
    seen_at         INTEGER NOT NULL,
    sent            INTEGER NOT NULL DEFAULT 0, -- pushes written to it
    largest_acked   INTEGER NOT NULL DEFAULT 0, -- bytes of the largest packet it ever acknowledged
    gone            TEXT                      -- why its last connection ended, in words; null while connected
) STRICT, WITHOUT ROWID;
CREATE INDEX terminals_user ON terminals (user);
CREATE INDEX terminals_seen ON terminals (seen_at);

-- Who signs in with which token. Only hashes of tokens are stored: HMAC-SHA-256 with the key of `secrets`.
CREATE TABLE credentials (
    hash       BLOB    PRIMARY KEY,
    kind       INTEGER NOT NULL,              -- 0 device, 1 initiator, 2 operator
    name       TEXT    NOT NULL,              -- devices: the user ID, or the login that a fleet shares
    role       INTEGER,                       -- operators: 0 viewer, 1 operator
    created_at INTEGER NOT NULL,
    until      INTEGER                        -- an earlier token that still works, until then
) STRICT, WITHOUT ROWID;
CREATE INDEX credentials_name ON credentials (kind, name);
CREATE INDEX credentials_old  ON credentials (until) WHERE until IS NOT NULL;

CREATE TABLE secrets (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    token_key BLOB NOT NULL
) STRICT;

-- When each member had a push that was for several: one row for each flush, with the rows of the bindings as numbers in
-- LEB128. The oldest go when there are too many (history.delivery_times).
CREATE TABLE delivery_times (
    flow     INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    bindings BLOB    NOT NULL,
    PRIMARY KEY (flow, seq, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_times_age ON delivery_times (at);

-- Who came into a group and who left it, by whose hand. By names: rows of groups and users are forgotten.
CREATE TABLE history (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    group_name TEXT    NOT NULL,
    user       TEXT    NOT NULL,
    act        INTEGER NOT NULL,              -- 0 joined, 1 left
    hand       TEXT    NOT NULL               -- terminal, subscription, rule, gateway, or the operator's name after "operator "
) STRICT;
CREATE INDEX history_group ON history (group_name, at);
CREATE INDEX history_user  ON history (user, group_name, at);

-- What operators changed. Rows are added and, when they are old, removed; they are never changed.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    hand   TEXT    NOT NULL,
    act    TEXT    NOT NULL,
    object TEXT    NOT NULL,
    detail TEXT    NOT NULL
) STRICT;
