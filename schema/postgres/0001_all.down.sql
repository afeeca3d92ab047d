DROP TABLE alert_choices, alert_problems, alert_targets, alert_deliveries, alerts, links, pending_signins, recovery_codes, passkey_challenges, passkeys, totps, servers, settings, rules_version, rule_groups, rules, known_networks, login_attempts, login_failures, events,
	session_hosts, app_codes, app_sessions, ended_sessions, session_counts, sessions, devices, user_agents, tokens, user_groups, groups, users;
DROP FUNCTION count_agent(), count_rules_version(), count_sessions(), write_member_of();
