//! The tick log: what made each tick, so that a re-run makes the same one.
//!
//! Everything else about a tick is a function of the input and the state. A tick takes a few bytes: numbers are LEB128.

use crate::deployment::Change;
use crate::ids::{Epoch, Offset, StageId};
use crate::ports::PortError;

/// What came from outside in one tick.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TickRecord {
    /// Blocks in the order in which they were taken: partition place and the position after the block.
    pub blocks: Vec<(u32, Offset)>,
    /// Watermarks that blocks brought with them, in ms: the block's place in `blocks`, and what it said. Only cleansed events
    /// bring any, and their archive does not have them.
    pub carried: Vec<(u32, i64)>,
    /// Partitions found to have ended.
    pub ended: Vec<u32>,
    /// Partitions found idle.
    pub idle: Vec<u32>,
}

/// What is logged when an epoch is decided.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EpochRecord {
    /// Names of all partitions, by place, and where reading of each began when the job met it.
    pub partitions: Vec<(String, Offset)>,
    /// What changed before its first tick.
    pub changes: Vec<Change>,
    /// How far metrics that begin with the past were taken through it before its first tick.
    pub caught_up: Vec<(StageId, Epoch)>,
    /// Its ticks.
    pub ticks: Vec<TickRecord>,
    /// Handles of the sinks, by name.
    pub handles: Vec<(String, Vec<u8>)>,
}

impl EpochRecord {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let is_carried = self.ticks.iter().any(|tick| !tick.carried.is_empty());
        let mut out = vec![if is_carried { CARRIED } else { PLAIN }];
        number(&mut out, self.partitions.len() as u64);
        for (name, first) in &self.partitions {
            bytes(&mut out, name.as_bytes());
            number(&mut out, first.0);
        }
        number(&mut out, self.changes.len() as u64);
        for change in &self.changes {
            bytes(&mut out, &serde_json::to_vec(change).unwrap_or_default());
        }
        number(&mut out, self.caught_up.len() as u64);
        for (stage, epoch) in &self.caught_up {
            number(&mut out, u64::from(stage.0));
            number(&mut out, epoch.0);
        }
        number(&mut out, self.ticks.len() as u64);
        for tick in &self.ticks {
            number(&mut out, tick.blocks.len() as u64);
            for (partition, end) in &tick.blocks {
                number(&mut out, u64::from(*partition));
                number(&mut out, end.0);
            }
            for places in [&tick.ended, &tick.idle] {
                number(&mut out, places.len() as u64);
                places.iter().for_each(|place| number(&mut out, u64::from(*place)));
            }
            if is_carried {
                number(&mut out, tick.carried.len() as u64);
                for (place, watermark_ms) in &tick.carried {
                    number(&mut out, u64::from(*place));
                    number(&mut out, watermark_ms.cast_unsigned());
                }
            }
        }
        number(&mut out, self.handles.len() as u64);
        for (name, handle) in &self.handles {
            bytes(&mut out, name.as_bytes());
            bytes(&mut out, handle);
        }
        out
    }

    /// From bytes.
    pub fn decode(epoch: Epoch, record: &[u8]) -> Result<Self, PortError> {
        Reader(record).record().ok_or_else(|| {
            PortError::Stop(format!("the tick log of epoch {epoch} can't be read: restore an older checkpoint"))
        })
    }
}

/// The format of records of which no block brings a watermark, and of those of which some does.
const PLAIN: u8 = 4;
const CARRIED: u8 = 5;

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    number(out, value.len() as u64);
    out.extend_from_slice(value);
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn record(&mut self) -> Option<EpochRecord> {
        let is_carried = match *self.0.split_off_first()? {
            PLAIN => false,
            CARRIED => true,
            _ => return None,
        };
        let partitions =
            self.list(|reader| Some((String::from_utf8(reader.bytes()?).ok()?, Offset(reader.number()?))))?;
        let changes = self.list(|reader| serde_json::from_slice(&reader.bytes()?).ok())?;
        let caught_up = self.list(|reader| {
            let stage = u16::try_from(reader.number()?).ok()?;
            Some((StageId(stage), Epoch(reader.number()?)))
        })?;
        let ticks = self.list(|reader| {
            Some(TickRecord {
                blocks: reader.list(|reader| Some((reader.place()?, Offset(reader.number()?))))?,
                ended: reader.list(Self::place)?,
                idle: reader.list(Self::place)?,
                carried: match is_carried {
                    true => reader.list(|reader| Some((reader.place()?, reader.number()?.cast_signed())))?,
                    false => Vec::new(),
                },
            })
        })?;
        let handles = self.list(|reader| Some((String::from_utf8(reader.bytes()?).ok()?, reader.bytes()?)))?;
        self.0.is_empty().then_some(EpochRecord { partitions, changes, caught_up, ticks, handles })
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        (0..count).map(|_| item(self)).collect()
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.0.split_off_first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn place(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.number()?.try_into().ok()?;
        self.0.split_off(..length).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_rubbish_does_not() {
        let record = EpochRecord {
            partitions: vec![("a.ndjson".to_owned(), Offset(0)), ("b.ndjson".to_owned(), Offset(300))],
            caught_up: vec![(StageId(300), Epoch(70_000))],
            changes: vec![Change::Undeploy { name: "old".to_owned() }],
            ticks: vec![
                TickRecord {
                    blocks: vec![(0, Offset(5_000_000)), (1, Offset(0))],
                    ended: vec![1],
                    ..TickRecord::default()
                },
                TickRecord::default(),
            ],
            handles: vec![("parquet".to_owned(), vec![1, 2, 3])],
        };
        let encoded = record.encode();
        assert_eq!(EpochRecord::decode(Epoch(1), &encoded).unwrap(), record);
        (0..encoded.len()).for_each(|end| assert!(EpochRecord::decode(Epoch(1), &encoded[..end]).is_err()));
        let mut of_cleansed = record.clone();
        of_cleansed.ticks[0].carried = vec![(0, 1_767_225_600_000), (1, i64::MIN)];
        assert_eq!(EpochRecord::decode(Epoch(1), &of_cleansed.encode()).unwrap(), of_cleansed);
        assert_eq!(
            EpochRecord { partitions: vec![], changes: vec![], caught_up: vec![], ..record }.encode().len(),
            32,
            "a few bytes a tick"
        );
    }
}
