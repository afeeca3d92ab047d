-- The password was set by somebody else: its user chooses another before they are signed in.
ALTER TABLE users ADD COLUMN must_change INTEGER NOT NULL DEFAULT 0;

-- The device is to be trusted, when the rest of the sign-in is proven.
ALTER TABLE pending_signins ADD COLUMN trust INTEGER NOT NULL DEFAULT 0;
