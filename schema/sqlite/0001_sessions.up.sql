PRAGMA application_id = 0x4C617374; -- "Last": a database of ours, and no other program's

-- Times are microseconds since 1970 (UTC). UUIDs are 16 bytes. Addresses are
-- canonical text: no IPv4-mapped IPv6, no zone, no port.

CREATE TABLE users (
	id               INTEGER PRIMARY KEY AUTOINCREMENT, -- the API's pk: scripts keep it, so it is never given twice
	uuid             BLOB    NOT NULL UNIQUE,
	username         TEXT    NOT NULL UNIQUE,
	folded           TEXT    NOT NULL UNIQUE,    -- username in lower case: "Ada" and "ada" are one person, whoever types the name
	name             TEXT    NOT NULL DEFAULT '',
	email            TEXT    NOT NULL DEFAULT '',
	password_hash    TEXT    NOT NULL,           -- argon2id in PHC form; '' signs nobody in
	active           INTEGER NOT NULL DEFAULT 1,
	superuser        INTEGER NOT NULL DEFAULT 0,
	created          INTEGER NOT NULL,
	updated          INTEGER NOT NULL,
	password_changed INTEGER NOT NULL,
	last_login       INTEGER                     -- null: never
) STRICT;

CREATE TABLE groups (
	id   INTEGER PRIMARY KEY,
	uuid BLOB NOT NULL UNIQUE,
	name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE user_groups (
	user_id  INTEGER NOT NULL REFERENCES users  (id) ON DELETE CASCADE,
	group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
	PRIMARY KEY (user_id, group_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_groups_group ON user_groups (group_id);

CREATE TABLE tokens (
	id          INTEGER PRIMARY KEY,
	uuid        BLOB    NOT NULL UNIQUE,
	identifier  TEXT    NOT NULL UNIQUE,
	key_hash    BLOB    NOT NULL UNIQUE,         -- SHA-256 of the key, which is kept nowhere
	user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	description TEXT    NOT NULL DEFAULT '',
	created     INTEGER NOT NULL,
	expires     INTEGER                          -- null: never
) STRICT;

CREATE INDEX tokens_user ON tokens (user_id);

-- One row for each distinct User-Agent header, parsed once.
CREATE TABLE user_agents (
	id            INTEGER PRIMARY KEY,
	string        TEXT NOT NULL UNIQUE,
	definitions   TEXT NOT NULL,                 -- version of the definitions that parsed it
	kind          TEXT NOT NULL,
	browser       TEXT NOT NULL,
	browser_major TEXT NOT NULL,
	browser_minor TEXT NOT NULL,
	browser_patch TEXT NOT NULL,
	os            TEXT NOT NULL,
	os_major      TEXT NOT NULL,
	os_minor      TEXT NOT NULL,
	os_patch      TEXT NOT NULL,
	os_patch_minor TEXT NOT NULL,
	device        TEXT NOT NULL,
	device_brand  TEXT NOT NULL,
	device_model  TEXT NOT NULL,
	sessions      INTEGER NOT NULL DEFAULT 0     -- how many living sessions have it; triggers count
) STRICT;

CREATE INDEX user_agents_definitions ON user_agents (definitions);
CREATE INDEX user_agents_kind        ON user_agents (kind, sessions);

-- The sessions that live: ending one moves it to ended_sessions, so a row here
-- is what authenticates, and counting them needs no condition.
CREATE TABLE sessions (
	id         INTEGER PRIMARY KEY,
	uuid       BLOB    NOT NULL UNIQUE,
	token_hash BLOB    NOT NULL UNIQUE,          -- SHA-256 of the cookie's token, which is kept nowhere
	user_id    INTEGER NOT NULL REFERENCES users (id),
	agent_id   INTEGER NOT NULL REFERENCES user_agents (id),
	last_ip    TEXT    NOT NULL,
	via        TEXT    NOT NULL DEFAULT '',      -- the trusted proxy that reported last_ip; '' when it was the peer itself
	method     TEXT    NOT NULL,                 -- how it was signed in: password, setup
	remember   INTEGER NOT NULL DEFAULT 0,
	created    INTEGER NOT NULL,
	last_used  INTEGER NOT NULL,
	ends       INTEGER NOT NULL,                 -- the absolute limit
	expires    INTEGER NOT NULL                  -- the earlier of the absolute and the idle limit
) STRICT;

-- An index for each ordering that the API offers, ties broken by uuid. Those that
-- a search starts from also hold what it compares, so that it reads no row.
CREATE INDEX sessions_user      ON sessions (user_id, uuid, agent_id, last_ip);
CREATE INDEX sessions_agent     ON sessions (agent_id, uuid, user_id, last_ip);
CREATE INDEX sessions_last_ip   ON sessions (last_ip, uuid, user_id, agent_id);
CREATE INDEX sessions_last_used ON sessions (last_used, uuid);
CREATE INDEX sessions_expires   ON sessions (expires, uuid);

CREATE TRIGGER sessions_begun AFTER INSERT ON sessions BEGIN
	UPDATE user_agents SET sessions = sessions + 1 WHERE id = NEW.agent_id;
END;
CREATE TRIGGER sessions_ended AFTER DELETE ON sessions BEGIN
	UPDATE user_agents SET sessions = sessions - 1 WHERE id = OLD.agent_id;
END;
CREATE TRIGGER sessions_moved AFTER UPDATE OF agent_id ON sessions WHEN NEW.agent_id <> OLD.agent_id BEGIN
	UPDATE user_agents SET sessions = sessions - 1 WHERE id = OLD.agent_id;
	UPDATE user_agents SET sessions = sessions + 1 WHERE id = NEW.agent_id;
END;

CREATE TABLE ended_sessions (
	id         INTEGER PRIMARY KEY,
	uuid       BLOB    NOT NULL UNIQUE,
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	agent_id   INTEGER NOT NULL REFERENCES user_agents (id),
	last_ip    TEXT    NOT NULL,
	via        TEXT    NOT NULL,
	method     TEXT    NOT NULL,
	remember   INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	last_used  INTEGER NOT NULL,
	ends       INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	ended      INTEGER NOT NULL,
	reason     TEXT    NOT NULL,                 -- why it ended: a db.Reason
	ended_by   TEXT    NOT NULL                  -- the user name of who ended it; '' for the program itself
) STRICT;

CREATE INDEX ended_sessions_user  ON ended_sessions (user_id, ended);
CREATE INDEX ended_sessions_ended ON ended_sessions (ended);
CREATE INDEX ended_sessions_agent ON ended_sessions (agent_id);

CREATE TABLE events (
	id         INTEGER PRIMARY KEY,
	uuid       BLOB    NOT NULL UNIQUE,
	created    INTEGER NOT NULL,
	action     TEXT    NOT NULL,                 -- authentik's names: login, login_failed, ...
	actor_id   INTEGER,                          -- who did it, as far as known; the user may be gone
	actor      TEXT    NOT NULL,
	subject_id INTEGER,                          -- whose account it concerns; they may read it
	client_ip  TEXT    NOT NULL,                 -- '' for the command line
	context    TEXT    NOT NULL                  -- a JSON object
) STRICT;

CREATE INDEX events_created ON events (created, id);
CREATE INDEX events_action  ON events (action, created, id);
CREATE INDEX events_subject ON events (subject_id, created, id);

-- Wrong passwords of the last hour: what the limits on signing in count.
CREATE TABLE login_failures (
	id       INTEGER PRIMARY KEY,
	created  INTEGER NOT NULL,
	username TEXT    NOT NULL,                   -- in lower case; of nobody, perhaps
	network  TEXT    NOT NULL                    -- a /32 or a /64
) STRICT;

CREATE INDEX login_failures_username ON login_failures (username, created, network);
CREATE INDEX login_failures_network  ON login_failures (network, created);
CREATE INDEX login_failures_created  ON login_failures (created);

-- The networks from which a user has signed in: no flood from elsewhere locks these out.
CREATE TABLE known_networks (
	user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	network   TEXT    NOT NULL,
	last_used INTEGER NOT NULL,
	PRIMARY KEY (user_id, network)
) STRICT, WITHOUT ROWID;

-- What the program must remember of its own settings, by name.
CREATE TABLE settings (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
