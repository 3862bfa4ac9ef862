//! Rights of users on a broker with an authorizer: given and taken away. The client's safe interface cannot do that, so
//! this file calls librdkafka itself.

use crate::outside::{LONG, Outside};
use rd::rd_kafka_ResourceType_t as Resource;
use rdkafka::bindings as rd;
use rdkafka::types::RDKafkaRespErr;
use std::ffi::{CString, c_char};
use std::ptr;

/// What rights are on: everything of these kinds.
const RESOURCES: [Resource; 3] = [
    Resource::RD_KAFKA_RESOURCE_TOPIC,
    Resource::RD_KAFKA_RESOURCE_GROUP,
    Resource::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
];

impl Outside {
    /// Gives `user` every right on every topic, group and transactional id.
    pub fn allow(&self, user: &str) {
        for resource in RESOURCES {
            self.change(resource, user, true);
        }
    }

    /// Takes `user` every right on topics.
    pub fn forbid_topics(&self, user: &str) {
        self.change(Resource::RD_KAFKA_RESOURCE_TOPIC, user, false);
    }

    fn change(&self, resource: Resource, user: &str, allow: bool) {
        let client = self.admin();
        let client = client.inner().native_ptr();
        let texts = ["*", &format!("User:{user}"), "*"].map(|text| CString::new(text).expect("no zero in it"));
        let [name, principal, host] = texts.each_ref().map(|text| text.as_ptr());
        let pattern = rd::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL;
        let operation = rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ALL;
        let permission = rd::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW;
        let mut error: [c_char; 256] = [0; 256];
        let (text, length) = (error.as_mut_ptr(), error.len());
        let timeout = i32::try_from(LONG.as_millis()).expect("a minute");
        // SAFETY: the client lives to the end of this function; all texts outlive the calls; `text` has `length` bytes.
        // What is made here is destroyed here, once, behind its last use.
        let code = unsafe {
            let queue = rd::rd_kafka_queue_new(client);
            let mut binding = if allow {
                rd::rd_kafka_AclBinding_new(
                    resource, name, pattern, principal, host, operation, permission, text, length,
                )
            } else {
                let new = rd::rd_kafka_AclBindingFilter_new;
                new(resource, name, pattern, principal, host, operation, permission, text, length)
            };
            assert!(!binding.is_null(), "librdkafka knows these rights");
            if allow {
                rd::rd_kafka_CreateAcls(client, &raw mut binding, 1, ptr::null(), queue);
            } else {
                rd::rd_kafka_DeleteAcls(client, &raw mut binding, 1, ptr::null(), queue);
            }
            let event = rd::rd_kafka_queue_poll(queue, timeout);
            assert!(!event.is_null(), "an answer");
            let code = rd::rd_kafka_event_error(event);
            rd::rd_kafka_event_destroy(event);
            rd::rd_kafka_AclBinding_destroy(binding);
            rd::rd_kafka_queue_destroy(queue);
            code
        };
        assert_eq!(code, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    }
}
