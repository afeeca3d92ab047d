DROP TRIGGER sessions_begun_user;
DROP TRIGGER sessions_ended_user;
DROP INDEX users_sessions;
ALTER TABLE users DROP COLUMN sessions;
