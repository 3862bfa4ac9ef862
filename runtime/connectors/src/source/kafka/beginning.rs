//! Where each partition begins and ends: by position, by what the settings say, and within what the log still has.

use super::client::Client;
use super::feed::{Opened, gone};
use super::queue::PartitionQueue;
use super::settings::{KafkaSourceSettings, Start, Until};
use super::telemetry::PartitionTelemetry;
use crate::kafka::PartitionName;
use std::collections::{BTreeMap, BTreeSet};
use tidemark_engine::ports::{PortError, Positions};

/// Finds out where to begin and to end to read the partitions that are there at the start, and opens their queues.
pub(super) fn open_all(
    client: &Client,
    settings: &KafkaSourceSettings,
    names: &[PartitionName],
    positions: &Positions,
) -> Result<Vec<Opened>, PortError> {
    let fresh: Vec<PartitionName> =
        names.iter().filter(|name| !positions.contains_key(&name.to_string())).cloned().collect();
    // A job that has positions has begun: what has none came since, and is read whole.
    let policy = if positions.is_empty() { &settings.start } else { &Start::Earliest };
    let chosen = match policy {
        Start::Earliest | Start::Latest => BTreeMap::new(),
        Start::Committed => client.committed(&fresh)?,
        Start::TimestampMs(time) => client.at_time(&fresh, *time)?,
        Start::Offsets(offsets) => explicit(offsets, names)?,
    };
    let beyond = settings.until.map(|Until::End| client.beyond_transactions()).transpose()?;
    let mut opened = Vec::with_capacity(names.len());
    for name in names {
        let (low, high) = client.bounds(name)?;
        let committed = positions.get(&name.to_string()).map(|offset| offset.0);
        let position = match (committed.or_else(|| chosen.get(name).copied()), policy) {
            (Some(position), Start::Committed) if committed.is_none() && position < low => {
                tracing::warn!(
                    partition = %name,
                    committed = position,
                    oldest = low,
                    "the group's committed offset is older than the oldest record: begun with that; records between were \
                     removed before anybody of the group read them"
                );
                low
            }
            (Some(position), _) => within(name, position, low, high)?,
            (None, Start::Latest | Start::TimestampMs(_)) => high,
            (None, Start::Earliest | Start::Committed | Start::Offsets(_)) => low,
        };
        // The end of all that was written, not of what is decided: a transaction whose writer has been told that it is
        // committed may still be open here, until the brokers have told each other.
        let end = beyond.as_ref().map(|beyond| client.bounds_by(beyond, name)).transpose()?.map(|(_, end)| end);
        if end.is_some_and(|end| end > high) {
            tracing::info!(partition = %name, "a transaction is open: the job waits for what becomes of it");
        }
        opened.push(open(client, name, position, end, high)?);
    }
    Ok(opened)
}

/// Opens a partition that came while others were read: from its beginning.
pub(super) fn open_new(client: &Client, name: &PartitionName) -> Result<Opened, PortError> {
    let (low, high) = client.bounds(name)?;
    open(client, name, low, None, high)
}

fn open(
    client: &Client,
    name: &PartitionName,
    position: u64,
    end: Option<u64>,
    high: u64,
) -> Result<Opened, PortError> {
    let queue = PartitionQueue::open(&client.consumer, name, client.cleansed)
        .ok_or_else(|| PortError::Retry(format!("Kafka source: partition {name} cannot be opened")))?;
    let telemetry = PartitionTelemetry::new(name, position, high);
    Ok(Opened { name: name.clone(), queue, position, end, telemetry })
}

/// A position that the log has, or that comes next.
fn within(name: &PartitionName, position: u64, low: u64, high: u64) -> Result<u64, PortError> {
    if (low..=high).contains(&position) {
        Ok(position)
    } else {
        Err(PortError::Stop(gone(name, position, &format!("it has {low} to {high}"))))
    }
}

/// Offsets of the settings, all of which must be of partitions that are there.
fn explicit(
    offsets: &BTreeMap<String, u64>,
    names: &[PartitionName],
) -> Result<BTreeMap<PartitionName, u64>, PortError> {
    let known: BTreeSet<&PartitionName> = names.iter().collect();
    let parsed = offsets.iter().map(|(text, offset)| {
        let name = PartitionName::parse(text).filter(|name| known.contains(name));
        name.map(|name| (name, *offset)).ok_or_else(|| {
            PortError::Stop(format!("source.start.offsets: there is no partition \"{text}\"; write \"topic/number\""))
        })
    });
    parsed.collect()
}
