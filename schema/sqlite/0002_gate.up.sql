-- Who may reach what through the gate. Without a rule for a host, every
-- signed-in user may reach it.
CREATE TABLE rules (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,   -- people delete by it, so it is never given twice
	host    TEXT    NOT NULL,                    -- exact, or *.suffix; in the form that is compared
	path    TEXT    NOT NULL DEFAULT '',         -- open to all: exact, or a prefix ending in *; '' for a rule that allows groups
	created INTEGER NOT NULL
) STRICT;

CREATE INDEX        rules_host ON rules (host);
CREATE UNIQUE INDEX rules_open ON rules (host, path) WHERE path <> '';

-- A rule that allows groups and has none left allows nobody.
CREATE TABLE rule_groups (
	rule_id  INTEGER NOT NULL REFERENCES rules  (id) ON DELETE CASCADE,
	group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
	PRIMARY KEY (rule_id, group_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX rule_groups_group ON rule_groups (group_id);

-- The hosts that a session reached through the gate, also after it has ended.
CREATE TABLE session_hosts (
	session    BLOB    NOT NULL,                 -- the uuid of a row in sessions or ended_sessions
	host       TEXT    NOT NULL,
	first_used INTEGER NOT NULL,
	last_used  INTEGER NOT NULL,
	PRIMARY KEY (session, host)
) STRICT, WITHOUT ROWID;
