DROP TABLE session_hosts;
DROP TABLE rule_groups;
DROP TABLE rules;
