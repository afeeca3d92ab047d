ALTER TABLE sessions DROP COLUMN proven;
DROP TABLE links;
DROP TABLE pending_signins;
DROP TABLE recovery_codes;
DROP TABLE passkey_challenges;
DROP TABLE passkeys;
DROP TABLE totps;
