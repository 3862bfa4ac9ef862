//! What a test does to a broker from outside, with a client of its own: topics, records put in, and records read back as
//! another consumer sees them.
//!
//! Everything panics where it fails: tests of others stand on it.

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longer than any wait should take; no test waits for it to pass.
pub const LONG: Duration = Duration::from_secs(60);

/// How long a reader waits for partitions in which a transaction is open.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// A broker seen from outside.
#[derive(Clone, Debug)]
pub struct Outside {
    /// What clients take as `bootstrap.servers`.
    pub address: String,
}

/// A record as another consumer sees it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seen {
    /// Number of its partition.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// Its key, if it has one.
    pub key: Option<String>,
    /// Its value; empty where there is none.
    pub value: String,
    /// Its headers; of several with one name the last.
    pub headers: BTreeMap<String, String>,
}

/// A name that no other test of this process has.
#[must_use]
pub fn fresh(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Outside {
    /// The one that clients reach at `address`.
    #[must_use]
    pub fn new(address: String) -> Self {
        Self { address }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    /// A client for changes to the cluster.
    #[must_use]
    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client")
    }

    /// A new topic of a name that nobody else has.
    #[must_use]
    pub fn topic(&self, name: &str, partitions: i32) -> String {
        let name = fresh(name);
        self.create(&name, partitions, &[]);
        name
    }

    /// A new topic with these settings.
    pub fn create(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let topic = config.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made = block_on(self.admin().create_topics([&topic], &options())).expect("an answer");
        made.into_iter().for_each(|made| drop(made.expect("a topic")));
    }

    /// Gives a topic more partitions: so many in all.
    pub fn grow(&self, topic: &str, partitions: usize) {
        let partitions = NewPartitions::new(topic, partitions);
        let made = block_on(self.admin().create_partitions([&partitions], &options())).expect("an answer");
        made.into_iter().for_each(|made| drop(made.expect("partitions")));
    }

    /// Deletes a topic.
    pub fn delete(&self, topic: &str) {
        let made = block_on(self.admin().delete_topics(&[topic], &options())).expect("an answer");
        made.into_iter().for_each(|made| drop(made.expect("deleted")));
    }

    /// Removes the records before `offset`, as retention does.
    pub fn remove_before(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        block_on(self.admin().delete_records(&list, &options())).expect("removed");
    }

    /// A producer with these properties.
    #[must_use]
    pub fn producer(&self, properties: &[(&str, &str)]) -> BaseProducer {
        let mut config = self.config();
        for (key, value) in properties {
            config.set(*key, *value);
        }
        config.create().expect("a producer")
    }

    /// Puts records into one partition.
    pub fn put<T: AsRef<[u8]>>(&self, topic: &str, partition: i32, records: &[T]) {
        let producer = self.producer(&[]);
        send(&producer, topic, partition, records);
        producer.flush(LONG).expect("delivered");
    }

    /// Puts records in a transaction, and leaves it open.
    #[must_use]
    pub fn begin<T: AsRef<[u8]>>(&self, topic: &str, partition: i32, records: &[T]) -> BaseProducer {
        let producer = self.producer(&[("transactional.id", fresh("outside").as_str())]);
        producer.init_transactions(LONG).expect("initialised");
        producer.begin_transaction().expect("begun");
        send(&producer, topic, partition, records);
        producer.flush(LONG).expect("delivered");
        producer
    }

    /// Everything in a topic that was committed, in the order of partitions and offsets.
    #[must_use]
    pub fn read(&self, topic: &str) -> Vec<Seen> {
        let mut config = self.config();
        config.set("isolation.level", "read_committed").set("enable.partition.eof", "true").set("group.id", "reader");
        config.set("enable.auto.commit", "false").set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let metadata = consumer.fetch_metadata(Some(topic), LONG).expect("metadata");
        let partitions = metadata.topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition as i32, Offset::Beginning).expect("an offset");
        }
        self.settle(&consumer, topic, partitions as i32);
        consumer.assign(&list).expect("assigned");
        // A partition may say more than once that it has ended, and have more behind that.
        let (mut seen, mut ended) = (Vec::new(), BTreeSet::new());
        while ended.len() < partitions {
            match consumer.poll(LONG).expect("an answer") {
                Ok(message) => {
                    ended.remove(&message.partition());
                    seen.push(Seen {
                        partition: message.partition(),
                        offset: message.offset(),
                        key: message.key().map(text),
                        value: text(message.payload().unwrap_or_default()),
                        headers: message.headers().map_or_else(BTreeMap::new, |headers| {
                            let text = |value: Option<&[u8]>| text(value.unwrap_or_default());
                            headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
                        }),
                    });
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    ended.insert(partition);
                }
                Err(error) => panic!("{error}"),
            }
        }
        seen.sort();
        seen
    }

    /// Waits until the partitions show what is committed in them: the writer of a transaction is told so before they are.
    /// A transaction that stays open is not waited for.
    fn settle(&self, consumer: &BaseConsumer, topic: &str, partitions: i32) {
        let uncommitted: BaseConsumer =
            self.config().set("isolation.level", "read_uncommitted").create().expect("a consumer");
        let deadline = Instant::now() + SETTLED_WITHIN;
        let end = |consumer: &BaseConsumer, partition| loop {
            match consumer.fetch_watermarks(topic, partition, LONG) {
                Ok((_, end)) => return end,
                // Of a topic that was made just now.
                Err(KafkaError::MetadataFetch(RDKafkaErrorCode::NotLeaderForPartition))
                    if Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("the ends of a partition: {error}"),
            }
        };
        let is_open = |partition| end(consumer, partition) < end(&uncommitted, partition);
        while (0..partitions).any(is_open) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Makes the brokers forget a group, as they do by themselves after a week.
    pub fn forget(&self, group: &str) {
        let made = block_on(self.admin().delete_groups(&[group], &options())).expect("an answer");
        made.into_iter().for_each(|made| drop(made.expect("deleted")));
    }

    /// The offset and the note that a group has committed for a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<(i64, String)> {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let answer = consumer.committed_offsets(list, LONG).expect("an answer");
        let element = answer.elements().into_iter().next().expect("one");
        let Offset::Offset(offset) = element.offset() else { return None };
        Some((offset, element.metadata().to_owned()))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(LONG)).request_timeout(Some(LONG))
}

/// Sends records to one partition, without waiting for an answer.
pub fn send<T: AsRef<[u8]>>(producer: &BaseProducer, topic: &str, partition: i32, records: &[T]) {
    for record in records {
        let mut record = BaseRecord::<(), [u8]>::to(topic).payload(record.as_ref()).partition(partition);
        while let Err((error, refused)) = producer.send(record) {
            assert!(error.to_string().contains("Queue full"), "{error}");
            record = refused;
            producer.poll(Duration::from_millis(10));
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
