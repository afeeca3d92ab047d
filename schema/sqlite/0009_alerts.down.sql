DROP TABLE alert_choices;
DROP TABLE alert_problems;
DROP TABLE alert_targets;
DROP TABLE alert_deliveries;
DROP TABLE alerts;
