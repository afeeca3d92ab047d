-- Until when the password alone signs the user in on it; null: each time with their second factor.
ALTER TABLE devices ADD COLUMN trusted_until INTEGER;
