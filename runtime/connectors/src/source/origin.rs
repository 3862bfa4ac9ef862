//! What reading ahead needs from an origin of records, be it files or Kafka.

use super::cutter::Cut;
use tidemark_engine::ids::Partition;
use tidemark_engine::ports::PortError;

/// Partitions of which blocks are read, all by one thread.
pub(crate) trait Origin: Send + 'static {
    /// One partition being read.
    type Feed: Send;

    /// Whether partitions never end: more may come, and more partitions.
    fn live(&self) -> bool;

    /// Whether a partition that has not ended may have nothing for now.
    fn waits(&self) -> bool {
        self.live()
    }

    /// Whether a read may block for ever, so that nobody can wait for the reading thread.
    fn may_block(&self) -> bool {
        false
    }

    /// Begins to read the partition `name`, which stands at `partition`.
    fn feed(&mut self, name: &str, partition: Partition) -> Self::Feed;

    /// What a partition has next; after an error or the end, the end.
    fn next(&mut self, feed: &mut Self::Feed) -> Result<Cut, PortError>;

    /// Partitions that were not there before. Asked of a live origin now and then.
    fn discover(&mut self) -> Result<Vec<String>, PortError>;
}
