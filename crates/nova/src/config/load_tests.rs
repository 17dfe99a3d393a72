//! Where settings come from, which of them wins, and what is said of a wrong one.

use std::io::Write;

use super::*;

fn load(toml: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Loaded, ConfigError> {
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    file.write_all(toml.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Loaded::load_from(Some(file.path()), variables, &flags)
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let toml = "[kafka]\nbrokers = \"file:1\"\ngroup_prefix = \"file\"\n[postgres]\nport = 1\n";
    let variables = [("NOVA_KAFKA_BROKERS", "env:1"), ("NOVA_POSTGRES_PORT", "2"), ("HOME", "/")];
    let loaded = load(toml, &variables, &["postgres.port=3"]).unwrap();
    assert_eq!(loaded.config.kafka.group_prefix, "file");
    assert_eq!(loaded.config.kafka.brokers, "env:1");
    assert_eq!(loaded.config.postgres.port, 3);
    assert_eq!(loaded.origins.of("kafka.brokers"), "environment NOVA_KAFKA_BROKERS");
    assert_eq!(loaded.origins.of("postgres.port"), "flag --set");
    assert_eq!(loaded.origins.of("postgres.host"), "default");
    assert!(loaded.origins.of("kafka.group_prefix").ends_with(".toml"));
}

#[test]
fn passwords_stay_texts_and_stay_hidden() {
    let loaded = load("", &[("NOVA_POSTGRES_PASSWORD", "007")], &[]).unwrap();
    assert_eq!(loaded.config.postgres.password.expose(), "007");
    assert!(!format!("{:?}", loaded.config).contains("007"));
}

#[test]
fn what_is_wrong_with_a_secret_is_told_without_it() {
    for toml in [
        "[postgres]\npassword = 8675309\n",
        "[clickhouse]\npassword = [\"8675309\"]\n",
        "[clickhouse]\npassword = \"8675309\nurl = \"x\"\n",
        "[kafka.librdkafka]\n\"sasl.password\" = 8675309\n",
    ] {
        let error = load(toml, &[], &[]).err().unwrap().to_string();
        assert!(error.contains(".toml") && !error.contains("8675309"), "{error}");
    }
    let error = load("[kafka\nbrokers = 1\n", &[], &[]).err().unwrap().to_string();
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn settings_that_hold_a_secret_by_their_nature_are_hidden() {
    let flags = [
        "connect.extra.database.password=8675309",
        "connect.extra.producer.override.sasl.jaas.config=\"Login required password=8675309;\"",
        "kafka.librdkafka.ssl.key.password=8675309",
        "kafka.librdkafka.ssl.key.pem=8675309",
    ];
    let loaded = load("", &[], &flags).unwrap();
    assert!(
        loaded.listing().iter().all(|(_, value, _)| !value.contains("8675309")),
        "{:?}",
        loaded.listing()
    );
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    let in_file = load("[kafka]\nbroker = \"x\"\n", &[], &[]).err().unwrap().to_string();
    assert!(in_file.contains("broker") && in_file.contains(".toml"), "{in_file}");
    let variable = load("", &[("NOVA_KAFAK_BROKERS", "x")], &[]).err().unwrap().to_string();
    assert!(variable.contains("NOVA_KAFAK_BROKERS"), "{variable}");
    assert!(load("", &[("NOVA_KAFKA_BROKER", "x")], &[]).is_err());
    assert!(load("", &[], &["kafka.broker=x"]).is_err());
    assert!(load("", &[], &["kafka.brokers"]).is_err());
}

#[test]
fn a_wrong_type_names_key_and_origin() {
    let error = load("", &[("NOVA_POSTGRES_PORT", "many")], &[]).err().unwrap().to_string();
    assert!(error.contains("postgres.port") && error.contains("environment"), "{error}");
}

#[test]
fn opentelemetrys_own_variables_stand_below_the_file() {
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SERVICE_NAME", "n")];
    let loaded = load("[telemetry]\nservice_name = \"file\"\n", &variables, &[]).unwrap();
    assert_eq!(loaded.config.telemetry.otlp_endpoint, "http://c:4318");
    assert_eq!(loaded.origins.of("telemetry.otlp_endpoint"), "environment OTEL_EXPORTER_OTLP_ENDPOINT");
    assert_eq!(loaded.config.telemetry.service_name, "file");
    let loaded = load("", &[("NOVA_TELEMETRY_OTLP_HEADERS", "authorization=007")], &[]).unwrap();
    assert_eq!(loaded.config.telemetry.otlp_headers.expose(), "authorization=007");
    assert!(loaded.listing().iter().all(|(_, value, _)| !value.contains("007")));
}

#[test]
fn keys_of_librdkafka_keep_their_dots() {
    let loaded = load("", &[], &["kafka.librdkafka.ssl.key.location=nova.pem"]).unwrap();
    assert_eq!(loaded.config.kafka.librdkafka["ssl.key.location"], "nova.pem");
}

#[test]
fn the_example_lists_every_setting_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/nova.toml");
    let text = fs::read_to_string(&path).unwrap();
    let plain = Loaded::load_from(Some(&path), std::iter::empty(), &[]).unwrap().listing();
    let uncommented: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
        .filter(|line| {
            !line.contains("_file = ") && !line.starts_with("instance_id") && !line.starts_with('"')
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let spelled_out = load(&uncommented, &[], &[]).unwrap().listing();
    for (key, value, _) in plain.iter().filter(|(key, ..)| key != "streams") {
        let found = spelled_out.iter().find(|(other, ..)| other == key);
        let (_, stated, origin) = found.unwrap();
        assert_eq!(stated, value, "{key}");
        assert!(origin.ends_with(".toml"), "{key} is not listed in config/nova.toml");
    }
}
