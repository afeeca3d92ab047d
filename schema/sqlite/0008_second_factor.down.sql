ALTER TABLE sessions DROP COLUMN proven;
ALTER TABLE users DROP COLUMN must_change;
DROP TABLE links;
DROP TABLE pending_signins;
DROP TABLE recovery_codes;
DROP TABLE passkey_challenges;
DROP TABLE passkeys;
DROP TABLE totps;
