//! A connection to a cluster as seen from outside: whether brokers answer, and what made it hopeless.
//!
//! librdkafka connects again by itself for ever. This file turns its callbacks into state that others look at, logs a
//! lost connection once and its return once, and keeps secrets out of what it logs.

use super::error::{Verdict, advice, code_of};
use super::properties::Secrets;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::sync::{Arc, Mutex, OnceLock};
use tidemark_engine::ports::PortError;
use tidemark_engine::telemetry::Gauge;

/// The state of one or more clients of the same cluster.
pub(crate) struct Connection {
    /// Who connects, for messages: `source`, `sink orders`.
    owner: String,
    secrets: Secrets,
    /// 1 while brokers answer.
    connected: Gauge,
    /// Whether they ever did.
    ever: OnceLock<()>,
    /// What the last lost connection was lost by.
    reason: Mutex<String>,
    hopeless: OnceLock<String>,
    /// The first message that a broker refused for good or that was not delivered in time.
    undelivered: Mutex<Option<Code>>,
}

impl Connection {
    pub(crate) fn new(owner: &str, secrets: Secrets) -> Arc<Self> {
        Arc::new(Self {
            owner: owner.to_owned(),
            secrets,
            connected: Gauge::default(),
            ever: OnceLock::new(),
            reason: Mutex::default(),
            hopeless: OnceLock::new(),
            undelivered: Mutex::default(),
        })
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Whether brokers answer.
    pub(crate) fn is_up(&self) -> bool {
        self.connected.get() == 1
    }

    /// A broker has answered.
    pub(crate) fn up(&self) {
        if self.connected.get() == 1 {
            return;
        }
        self.connected.set(1);
        if self.ever.set(()).is_err() {
            tracing::info!(owner = self.owner, "Kafka answers again");
        }
    }

    /// No broker answers.
    pub(crate) fn down(&self, reason: &str) {
        let reason = self.secrets.hide(reason);
        if self.connected.get() == 1 {
            self.connected.set(0);
            tracing::warn!(owner = self.owner, reason, "Kafka does not answer as it should; trying on until it does");
        }
        if let Ok(mut kept) = self.reason.lock() {
            *kept = reason;
        }
    }

    /// What an operation that was just tried says about the connection, as an error of the port.
    pub(crate) fn error(&self, action: &str, error: &KafkaError) -> PortError {
        if let Some(hopeless) = self.hopeless.get() {
            return PortError::Stop(hopeless.clone());
        }
        let code = code_of(error);
        let detail = match (code, self.reason.lock()) {
            (
                Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve),
                Ok(reason),
            ) if !reason.is_empty() => format!("{error} ({reason})"),
            _ => self.secrets.hide(&error.to_string()),
        };
        match code.map(advice) {
            Some(advice) if !advice.is_empty() => {
                PortError::Stop(format!("Kafka {}: cannot {action}: {detail}; {advice}", self.owner))
            }
            _ => PortError::Retry(format!(
                "Kafka {}: cannot {action}: {detail}; check that the brokers run and that `brokers` names them",
                self.owner
            )),
        }
    }

    /// Why there is no use in going on, if so.
    pub(crate) fn hopeless(&self) -> Option<PortError> {
        self.hopeless.get().map(|message| PortError::Stop(message.clone()))
    }

    /// The first message that was not delivered since this was last asked.
    pub(crate) fn take_undelivered(&self) -> Option<Code> {
        self.undelivered.lock().ok()?.take()
    }

    /// An error that concerns the client and not one operation.
    fn global(&self, error: &KafkaError, reason: &str) {
        let code = code_of(error);
        // A broker that dies while it shakes hands looks like one with a wrong certificate. Only at the start can it
        // be told apart: a certificate that was good once does not fail from one moment to the next.
        let bad_certificate = code == Some(Code::SSL) && self.ever.get().is_none();
        match code {
            // A group is asked for only now and then; who does so hears of it.
            Some(Code::GroupAuthorizationFailed) => {}
            Some(code) if Verdict::of(code) == Verdict::Stop || bad_certificate => {
                let advice = match advice(code) {
                    "" => "check `security.protocol` and `ssl.*`, and start again",
                    advice => advice,
                };
                let reason = self.secrets.hide(reason);
                let message = format!("Kafka {}: the brokers refuse this client: {reason}; {advice}", self.owner);
                // The first reason is the one that counts.
                let _ = self.hopeless.set(message);
            }
            Some(Code::AllBrokersDown) => self.down(&self.last_reason(reason)),
            _ => {
                if let Ok(mut kept) = self.reason.lock() {
                    *kept = self.secrets.hide(reason);
                }
            }
        }
    }

    /// "All brokers are down" says less than what one of them said before.
    fn last_reason(&self, otherwise: &str) -> String {
        let kept = self.reason.lock().map(|kept| kept.clone()).unwrap_or_default();
        if kept.is_empty() { otherwise.to_owned() } else { kept }
    }
}

/// What librdkafka calls back.
#[derive(Clone)]
pub(crate) struct Context(pub(crate) Arc<Connection>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Lost connections are logged once, by `Connection`; librdkafka says so once a second and broker.
        tracing::debug!(?level, facility, message = self.0.secrets.hide(message), "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.global(&error, reason);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            // Only tools that show lag read it.
            tracing::debug!(owner = self.0.owner, %error, "the consumer group was not told how far the job is");
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, _)) = result else { return };
        let code = code_of(error).unwrap_or(Code::Fail);
        // Who purges the queue knows.
        if !matches!(code, Code::PurgeQueue | Code::PurgeInflight)
            && let Ok(mut first) = self.0.undelivered.lock()
        {
            first.get_or_insert(code);
        }
    }
}
