//! Properties of librdkafka as a configuration gives them: passed through, except those that the connector must own.
//!
//! A secret need not stand in the configuration: `"sasl.password_env" = "KAFKA_PASSWORD"` takes it from the environment,
//! `"ssl.key.password_file" = "secrets/key"` from a file, for any property. Secrets are never shown, wherever they come
//! from.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tidemark_engine::ports::PortError;

/// Properties by name, as librdkafka spells them. The dots of a name may also be written as those of nested tables.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(from = "BTreeMap<String, Node>")]
pub struct Properties(BTreeMap<String, Value>);

/// A value, or properties whose names begin alike.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a text, a number, true or false")]
enum Node {
    Value(Value),
    Table(BTreeMap<String, Node>),
}

impl From<BTreeMap<String, Node>> for Properties {
    fn from(nodes: BTreeMap<String, Node>) -> Self {
        let mut properties = BTreeMap::new();
        flatten("", nodes, &mut properties);
        Self(properties)
    }
}

fn flatten(prefix: &str, nodes: BTreeMap<String, Node>, properties: &mut BTreeMap<String, Value>) {
    for (name, node) in nodes {
        let name = format!("{prefix}{name}");
        match node {
            Node::Value(value) => drop(properties.insert(name, value)),
            Node::Table(inner) => flatten(&format!("{name}."), inner, properties),
        }
    }
}

/// A value: TOML has types where librdkafka has texts.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Value {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

/// A property that the connector sets itself, and why nobody else may.
pub(crate) type Owned = (&'static str, &'static str);

/// Ends of names that say where the value is.
const FROM_ENVIRONMENT: &str = "_env";
const FROM_FILE: &str = "_file";

/// Most bytes of a value in a file: certificates and keys are far smaller.
const MOST_BYTES: u64 = 1 << 20;

/// Parts of the names of secrets.
const SECRET: [&str; 8] =
    ["password", "secret", "key.pem", "token", "jaas", "oauthbearer.config", "private.key", "passphrase"];

impl Properties {
    /// With a property.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), Value::Text(value.to_owned()));
        self
    }

    /// What is wrong with the names, without looking at the environment or at files. `section` is where they stand.
    pub(crate) fn mistakes(&self, section: &str, owned: &[Owned]) -> Vec<String> {
        let mut mistakes = Vec::new();
        for name in self.0.keys() {
            let base = base_name(name);
            if let Some((_, reason)) = owned.iter().find(|(owned, _)| *owned == base) {
                mistakes.push(format!("{section}.{name}: {reason}"));
            }
            if base != name && self.0.contains_key(base) {
                mistakes.push(format!("{section}.{name}: \"{base}\" is there as well: keep one of the two"));
            }
        }
        mistakes
    }

    /// Files with values are found from this folder, where their paths are relative.
    pub fn files_beside(&mut self, folder: &Path) {
        for (name, value) in &mut self.0 {
            if name.ends_with(FROM_FILE)
                && let Value::Text(path) = value
            {
                *path = folder.join(&*path).display().to_string();
            }
        }
    }

    /// What is missing of the variables and the files that values come from, `section` being where they stand.
    #[must_use]
    pub fn missing(&self, section: &str, environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        let mut missing = Vec::new();
        for (name, value) in &self.0 {
            let value = value.to_string();
            if name.ends_with(FROM_ENVIRONMENT) && environment(&value).is_none() {
                missing.push(format!("{section}.{name}: the environment has no variable {value}: set it"));
            }
            if name.ends_with(FROM_FILE)
                && let Err(error) = File::open(&value)
            {
                missing.push(format!("{section}.{name}: cannot read {value}: {error}"));
            }
        }
        missing
    }

    /// What a client of `brokers` is told that has no wishes of its own, and the secrets in it.
    pub(crate) fn client(&self, brokers: &[String]) -> Result<(ClientConfig, Secrets), PortError> {
        let mut config = ClientConfig::new();
        config.set("client.id", "tidemark");
        let secrets = self.apply(&mut config).map_err(PortError::Stop)?;
        config.set("bootstrap.servers", brokers.join(",")).set("allow.auto.create.topics", "false");
        Ok((config, secrets))
    }

    /// Sets them on `config`. The error says what to do; it shows no value.
    pub(crate) fn apply(&self, config: &mut ClientConfig) -> Result<Secrets, String> {
        let mut secrets = Secrets::default();
        for (name, value) in &self.0 {
            let base = base_name(name);
            let value = match (name.strip_prefix(base), value) {
                (Some(FROM_ENVIRONMENT), variable) => from_environment(name, &variable.to_string())?,
                (Some(FROM_FILE), path) => from_file(name, &path.to_string())?,
                _ => value.to_string(),
            };
            if base != name || is_secret(base) {
                secrets.add(&value);
            }
            config.set(base, value);
        }
        Ok(secrets)
    }
}

/// The name of the property itself.
fn base_name(name: &str) -> &str {
    name.strip_suffix(FROM_ENVIRONMENT).or_else(|| name.strip_suffix(FROM_FILE)).unwrap_or(name)
}

fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|part| name.contains(part))
}

fn from_environment(name: &str, variable: &str) -> Result<String, String> {
    std::env::var(variable).map_err(|_| {
        format!("the property \"{name}\" names the environment variable {variable}, which is not set: set it, and start again")
    })
}

fn from_file(name: &str, path: &str) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
    read.map_err(|error| {
        format!("the property \"{name}\" names the file {path}, which cannot be read ({error}): put it there, and start again")
    })?;
    // Editors end files with a line break that is no part of a password; one within a key stays.
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str, value: &Value| {
            if is_secret(name) && base_name(name) == name { "[hidden]".to_owned() } else { value.to_string() }
        };
        f.debug_map().entries(self.0.iter().map(|(name, value)| (name, shown(name, value)))).finish()
    }
}

/// Values that no message may show.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    fn add(&mut self, value: &str) {
        if !value.is_empty() {
            self.0.push(value.to_owned());
        }
    }

    /// `message` without them.
    pub(crate) fn hide(&self, message: &str) -> String {
        self.0.iter().fold(message.to_owned(), |message, secret| message.replace(secret.as_str(), "[hidden]"))
    }

    /// What a refused configuration means. librdkafka repeats the value that it refuses, which may be a part of a secret.
    pub(crate) fn refused(&self, error: &KafkaError) -> String {
        match error {
            KafkaError::ClientConfig(_, reason, name, _) => {
                format!("librdkafka refuses the property \"{name}\": {}; see its list of properties", self.hide(reason))
            }
            other => self.hide(&other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const OWNED: [Owned; 1] = [("group.id", "set `group` instead")];

    fn properties(json: &str) -> Properties {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn types_become_texts_and_secrets_are_found_where_they_are() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"from a file\n").unwrap();
        let path = file.path().display();
        // Every process has a path.
        let text = format!(
            r#"{{"fetch.min.bytes": 7, "enable.sasl.oauthbearer.unsecure.jwt": false, "queue.buffering.max.ms": 0.5,
                "sasl.password_env": "PATH", "ssl.key.password_file": "{path}"}}"#
        );
        let properties = properties(&text);
        assert_eq!(properties.mistakes("p", &OWNED), Vec::<String>::new());
        let mut config = ClientConfig::new();
        let secrets = properties.apply(&mut config).unwrap();
        assert_eq!(config.get("fetch.min.bytes"), Some("7"));
        assert_eq!(config.get("enable.sasl.oauthbearer.unsecure.jwt"), Some("false"));
        assert_eq!(config.get("queue.buffering.max.ms"), Some("0.5"));
        assert_eq!(config.get("sasl.password"), std::env::var("PATH").ok().as_deref());
        assert_eq!(config.get("ssl.key.password"), Some("from a file"));
        assert_eq!(secrets.hide("not from a file!"), "not [hidden]!");
    }

    #[test]
    fn dots_may_be_those_of_tables() {
        let flat = properties(r#"{"sasl.mechanism": "PLAIN", "sasl.password_env": "X", "ssl.key.pem": "y"}"#);
        assert!(
            properties(r#"{"sasl": {"mechanism": "PLAIN", "password_env": "X"}, "ssl.key": {"pem": "y"}}"#) == flat
        );
        let error = serde_json::from_str::<Properties>(r#"{"sasl": ["x"]}"#).unwrap_err().to_string();
        assert!(error.contains("must be a text"), "{error}");
    }

    #[test]
    fn what_is_owned_or_said_twice_is_a_mistake() {
        let found =
            properties(r#"{"group.id": "a", "group.id_env": "B", "sasl.password": "x", "sasl.password_env": "Y"}"#)
                .mistakes("source.properties", &OWNED);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[0], "source.properties.group.id: set `group` instead");
        assert!(found[3].contains("keep one of the two"), "{found:?}");
    }

    #[test]
    fn what_values_come_from_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("there"), "x").unwrap();
        let mut properties = properties(
            r#"{"a.b_env": "SET", "c_env": "NOT_SET", "d_file": "there", "e_file": "not_there", "f": "not_there"}"#,
        );
        properties.files_beside(folder.path());
        let environment = |name: &str| (name == "SET").then(|| "x".to_owned());
        let missing = properties.missing("p", &environment);
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert!(missing[0].starts_with("p.c_env: ") && missing[1].starts_with("p.e_file: "), "{missing:?}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let properties = properties(r#"{"sasl.username": "me", "sasl.password": "hunter2", "ssl.key.pem": "pem"}"#);
        let shown = format!("{properties:?}");
        assert!(shown.contains("me") && !shown.contains("hunter2") && !shown.contains("\"pem\""), "{shown}");
        let missing =
            Properties::default().with("sasl.password_env", "TIDEMARK_NOT_SET").apply(&mut ClientConfig::new());
        assert!(missing.err().unwrap().contains("TIDEMARK_NOT_SET"));
    }
}
