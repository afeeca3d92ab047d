-- Browsers that hold a device's cookie, each once for each account that signed in there.
CREATE TABLE devices (
	id         INTEGER PRIMARY KEY,
	uuid       BLOB    NOT NULL UNIQUE,
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	token_hash BLOB    NOT NULL,                 -- SHA-256 of the cookie's token, which is kept nowhere
	name       TEXT    NOT NULL DEFAULT '',      -- what its person calls it
	browser    TEXT    NOT NULL,                 -- of the latest sign-in, without versions
	os         TEXT    NOT NULL,
	kind       TEXT    NOT NULL,
	created    INTEGER NOT NULL,
	last_login INTEGER NOT NULL,
	UNIQUE (user_id, token_hash)
) STRICT;

CREATE INDEX devices_client ON devices (user_id, kind, os, browser);
CREATE INDEX devices_named  ON devices (name) WHERE name <> ''; -- a search reads them all

-- Null for a session from before there were devices, and when its device was forgotten.
ALTER TABLE sessions       ADD COLUMN device_id INTEGER REFERENCES devices (id) ON DELETE SET NULL;
ALTER TABLE ended_sessions ADD COLUMN device_id INTEGER REFERENCES devices (id) ON DELETE SET NULL;

CREATE INDEX sessions_device       ON sessions       (device_id) WHERE device_id IS NOT NULL;
CREATE INDEX ended_sessions_device ON ended_sessions (device_id) WHERE device_id IS NOT NULL;
