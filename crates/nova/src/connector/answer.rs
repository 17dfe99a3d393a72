//! What Kafka Connect's REST interface answers.
//!
//! Invariant: what Nova does not need is not read, so that newer Connects may say more.

use serde::Deserialize;
use serde_json::Value;

/// The state of a connector and its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The connector.
    pub connector: Part,
    /// Its tasks.
    pub tasks: Vec<Part>,
}

/// The state of a connector or a task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Part {
    /// `RUNNING`, `FAILED`, `PAUSED`, `STOPPED`, `RESTARTING` or `UNASSIGNED`.
    pub state: String,
    /// The worker's REST address.
    #[serde(default)]
    pub worker_id: String,
    /// The Java stack trace of what it failed with.
    pub trace: Option<String>,
}

/// What Connect finds wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The setting.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

/// What Connect says to settings that it was asked to check.
#[derive(Deserialize)]
pub(super) struct Validated {
    configs: Vec<ValidatedSetting>,
}

#[derive(Deserialize)]
struct ValidatedSetting {
    value: ValidatedValue,
}

#[derive(Deserialize)]
struct ValidatedValue {
    name: String,
    #[serde(default)]
    errors: Vec<String>,
}

impl Validated {
    pub(super) fn findings(self) -> Vec<Finding> {
        let values = self.configs.into_iter().map(|setting| setting.value);
        values
            .flat_map(|ValidatedValue { name, errors }| {
                errors.into_iter().map(move |message| Finding { key: name.clone(), message })
            })
            .collect()
    }
}

/// Connect's own words out of `{"error_code": …, "message": …}`; else the beginning of what came.
pub(super) fn message_in(text: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let message =
        parsed.as_ref().and_then(|value| value.get("message")).and_then(Value::as_str).unwrap_or(text);
    message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_from_a_validation() {
        // As Connect 4.3.1 answered, shortened.
        let answer = r#"{"name":"io.debezium.connector.postgresql.PostgresConnector","error_count":1,"groups":[],
            "configs":[{"definition":{},"value":{"name":"slot.name","value":"s","recommended_values":[],"errors":[],
            "visible":true}},{"definition":{},"value":{"name":"snapshot.mode","value":"xx","recommended_values":[],
            "errors":["The 'snapshot.mode' value is invalid"],"visible":true}}]}"#;
        let validated: Validated = serde_json::from_str(answer).unwrap();
        let message = "The 'snapshot.mode' value is invalid".to_owned();
        assert_eq!(validated.findings(), [Finding { key: "snapshot.mode".into(), message }]);
    }

    #[test]
    fn messages_are_connects_own_words() {
        assert_eq!(message_in(r#"{"error_code":400,"message":"two\n lines"}"#), "two lines");
        assert_eq!(message_in("<html>proxy</html>"), "<html>proxy</html>");
    }
}
