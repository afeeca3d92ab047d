-- Codes of an authenticator app (RFC 6238).
CREATE TABLE totps (
	id        INTEGER PRIMARY KEY AUTOINCREMENT, -- the API's pk: scripts keep it, so it is never given twice
	uuid      BLOB    NOT NULL UNIQUE,           -- what the secret is bound to, beside the user
	user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name      TEXT    NOT NULL,
	secret    BLOB    NOT NULL,                  -- encrypted with the key in the data directory
	step      INTEGER NOT NULL,                  -- the latest 30 seconds, since 1970, whose code was used: no code counts twice
	created   INTEGER NOT NULL,
	last_used INTEGER                            -- null: never since it was added
) STRICT;

CREATE INDEX totps_user ON totps (user_id);

CREATE TABLE passkeys (
	id            INTEGER PRIMARY KEY AUTOINCREMENT, -- the API's pk
	user_id       INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	name          TEXT    NOT NULL,
	credential_id BLOB    NOT NULL UNIQUE,
	rp_id         TEXT    NOT NULL,              -- the host that it was made for, and is good for alone
	discoverable  INTEGER,                       -- whether it signs in without a name; null: the browser did not say
	credential    TEXT    NOT NULL,              -- all that is known of it, with its flags and its count of uses: a JSON object
	created       INTEGER NOT NULL,
	last_used     INTEGER                        -- null: never since it was added
) STRICT;

CREATE INDEX passkeys_user ON passkeys (user_id);

-- What a passkey is asked to sign. A row is deleted as it is read.
CREATE TABLE passkey_challenges (
	token_hash BLOB    PRIMARY KEY,              -- SHA-256 of what the browser holds, which is kept nowhere
	user_id    INTEGER REFERENCES users (id) ON DELETE CASCADE, -- null: whoever has a passkey
	purpose    TEXT    NOT NULL,                 -- what the answer is good for, and nothing else
	data       TEXT    NOT NULL,                 -- the library's own, whole: a JSON object
	created    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX passkey_challenges_user    ON passkey_challenges (user_id);
CREATE INDEX passkey_challenges_created ON passkey_challenges (created);

-- Codes for who has lost the rest. A row is deleted as it is used.
CREATE TABLE recovery_codes (
	user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	code_hash BLOB    NOT NULL,                  -- SHA-256 of the code, which is random and kept nowhere
	created   INTEGER NOT NULL,
	PRIMARY KEY (user_id, code_hash)
) STRICT, WITHOUT ROWID;

-- Sign-ins of which something is still to be proven. They are no sessions, and nothing
-- but the pages that ask for the rest accepts them.
CREATE TABLE pending_signins (
	token_hash BLOB    PRIMARY KEY,              -- SHA-256 of the cookie's token, which is kept nowhere
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	proven     TEXT    NOT NULL,                 -- how, so far: password, setup, link
	remember   INTEGER NOT NULL,
	created    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX pending_signins_user    ON pending_signins (user_id);
CREATE INDEX pending_signins_created ON pending_signins (created);

-- What lets somebody make an account, or set a new password, once.
CREATE TABLE links (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	token_hash BLOB    NOT NULL UNIQUE,          -- SHA-256 of what the link ends in, which is kept nowhere
	kind       TEXT    NOT NULL,                 -- invite or reset
	user_id    INTEGER REFERENCES users (id) ON DELETE CASCADE, -- whose password it is; null for an invitation
	username   TEXT    NOT NULL DEFAULT '',      -- what an invitation's account is called; '' lets its person choose
	superuser  INTEGER NOT NULL DEFAULT 0,
	groups     TEXT    NOT NULL DEFAULT '[]',    -- a JSON array of names
	made_by    TEXT    NOT NULL,                 -- a user name
	created    INTEGER NOT NULL,
	expires    INTEGER NOT NULL
) STRICT;

CREATE INDEX links_user    ON links (user_id);
CREATE INDEX links_expires ON links (expires);

-- When the person last proved who they are: at the sign-in, or when asked again since.
ALTER TABLE sessions ADD COLUMN proven INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET proven = created;
