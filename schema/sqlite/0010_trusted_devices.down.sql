ALTER TABLE devices DROP COLUMN trusted_until;
