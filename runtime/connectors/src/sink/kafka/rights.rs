//! Whether this client's user may write to a topic, as the brokers tell it without anything being written. The client's
//! safe interface does not ask that, so this file calls librdkafka itself.

use crate::kafka::Context;
use rdkafka::admin::AdminClient;
use rdkafka::bindings as rd;
use rdkafka::types::RDKafkaRespErr;
use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

/// Whether it may; `None` where the brokers do not tell, as those of Kafka before 2.3.
pub(super) fn may_write(client: &AdminClient<Context>, topic: &str, within: Duration) -> Option<bool> {
    let topic = CString::new(topic).ok()?;
    let mut names = [topic.as_ptr()];
    let timeout = i32::try_from(within.as_millis()).ok()?;
    let native = client.inner().native_ptr();
    // SAFETY: `client` outlives this function, `topic` outlives the calls that are given `names`. Everything that is made
    // here is destroyed here, once, behind its last use; nothing of the answer is kept.
    unsafe {
        let queue = rd::rd_kafka_queue_new(native);
        let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let operation = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = rd::rd_kafka_AdminOptions_new(native, operation);
        rd::rd_kafka_AdminOptions_set_request_timeout(options, timeout, ptr::null_mut(), 0);
        let refused = rd::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        if !refused.is_null() {
            rd::rd_kafka_error_destroy(refused);
        }
        rd::rd_kafka_DescribeTopics(native, topics, options, queue);
        // The request has a time limit of its own: an answer always comes.
        let event = rd::rd_kafka_queue_poll(queue, timeout.saturating_add(1_000));
        let answer = NonNull::new(event).and_then(|event| {
            let answer = writable(event);
            rd::rd_kafka_event_destroy(event.as_ptr());
            answer
        });
        rd::rd_kafka_AdminOptions_destroy(options);
        rd::rd_kafka_TopicCollection_destroy(topics);
        rd::rd_kafka_queue_destroy(queue);
        answer
    }
}

/// What the answer says of the one topic that was asked for.
///
/// # Safety
/// `event` is a valid event of librdkafka.
unsafe fn writable(event: NonNull<rd::rd_kafka_event_t>) -> Option<bool> {
    const WRITE: rd::rd_kafka_AclOperation_t = rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE;
    // SAFETY: the event is valid, by contract. Results, descriptions and operations belong to it; each is null or an array
    // of as many elements as librdkafka counts, and is not used behind this function.
    unsafe {
        if rd::rd_kafka_event_error(event.as_ptr()) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let result = NonNull::new(rd::rd_kafka_event_DescribeTopics_result(event.as_ptr()).cast_mut())?;
        let mut count = 0;
        let topics = NonNull::new(rd::rd_kafka_DescribeTopics_result_topics(result.as_ptr(), &raw mut count))?;
        let topic = *slice::from_raw_parts(topics.as_ptr(), count).first()?;
        let mut count = 0;
        let operations = rd::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        let operations = NonNull::new(operations.cast_mut())?;
        Some(slice::from_raw_parts(operations.as_ptr(), count).contains(&WRITE))
    }
}
