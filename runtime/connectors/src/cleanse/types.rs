//! Event types seen so far and what is known about each, so that nothing about a type is looked up twice.

use super::compiled::Compiled;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Most types that one block may hold.
const MAX_BLOCK_TYPES: usize = 4096;

/// Most types that are remembered from block to block.
const MAX_REMEMBERED: usize = 4096;

/// One event type.
#[derive(Debug)]
pub(crate) struct KnownType {
    pub(crate) name: Arc<str>,
    pub(crate) interest: u64,
    pub(crate) has_schema: bool,
    /// Lookup tables that its events carry.
    pub(crate) tables: Vec<usize>,
    /// Its place in the types of the running block.
    pub(crate) block_id: u16,
    /// The block for which that place holds.
    block: u64,
}

/// The types of a decoder.
#[derive(Debug, Default)]
pub(crate) struct TypeTable {
    places: FxHashMap<Box<str>, usize>,
    known: Vec<KnownType>,
    block: u64,
    block_types: Vec<Arc<str>>,
}

impl TypeTable {
    /// Begins a block.
    pub(crate) fn next_block(&mut self) {
        if self.known.len() > MAX_REMEMBERED {
            self.places.clear();
            self.known.clear();
        }
        self.block += 1;
        self.block_types.clear();
    }

    /// What is known about `name`; `None` if the block has too many types to take one more.
    #[inline]
    pub(crate) fn find(&mut self, name: &str, compiled: &Compiled) -> Option<&KnownType> {
        let place = match self.places.get(name) {
            Some(&place) => place,
            None => self.learn(name, compiled),
        };
        let known = &mut self.known[place];
        if known.block != self.block {
            if self.block_types.len() == MAX_BLOCK_TYPES {
                return None;
            }
            known.block = self.block;
            known.block_id = self.block_types.len() as u16;
            self.block_types.push(Arc::clone(&known.name));
        }
        Some(known)
    }

    /// The types of the block, in the order of their first events.
    pub(crate) fn block_types(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.block_types)
    }

    #[cold]
    fn learn(&mut self, name: &str, compiled: &Compiled) -> usize {
        let place = self.known.len();
        self.known.push(KnownType {
            name: name.into(),
            interest: compiled.interest(name),
            has_schema: compiled.schemas.knows(name),
            tables: compiled.tables_of(name),
            block_id: 0,
            block: 0,
        });
        self.places.insert(name.into(), place);
        place
    }
}
