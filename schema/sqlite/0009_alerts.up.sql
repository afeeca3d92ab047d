-- What people are to be told, written in the transaction of what it tells of.
CREATE TABLE alerts (
	id      INTEGER PRIMARY KEY,
	uuid    BLOB    NOT NULL UNIQUE,
	type    TEXT    NOT NULL,
	user_id INTEGER NOT NULL,                    -- whose account it concerns, who may be gone; 0 for nobody's
	created INTEGER NOT NULL,
	number  INTEGER NOT NULL,                    -- of how many it tells: more than one when it is a summary
	state   TEXT    NOT NULL,                    -- new, planned, held, or summed: in a summary
	content TEXT    NOT NULL                     -- JSON, as the alert package has it
) STRICT;

CREATE INDEX alerts_waiting ON alerts (state, id) WHERE state IN ('new', 'held');
CREATE INDEX alerts_user    ON alerts (user_id, created);
CREATE INDEX alerts_created ON alerts (created);

-- What is still to be sent, and to whom: a row is removed when it was, or is given up.
CREATE TABLE alert_deliveries (
	alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
	target   TEXT    NOT NULL,
	due      INTEGER NOT NULL,                   -- not before
	claimed  INTEGER NOT NULL DEFAULT 0,         -- until when one process tries it, and no other
	attempts INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (alert_id, target)
) STRICT, WITHOUT ROWID;

CREATE INDEX alert_deliveries_target ON alert_deliveries (target, alert_id);

-- Where alerts go, beside the settings.
CREATE TABLE alert_targets (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given twice: a delivery may wait
	url     BLOB    NOT NULL,                    -- encrypted, as it holds secrets
	types   TEXT    NOT NULL DEFAULT '',         -- of what it gets, separated by commas; '' for all
	created INTEGER NOT NULL
) STRICT;

-- The last failure at a target, until something is sent there.
CREATE TABLE alert_problems (
	target  TEXT    PRIMARY KEY,
	created INTEGER NOT NULL,
	problem TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- What users want by mail, who chose; the others get all.
CREATE TABLE alert_choices (
	user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
	mail    INTEGER NOT NULL,
	types   TEXT    NOT NULL                     -- as alert_targets.types
) STRICT;
