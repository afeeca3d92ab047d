ALTER TABLE pending_signins DROP COLUMN trust;
ALTER TABLE users DROP COLUMN must_change;
