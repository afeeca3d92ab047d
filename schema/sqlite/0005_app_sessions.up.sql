-- The cookies that sessions have on the hosts of apps which their own does not reach.
-- They end with the session.
CREATE TABLE app_sessions (
	token_hash BLOB    PRIMARY KEY,              -- SHA-256 of the cookie's token, which is kept nowhere
	session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
	host       TEXT    NOT NULL,                 -- the only one that it is good for; in the form that is compared
	created    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX app_sessions_session ON app_sessions (session_id, host);

-- What a browser takes from the sign-in to an app's host, to get that cookie: good
-- once, and for a minute.
CREATE TABLE app_codes (
	code_hash  BLOB    PRIMARY KEY,              -- SHA-256 of the code, which is kept nowhere
	state      BLOB    NOT NULL,                 -- SHA-256 of what the browser holds that asked, in a cookie on the host
	session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
	secure     INTEGER NOT NULL,                 -- the page is on https, and so was that cookie
	host       TEXT    NOT NULL,
	target     TEXT    NOT NULL,                 -- the URL of the page that was asked for
	created    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX app_codes_session ON app_codes (session_id);
CREATE INDEX app_codes_created ON app_codes (created);
