DROP INDEX ended_sessions_device;
DROP INDEX sessions_device;
ALTER TABLE ended_sessions DROP COLUMN device_id;
ALTER TABLE sessions DROP COLUMN device_id;
DROP TABLE devices;
