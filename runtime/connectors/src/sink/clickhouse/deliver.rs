//! Finalise: the blocks of a committed epoch go to the server, each until it is acknowledged. Every step can be
//! repeated, so recovery does the same again for the committed epoch.

use super::client::Insert;
use super::handle::{Block, Handle};
use super::layout::Layout;
use super::schema::Place;
use super::sql::identifier;
use super::{ClickHouseSink, step};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

impl ClickHouseSink {
    /// Makes the server have every block of `handle`.
    pub(super) fn deliver(&mut self, handle: &Handle) -> Result<(), PortError> {
        let epoch = handle.epoch;
        if handle.blocks.is_empty() {
            return Ok(());
        }
        if !self.outbox.has(epoch) {
            return if self.has_lost(handle)? { Err(self.outbox.lost(epoch)) } else { Ok(()) };
        }
        let layouts = self.layouts_of(handle)?;
        let result = self.insert(handle, &layouts);
        if result.is_err() {
            // Perhaps somebody changed a table: look again before the next attempt.
            self.schema.forget();
        }
        result?;
        self.outbox.mark_delivered(epoch)?;
        (self.fail_point)(step::FINALISE_MARKED);
        self.outbox.remove(epoch)
    }

    /// Whether blocks of `handle` are neither in the outbox nor known to be with the server.
    pub(super) fn has_lost(&self, handle: &Handle) -> Result<bool, PortError> {
        let epoch = handle.epoch;
        Ok(!handle.blocks.is_empty() && !self.outbox.has(epoch) && self.outbox.delivered()? < epoch)
    }

    /// The layout of each block that still waits, with its table made ready.
    fn layouts_of(&mut self, handle: &Handle) -> Result<Vec<Option<Layout>>, PortError> {
        let mut layouts: Vec<Option<Layout>> = Vec::with_capacity(handle.blocks.len());
        for (place, block) in handle.blocks.iter().enumerate() {
            if !self.outbox.waits(handle.epoch, place) {
                layouts.push(None);
                continue;
            }
            let kind = block.table.kind();
            let known = layouts.iter().flatten().find(|layout| layout.kind == kind);
            let layout = match known {
                Some(layout) => layout.clone(),
                None => Layout::of_waiting(kind, self.outbox.schema(handle.epoch, place)?)?,
            };
            self.prepare_table(&layout, handle.epoch)?;
            layouts.push(Some(layout));
        }
        Ok(layouts)
    }

    /// Makes the table of `layout` ready before there are rows. Whether some may be replaced, only those tell: roll-ups that
    /// are there stay what they are.
    pub(super) fn declare(&mut self, mut layout: Layout, epoch: Epoch) -> Result<(), PortError> {
        let Self { client, settings, owner, .. } = self;
        let place = Place { client, settings, job: &owner.job };
        layout.replaces = place.computes_states(&layout)?.or(layout.replaces);
        self.prepare_table(&layout, epoch)
    }

    /// Makes the table of `layout` ready for rows of `epoch`.
    pub(super) fn prepare_table(&mut self, layout: &Layout, epoch: Epoch) -> Result<(), PortError> {
        let Self { schema, client, settings, owner, .. } = self;
        schema.prepare(&Place { client, settings, job: &owner.job }, layout, epoch)
    }

    fn insert(&self, handle: &Handle, layouts: &[Option<Layout>]) -> Result<(), PortError> {
        let waiting: Vec<usize> = (0..layouts.len()).filter(|place| layouts[*place].is_some()).collect();
        let inserts = waiting.iter().map(|&place| {
            let layout = layouts[place].as_ref().expect("waiting blocks have a layout");
            let block = &handle.blocks[place];
            let body = self.outbox.read(handle.epoch, place, &block.content)?;
            (self.fail_point)(step::INSERT_BEFORE);
            let statement =
                format!("INSERT INTO {} ({}) FORMAT ArrowStream", identifier(&layout.name), layout.column_list());
            let token = self.token(layout, handle.epoch, place, block);
            Ok(Insert { table: layout.name.clone(), statement, token, body })
        });
        self.client.insert(inserts, self.settings.inserts_at_once, |sent| {
            (self.fail_point)(step::INSERT_UNACKNOWLEDGED);
            self.outbox.acknowledge(handle.epoch, waiting[sent])
        })
    }

    /// What the server knows a block by. The content is in it so that no two blocks are ever taken for one.
    fn token(&self, layout: &Layout, epoch: Epoch, place: usize, block: &Block) -> String {
        let (job, incarnation) = (&self.owner.job, self.owner.incarnation);
        format!("{job}/{incarnation}/{}/{epoch}/{place}/{}", layout.name, block.content.xxh3)
    }
}
