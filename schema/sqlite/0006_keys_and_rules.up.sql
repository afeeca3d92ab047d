-- Keys that can do less, and when each was used last. Identifiers are unique for each
-- user: a name that is taken would tell that somebody else has it.
CREATE TABLE keys (
	id          INTEGER PRIMARY KEY,
	uuid        BLOB    NOT NULL UNIQUE,
	identifier  TEXT    NOT NULL,
	key_hash    BLOB    NOT NULL UNIQUE,         -- SHA-256 of the key, which is kept nowhere
	user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	description TEXT    NOT NULL DEFAULT '',
	created     INTEGER NOT NULL,
	expires     INTEGER,                         -- null: never
	scope       TEXT    NOT NULL DEFAULT 'all',  -- all, read, gate, or gate:HOST[,HOST]
	last_used   INTEGER,                         -- null: never; to the minute
	UNIQUE (user_id, identifier)
) STRICT;
INSERT INTO keys (id, uuid, identifier, key_hash, user_id, description, created, expires)
	SELECT id, uuid, identifier, key_hash, user_id, description, created, expires FROM tokens;
DROP TABLE tokens;
ALTER TABLE keys RENAME TO tokens;
CREATE INDEX tokens_identifier ON tokens (identifier);

-- An open path may be so for some methods alone; and a rule may ask clients that are no
-- browsers for a key.
ALTER TABLE rules ADD COLUMN methods TEXT NOT NULL DEFAULT '';        -- in upper case, separated by spaces; '' for all
ALTER TABLE rules ADD COLUMN challenge INTEGER NOT NULL DEFAULT 0;
DROP INDEX rules_open;
CREATE UNIQUE INDEX rules_open ON rules (host, path, methods, challenge) WHERE path <> '' OR challenge;
