DROP TRIGGER sessions_begun_total;
DROP TRIGGER sessions_ended_total;
DROP TABLE session_total;
