-- How many sessions live, for each list: counting them takes longer than a page of it.
CREATE TABLE session_total (
	sessions INTEGER NOT NULL -- of the only row; triggers count
) STRICT;

INSERT INTO session_total SELECT count(*) FROM sessions;

CREATE TRIGGER sessions_begun_total AFTER INSERT ON sessions BEGIN
	UPDATE session_total SET sessions = sessions + 1;
END;
CREATE TRIGGER sessions_ended_total AFTER DELETE ON sessions BEGIN
	UPDATE session_total SET sessions = sessions - 1;
END;
