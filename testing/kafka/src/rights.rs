//! Rights of users on a broker with an authorizer: given and taken away. The client's safe interface cannot do that, so
//! this file calls librdkafka itself.

use crate::outside::{LONG, Outside};
use rd::rd_kafka_AclOperation_t as Operation;
use rd::rd_kafka_AclPermissionType_t as Permission;
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

const ALL: Operation = Operation::RD_KAFKA_ACL_OPERATION_ALL;
const ALLOW: Permission = Permission::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW;

/// That a user may, or may not, do something.
struct Right<'a> {
    resource: Resource,
    /// Of the resource; `*`: any.
    name: &'a str,
    user: &'a str,
    operation: Operation,
    permission: Permission,
}

impl Outside {
    /// Gives `user` every right on every topic, group and transactional id.
    pub fn allow(&self, user: &str) {
        for resource in RESOURCES {
            self.change(&Right { resource, name: "*", user, operation: ALL, permission: ALLOW }, true);
        }
    }

    /// Takes `user` every right on topics.
    pub fn forbid_topics(&self, user: &str) {
        let resource = Resource::RD_KAFKA_RESOURCE_TOPIC;
        self.change(&Right { resource, name: "*", user, operation: ALL, permission: ALLOW }, false);
    }

    /// Denies `user` to write to one topic, whatever else is allowed.
    pub fn deny_writing(&self, user: &str, topic: &str) {
        let resource = Resource::RD_KAFKA_RESOURCE_TOPIC;
        let operation = Operation::RD_KAFKA_ACL_OPERATION_WRITE;
        let permission = Permission::RD_KAFKA_ACL_PERMISSION_TYPE_DENY;
        self.change(&Right { resource, name: topic, user, operation, permission }, true);
    }

    /// Adds a right, or takes it away.
    fn change(&self, right: &Right<'_>, add: bool) {
        let client = self.admin();
        let client = client.inner().native_ptr();
        let texts = [right.name, &format!("User:{}", right.user), "*"];
        let texts = texts.map(|text| CString::new(text).expect("no zero in it"));
        let [name, principal, host] = texts.each_ref().map(|text| text.as_ptr());
        let pattern = rd::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL;
        let &Right { resource, operation, permission, .. } = right;
        let mut error: [c_char; 256] = [0; 256];
        let (text, length) = (error.as_mut_ptr(), error.len());
        let timeout = i32::try_from(LONG.as_millis()).expect("a minute");
        // SAFETY: the client lives to the end of this function; all texts outlive the calls; `text` has `length` bytes.
        // What is made here is destroyed here, once, behind its last use.
        let code = unsafe {
            let queue = rd::rd_kafka_queue_new(client);
            let mut binding = if add {
                rd::rd_kafka_AclBinding_new(
                    resource, name, pattern, principal, host, operation, permission, text, length,
                )
            } else {
                let new = rd::rd_kafka_AclBindingFilter_new;
                new(resource, name, pattern, principal, host, operation, permission, text, length)
            };
            assert!(!binding.is_null(), "librdkafka knows these rights");
            if add {
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
