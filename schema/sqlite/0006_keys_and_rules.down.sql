DELETE FROM tokens WHERE scope <> 'all'; -- a key that could do less would be able to do all
-- Of identifiers that several users have, one is kept as it is.
UPDATE tokens SET identifier = identifier || '-' || lower(hex(uuid)) WHERE id NOT IN (SELECT min(id) FROM tokens GROUP BY identifier);
CREATE TABLE keys (
	id          INTEGER PRIMARY KEY,
	uuid        BLOB    NOT NULL UNIQUE,
	identifier  TEXT    NOT NULL UNIQUE,
	key_hash    BLOB    NOT NULL UNIQUE,         -- SHA-256 of the key, which is kept nowhere
	user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	description TEXT    NOT NULL DEFAULT '',
	created     INTEGER NOT NULL,
	expires     INTEGER                          -- null: never
) STRICT;
INSERT INTO keys (id, uuid, identifier, key_hash, user_id, description, created, expires)
	SELECT id, uuid, identifier, key_hash, user_id, description, created, expires FROM tokens;
DROP TABLE tokens;
ALTER TABLE keys RENAME TO tokens;
CREATE INDEX tokens_user ON tokens (user_id);

DELETE FROM rules WHERE challenge OR methods <> '';
DROP INDEX rules_open;
ALTER TABLE rules DROP COLUMN challenge;
ALTER TABLE rules DROP COLUMN methods;
CREATE UNIQUE INDEX rules_open ON rules (host, path) WHERE path <> '';
