-- A page far into the list by user name passes over all sessions of a user at once.
ALTER TABLE users ADD COLUMN sessions INTEGER NOT NULL DEFAULT 0; -- how many living sessions the user has; triggers count

UPDATE users SET sessions = (SELECT count(*) FROM sessions WHERE user_id = users.id);

CREATE INDEX users_sessions ON users (username, sessions);

CREATE TRIGGER sessions_begun_user AFTER INSERT ON sessions BEGIN
	UPDATE users SET sessions = sessions + 1 WHERE id = NEW.user_id;
END;
CREATE TRIGGER sessions_ended_user AFTER DELETE ON sessions BEGIN
	UPDATE users SET sessions = sessions - 1 WHERE id = OLD.user_id;
END;
