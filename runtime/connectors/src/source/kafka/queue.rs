//! The queue of one partition, read in batches.
//!
//! The safe interface of `rdkafka` makes an event, a reference count and a message object of every record. Here a call
//! takes up to [`BATCH`] records out of librdkafka's queue under one lock, and their bytes are read where librdkafka
//! has them. This is the only file of the source with unsafe code.

use crate::kafka::Context;
use crate::kafka::PartitionName;
use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// The client of a source.
pub(super) type Consumer = BaseConsumer<Context>;

/// As librdkafka takes names of headers; the same as [`crate::kafka::WATERMARK_HEADER`] and its sibling.
const WATERMARK: &CStr = c"tidemark-watermark";
const ENRICHMENT: &CStr = c"tidemark-enrichment";
const WRITER: &CStr = c"tidemark-writer";

/// Most records taken at once.
const BATCH: usize = 1024;

/// What stands in a queue.
pub(super) enum Message<'a> {
    /// A record, with what lookup tables added to it before. Offsets grow, not always by one.
    Record { offset: u64, payload: &'a [u8], enrichment: Option<&'a [u8]> },
    /// How far event time has come, behind everything before it; with the writer who says so, if there are several.
    Mark { offset: u64, watermark_ms: i64, writer: Option<&'a str> },
    /// There is nothing more for now: everything before `offset` was given.
    End { offset: u64 },
    /// Reading failed, perhaps not for good.
    Error { code: RDKafkaErrorCode, reason: String },
}

/// A partition's queue, and the records that were taken out of it and not yet looked at.
pub(super) struct PartitionQueue {
    /// Keeps the client, whose queue and messages these are, alive until they are destroyed.
    _consumer: Arc<Consumer>,
    queue: NonNull<rd::rd_kafka_queue_t>,
    /// Taken messages. Those from `next` on are owned by this struct; those before have been destroyed.
    messages: Vec<NonNull<rd::rd_kafka_message_t>>,
    next: usize,
    /// Where librdkafka writes: as long as `messages` can be.
    taken: Box<[*mut rd::rd_kafka_message_t]>,
    /// Whether records are cleansed events, whose headers say more of them.
    cleansed: bool,
}

// SAFETY: librdkafka's queues and messages belong to no thread; all functions on them may be called from any, and
// `&mut self` sees to it that only one calls at a time.
unsafe impl Send for PartitionQueue {}

impl PartitionQueue {
    /// Separates the queue of a partition from that of the client. To be called before the partition is assigned: then
    /// every record of it comes here, and none to the client's queue. `None` if librdkafka does not know such a
    /// partition.
    pub(super) fn open(consumer: &Arc<Consumer>, name: &PartitionName, cleansed: bool) -> Option<Self> {
        let topic = CString::new(name.topic.as_str()).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as `consumer`, `topic` is a C string that outlives the call. The result is
        // null or a queue that we own.
        let queue = unsafe { rd::rd_kafka_queue_get_partition(client, topic.as_ptr(), name.number) };
        let queue = NonNull::new(queue)?;
        // SAFETY: the queue is valid; forwarding to null means "to nowhere", and marks it as forwarded by us, so that
        // assigning the partition leaves it alone.
        unsafe { rd::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        Some(Self {
            _consumer: Arc::clone(consumer),
            queue,
            messages: Vec::with_capacity(BATCH),
            next: 0,
            taken: vec![ptr::null_mut(); BATCH].into_boxed_slice(),
            cleansed,
        })
    }

    /// Takes more messages out of the queue, without waiting, if none is left. Whether there are any.
    pub(super) fn fetch(&mut self) -> bool {
        if self.next < self.messages.len() {
            return true;
        }
        self.messages.clear();
        self.next = 0;
        // SAFETY: the queue is valid; `taken` has room for as many pointers as it has length. The result is how many
        // were written, or -1.
        let count = unsafe {
            rd::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, self.taken.as_mut_ptr(), self.taken.len())
        };
        let count = usize::try_from(count).unwrap_or(0);
        self.messages.extend(self.taken[..count].iter().filter_map(|&message| NonNull::new(message)));
        !self.messages.is_empty()
    }

    /// The oldest message that was fetched and not removed.
    pub(super) fn first(&self) -> Option<Message<'_>> {
        let message = self.messages.get(self.next)?;
        // SAFETY: messages from `next` on are ours and not destroyed; the reference does not outlive `&self`, and
        // destroying takes `&mut self`.
        let message = unsafe { message.as_ref() };
        let offset = u64::try_from(message.offset).unwrap_or(0);
        Some(match message.err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {
                let payload = match NonNull::new(message.payload.cast::<u8>()) {
                    // SAFETY: a message without an error has `len` bytes at `payload`, until it is destroyed.
                    Some(payload) => unsafe { std::slice::from_raw_parts(payload.as_ptr(), message.len) },
                    None => &[],
                };
                if self.cleansed {
                    cleansed(message, offset, payload)
                } else {
                    Message::Record { offset, payload, enrichment: None }
                }
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => Message::End { offset },
            error => Message::Error { code: error.into(), reason: reason(message) },
        })
    }

    /// Removes it.
    pub(super) fn pop(&mut self) {
        if let Some(message) = self.messages.get(self.next) {
            self.next += 1;
            // SAFETY: it is ours and not destroyed, and from now on it lies before `next`.
            unsafe { rd::rd_kafka_message_destroy(message.as_ptr()) };
        }
    }
}

/// A record that a job of cleansing wrote: an event, or a mark.
fn cleansed<'a>(message: &'a rd::rd_kafka_message_t, offset: u64, payload: &'a [u8]) -> Message<'a> {
    let watermark_ms = || std::str::from_utf8(header(message, WATERMARK)?).ok()?.parse::<i64>().ok();
    match watermark_ms() {
        Some(watermark_ms) if payload.is_empty() => {
            let writer = header(message, WRITER).and_then(|writer| std::str::from_utf8(writer).ok());
            Message::Mark { offset, watermark_ms, writer }
        }
        _ => Message::Record { offset, payload, enrichment: header(message, ENRICHMENT) },
    }
}

/// The value of a header.
fn header<'a>(message: &'a rd::rd_kafka_message_t, name: &CStr) -> Option<&'a [u8]> {
    let mut headers = ptr::null_mut();
    // SAFETY: the message is valid, and nobody else uses it meanwhile. What is written, if anything, belongs to the
    // message and lives as long as it does.
    let error = unsafe { rd::rd_kafka_message_headers(message, &raw mut headers) };
    (error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then_some(())?;
    let (mut value, mut length) = (ptr::null(), 0);
    // SAFETY: the headers are valid, see above; `name` is a C string. What is written belongs to the headers.
    let error = unsafe { rd::rd_kafka_header_get_last(headers, name.as_ptr(), &raw mut value, &raw mut length) };
    (error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then_some(())?;
    let value = NonNull::new(value.cast_mut().cast::<u8>())?;
    // SAFETY: a value that is not null has `length` bytes, which live as long as the message.
    Some(unsafe { std::slice::from_raw_parts(value.as_ptr(), length) })
}

/// What librdkafka says about an error: a message with an error has it as its payload.
fn reason(message: &rd::rd_kafka_message_t) -> String {
    // SAFETY: the message is valid; the result is null or a C string that lives as long as the message.
    let text = unsafe { rd::rd_kafka_message_errstr(message) };
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, see above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        while self.next < self.messages.len() {
            self.pop();
        }
        // SAFETY: it is ours, no message of it is left here, and the client still lives: fields are dropped later.
        unsafe { rd::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// The end of a partition as the last fetch told it, without asking a broker. `None` where nothing was fetched yet.
pub(super) fn known_end(consumer: &Consumer, name: &PartitionName) -> Option<u64> {
    let topic = CString::new(name.topic.as_str()).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client lives as long as `consumer`; `topic` and both numbers outlive the call.
    let error = unsafe {
        rd::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            name.number,
            &raw mut low,
            &raw mut high,
        )
    };
    (error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then_some(())?;
    u64::try_from(high).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{ENRICHMENT_HEADER, WATERMARK_HEADER, WRITER_HEADER};

    #[test]
    fn headers_are_read_under_the_names_that_they_are_written_under() {
        assert_eq!(WATERMARK.to_str(), Ok(WATERMARK_HEADER));
        assert_eq!(ENRICHMENT.to_str(), Ok(ENRICHMENT_HEADER));
        assert_eq!(WRITER.to_str(), Ok(WRITER_HEADER));
    }
}
