//! What an error of Kafka means for the job: wait, or stop and say what a person can do.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It goes away by itself: a broker is restarted, a leader changes, the network is slow.
    Wait,
    /// It does not.
    Stop,
}

impl Verdict {
    /// On an error. What is not known to be final is tried again: whoever tries bounds that.
    pub(crate) fn of(code: Code) -> Self {
        if advice(code).is_empty() { Self::Wait } else { Self::Stop }
    }
}

/// What a person can do about an error that does not go away; empty for one that does.
pub(crate) fn advice(code: Code) -> &'static str {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "check the user, the password and the mechanism (`sasl.*`), and start again"
        }
        Code::UnsupportedSASLMechanism | Code::IllegalSASLState => {
            "set `sasl.mechanism` to one that the brokers offer, and start again"
        }
        Code::TopicAuthorizationFailed => "give this user the right to read or write the topic, and start again",
        Code::GroupAuthorizationFailed => "give this user the right to use the consumer group, and start again",
        Code::ClusterAuthorizationFailed => "give this user the right to it on the cluster, and start again",
        Code::TransactionalIdAuthorizationFailed => {
            "give this user the rights Write and Describe on the transactional id, and start again"
        }
        Code::DelegationTokenAuthorizationFailed => "renew the delegation token, and start again",
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "the topic or the partition is not there: create it, or take it out of the configuration, and start again"
        }
        Code::InvalidTopic => "that is no name of a topic: use letters, digits, '.', '_' and '-' only, 249 at most",
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => {
            "raise `max.message.bytes` of the topic (and `message.max.bytes` in the properties), and start again"
        }
        Code::InvalidTransactionTimeout => {
            "lower `transaction_timeout_ms`, or raise `transaction.max.timeout.ms` of the brokers, and start again"
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature => "use brokers of Apache Kafka 2.5 or later",
        Code::InvalidRecord => "the topic refuses the record: check its settings (a compacted topic needs keys)",
        Code::PolicyViolation => "a policy of the cluster forbids it: ask whoever runs it",
        Code::SecurityDisabled => "the brokers have no security: take `security.protocol` and `sasl.*` out",
        _ => "",
    }
}

/// The code of an error, where it has one.
pub(crate) fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restart_of_a_broker_causes_is_waited_for() {
        for code in [
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::OperationTimedOut,
            Code::NotLeaderForPartition,
            Code::LeaderNotAvailable,
            Code::CoordinatorNotAvailable,
            Code::NotCoordinator,
            Code::Resolve,
        ] {
            assert_eq!(Verdict::of(code), Verdict::Wait, "{code:?}");
        }
        assert_eq!(Verdict::of(Code::TopicAuthorizationFailed), Verdict::Stop);
    }
}
