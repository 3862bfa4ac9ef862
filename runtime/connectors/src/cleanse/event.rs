//! One event: the walk over its tokens along the tree of wanted paths.

use super::column::Column;
use super::compiled::Compiled;
use super::cursor::{Broken, Cursor, Value};
use super::escape;
use super::event_id;
use super::event_time::{MAX_TIMES, Moment};
use super::number;
use super::schema::Evidence;
use super::structure::Structure;
use super::trie::{Node, NodeIndex, Target, Trie};
use std::borrow::Cow;
use tidemark_engine::descriptor::ColumnType;
use tidemark_engine::metric::METRIC_TYPE;

/// The longest event type, in bytes.
const MAX_TYPE_BYTES: usize = 256;

/// What a walk finds besides columns, and its working memory. Kept from event to event.
pub(crate) struct EventBuilder {
    id: u128,
    kind: Option<Vec<u8>>,
    /// Memory for `kind` while an event has none.
    spare: Vec<u8>,
    moments: [Moment; MAX_TIMES],
    evidence: Vec<Evidence>,
    /// For each node the number of the event in which it was last seen: a key that occurs twice replaces itself.
    seen: Vec<u32>,
    number: u32,
    /// For JSON inside a text.
    inner: Structure,
    inner_text: Vec<u8>,
}

impl EventBuilder {
    pub(crate) fn new(compiled: &Compiled) -> Self {
        Self {
            id: 0,
            kind: None,
            spare: Vec::new(),
            moments: [Moment::Absent; MAX_TIMES],
            evidence: vec![Evidence::default(); compiled.schemas.paths().len()],
            seen: vec![0; compiled.trie.len()],
            number: 0,
            inner: Structure::default(),
            inner_text: Vec::new(),
        }
    }

    /// The event type, or what is wrong with it. Rows of metrics are events only where they are expected.
    pub(crate) fn kind(&self, rows: bool) -> Result<&str, &'static str> {
        match self.kind.as_deref() {
            None | Some([]) => Err("no event type"),
            Some(kind) if kind.len() > MAX_TYPE_BYTES => Err("event type longer than 256 bytes"),
            Some(kind) if !rows && kind.starts_with(METRIC_TYPE.as_bytes()) => {
                Err("`metric.` is what types of metrics' rows begin with")
            }
            Some(kind) => std::str::from_utf8(kind).map_err(|_| "event type is not UTF-8"),
        }
    }

    pub(crate) fn id(&self) -> u128 {
        self.id
    }

    pub(crate) fn moments(&self) -> &[Moment; MAX_TIMES] {
        &self.moments
    }

    pub(crate) fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    fn begin(&mut self) {
        self.id = 0;
        self.forget_kind();
        self.moments = [Moment::Absent; MAX_TIMES];
        self.evidence.fill(Evidence::default());
        self.number = self.number.wrapping_add(1);
        if self.number == 0 {
            self.seen.fill(0);
            self.number = 1;
        }
    }

    fn set_kind(&mut self, text: &[u8]) {
        let mut kind = self.kind.take().unwrap_or_else(|| std::mem::take(&mut self.spare));
        kind.clear();
        kind.extend_from_slice(text);
        self.kind = Some(kind);
    }

    fn forget_kind(&mut self) {
        if let Some(kind) = self.kind.take() {
            self.spare = kind;
        }
    }
}

/// The walk over one event.
pub(crate) struct Event<'w> {
    compiled: &'w Compiled,
    builder: &'w mut EventBuilder,
    columns: &'w mut [Column],
    row: u32,
}

impl<'w> Event<'w> {
    pub(crate) fn new(
        compiled: &'w Compiled,
        builder: &'w mut EventBuilder,
        columns: &'w mut [Column],
        row: u32,
    ) -> Self {
        builder.begin();
        Self { compiled, builder, columns, row }
    }

    /// Reads the event at which `cursor` stands. After an error the columns may hold part of the row.
    pub(crate) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Broken> {
        self.object(cursor, self.compiled.trie.get(Trie::ROOT))
    }

    /// Reads the value of `index`. Recurses along the tree, never along the data.
    fn node(&mut self, cursor: &mut Cursor<'_>, index: NodeIndex) -> Result<(), Broken> {
        if self.builder.seen[index] == self.builder.number {
            self.forget(index);
        }
        self.builder.seen[index] = self.builder.number;
        let compiled = self.compiled;
        let node = compiled.trie.get(index);
        match cursor.peek() {
            bracket @ (b'{' | b'[') if !node.is_leaf() => {
                let whole = (!node.targets.is_empty()).then(|| cursor.clone());
                if bracket == b'{' { self.object(cursor, node) } else { self.array(cursor, node) }?;
                if let Some(mut whole) = whole {
                    // Wanted both whole and in parts, which is rare: passed twice.
                    let value = whole.value()?;
                    self.deliver(node, value, false);
                }
                Ok(())
            }
            _ => {
                let value = cursor.value()?;
                if let Value::Text(content) = value
                    && node.embedded
                    && !node.is_leaf()
                {
                    self.embedded(content, index);
                }
                self.deliver(node, value, cursor.escapes());
                Ok(())
            }
        }
    }

    fn object(&mut self, cursor: &mut Cursor<'_>, node: &Node) -> Result<(), Broken> {
        cursor.take();
        if cursor.peek() == b'}' {
            cursor.take();
            return Ok(());
        }
        loop {
            let key = cursor.key()?;
            let child = if cursor.escapes() { node.child(&escape::resolve(key)) } else { node.child(key) };
            match child {
                Some(child) => self.node(cursor, child)?,
                None => cursor.skip()?,
            }
            match cursor.peek() {
                b',' => cursor.take(),
                b'}' => {
                    cursor.take();
                    return Ok(());
                }
                _ => return Err(cursor.broken("a comma or `}` was expected")),
            };
        }
    }

    fn array(&mut self, cursor: &mut Cursor<'_>, node: &Node) -> Result<(), Broken> {
        cursor.take();
        if cursor.peek() == b']' {
            cursor.take();
            return Ok(());
        }
        for place in 0.. {
            match node.elements.iter().find(|(wanted, _)| *wanted == place) {
                Some(&(_, child)) => self.node(cursor, child)?,
                None => cursor.skip()?,
            }
            match cursor.peek() {
                b',' => cursor.take(),
                b']' => {
                    cursor.take();
                    return Ok(());
                }
                _ => return Err(cursor.broken("a comma or `]` was expected")),
            };
        }
        Ok(())
    }

    /// Reads a text as JSON, once; a text that is none has no inside.
    #[cold]
    fn embedded(&mut self, content: &[u8], index: NodeIndex) {
        let mut structure = std::mem::take(&mut self.builder.inner);
        let mut text = std::mem::take(&mut self.builder.inner_text);
        text.clear();
        text.extend_from_slice(&escape::resolve(content));
        structure.read(&text);
        let compiled = self.compiled;
        let node = compiled.trie.get(index);
        let read = Cursor::new(&text, &structure).and_then(|mut cursor| {
            match cursor.peek() {
                b'{' => self.object(&mut cursor, node)?,
                b'[' => self.array(&mut cursor, node)?,
                _ => cursor.skip()?,
            }
            cursor.end()
        });
        if read.is_err() {
            self.forget_inside(index);
        }
        self.builder.inner = structure;
        self.builder.inner_text = text;
    }

    /// Hands a value to everyone who wants it.
    #[inline]
    fn deliver(&mut self, node: &Node, value: Value<'_>, escapes: bool) {
        let Value::Text(content) = value else {
            return self.hand_out(node, value, value_text(value));
        };
        if escapes {
            let resolved = escape::resolve(content);
            if let Cow::Owned(text) = &resolved {
                return self.hand_out(node, Value::Text(text), content);
            }
        }
        self.hand_out(node, value, content);
    }

    /// `written` is how the value stands in the event, a text without its quotes.
    #[inline]
    fn hand_out(&mut self, node: &Node, value: Value<'_>, written: &[u8]) {
        for &target in &node.targets {
            match (target, value) {
                (Target::Slot(slot, kind), value) => self.fill(slot, kind, value, written),
                (Target::Time(rank), value) => self.builder.moments[rank] = Moment::read(value),
                (Target::Rule(index), value) => self.builder.evidence[index] = Evidence::of(value),
                (Target::Id, Value::Text(text) | Value::Number(text)) => self.builder.id = event_id::fingerprint(text),
                (Target::Type, Value::Text(text)) => self.builder.set_kind(text),
                (Target::Id | Target::Type, _) => {}
            }
        }
    }

    /// The conversions that [`ColumnType`] promises.
    #[inline]
    fn fill(&mut self, slot: usize, kind: ColumnType, value: Value<'_>, written: &[u8]) {
        let (row, column) = (self.row, &mut self.columns[slot]);
        match (kind, value) {
            (_, Value::Null) => {}
            (ColumnType::Boolean, Value::Boolean(value)) => column.push_boolean(row, value),
            (ColumnType::Integer, Value::Number(text) | Value::Text(text)) => {
                if let Some(value) = number::integer(text) {
                    column.push_integer(row, value);
                }
            }
            (ColumnType::Float, Value::Number(text) | Value::Text(text)) => {
                if let Some(value) = number::float(text) {
                    column.push_float(row, value);
                }
            }
            (ColumnType::Text, Value::Text(text) | Value::Number(text)) => column.push_text(row, text),
            (ColumnType::Text, Value::Boolean(_)) => column.push_text(row, written),
            (ColumnType::Json, Value::Text(_)) => column.push_quoted(row, written),
            (ColumnType::Json, _) => column.push_text(row, written),
            _ => {}
        }
    }

    /// Takes back everything at and below a node: its key occurred before in this event.
    #[cold]
    fn forget(&mut self, index: NodeIndex) {
        let compiled = self.compiled;
        for &target in &compiled.trie.get(index).targets {
            match target {
                Target::Slot(slot, _) => self.columns[slot].clear(self.row),
                Target::Time(rank) => self.builder.moments[rank] = Moment::Absent,
                Target::Rule(rule) => self.builder.evidence[rule] = Evidence::default(),
                Target::Id => self.builder.id = 0,
                Target::Type => self.builder.forget_kind(),
            }
        }
        self.forget_inside(index);
    }

    fn forget_inside(&mut self, index: NodeIndex) {
        for child in self.compiled.trie.get(index).children() {
            if self.builder.seen[child] == self.builder.number {
                self.forget(child);
                self.builder.seen[child] = self.builder.number.wrapping_sub(1);
            }
        }
    }
}

fn value_text<'a>(value: Value<'a>) -> &'a [u8] {
    match value {
        Value::Null => b"null",
        Value::Boolean(true) => b"true",
        Value::Boolean(false) => b"false",
        Value::Number(text) | Value::Text(text) | Value::Container(text) => text,
    }
}
