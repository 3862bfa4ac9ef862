//! The paths that are read from events, as a tree: one walk over an event serves all of them.

use super::settings::EnvelopeSettings;
use tidemark_engine::descriptor::ColumnType;

/// A path never has more segments: the walk recurses once a segment.
pub(crate) const MAX_SEGMENTS: usize = 32;

/// What the value at a path is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// The event's id.
    Id,
    /// The event's type.
    Type,
    /// A candidate for the event time, by rank.
    Time(usize),
    /// A column of the batch, and as what it is read.
    Slot(usize, ColumnType),
    /// A path that schema rules look at.
    Rule(usize),
}

/// A place in the tree.
pub(crate) type NodeIndex = usize;

/// The tree; the root is the event itself.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
}

/// One place in events.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Bit `n` says that some child's name has `n` bytes; names of 63 bytes and more share the last bit.
    lengths: u64,
    children: Vec<(Box<[u8]>, NodeIndex)>,
    /// Children whose names are numbers: elements of an array.
    pub(crate) elements: Vec<(usize, NodeIndex)>,
    /// What the value is for.
    pub(crate) targets: Vec<Target>,
    /// Whether a text here holds JSON, whose inside is meant by the children.
    pub(crate) embedded: bool,
}

impl Trie {
    pub(crate) const ROOT: NodeIndex = 0;

    /// A tree that knows only where the payload is.
    pub(crate) fn new(envelope: &EnvelopeSettings) -> Self {
        let mut trie = Self { nodes: vec![Node::default()] };
        let data = trie.node(envelope.data.split('.'));
        trie.nodes[data].embedded = true;
        trie
    }

    /// Adds a target at an event path, whose first segment names an envelope field. The error says what is wrong.
    pub(crate) fn add(&mut self, envelope: &EnvelopeSettings, path: &str, target: Target) -> Result<(), String> {
        let (field, rest) = path.split_once('.').map_or((path, None), |(field, rest)| (field, Some(rest)));
        let field = match field {
            "id" => &envelope.id,
            "type" => &envelope.kind,
            "timestamp" => &envelope.timestamp,
            "gateway" => &envelope.gateway,
            "data" => &envelope.data,
            _ => return Err(format!("path `{path}` must begin with id, type, timestamp, gateway, data or enrich")),
        };
        let segments: Vec<&str> = field.split('.').chain(rest.into_iter().flat_map(|rest| rest.split('.'))).collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(format!("path `{path}` has an empty segment"));
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(format!("path `{path}` has {} segments, at most {MAX_SEGMENTS} are possible", segments.len()));
        }
        let node = self.node(segments.into_iter());
        self.nodes[node].targets.push(target);
        Ok(())
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    #[inline]
    pub(crate) fn get(&self, node: NodeIndex) -> &Node {
        &self.nodes[node]
    }

    fn node<'a>(&mut self, segments: impl Iterator<Item = &'a str>) -> NodeIndex {
        segments.fold(Self::ROOT, |parent, name| {
            self.nodes[parent].child(name.as_bytes()).unwrap_or_else(|| {
                let index = self.nodes.len();
                self.nodes.push(Node::default());
                self.nodes[parent].insert(name, index);
                index
            })
        })
    }
}

impl Node {
    /// The child for a key.
    #[inline]
    pub(crate) fn child(&self, name: &[u8]) -> Option<NodeIndex> {
        if self.lengths >> name.len().min(63) & 1 == 0 {
            return None;
        }
        self.children.iter().find(|(known, _)| same(known, name)).map(|&(_, node)| node)
    }

    /// Whether anything inside the value is wanted.
    #[inline]
    pub(crate) fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }

    /// Every child, of objects and of arrays.
    pub(crate) fn children(&self) -> impl Iterator<Item = NodeIndex> {
        self.children.iter().map(|&(_, node)| node)
    }

    fn insert(&mut self, name: &str, node: NodeIndex) {
        self.lengths |= 1 << name.len().min(63);
        self.children.push((name.as_bytes().into(), node));
        if let Ok(place) = name.parse() {
            self.elements.push((place, node));
        }
    }
}

/// Whether two names are equal. Written out because names are short: a call of `memcmp` costs more than two loads.
#[inline(always)]
fn same(left: &[u8], right: &[u8]) -> bool {
    fn ends<const N: usize>(name: &[u8]) -> Option<([u8; N], [u8; N])> {
        Some((*name.first_chunk()?, *name.last_chunk()?))
    }
    match left.len() {
        length if length != right.len() => false,
        0..4 => left.iter().eq(right),
        4..8 => ends::<4>(left) == ends::<4>(right),
        8..=16 => ends::<8>(left) == ends::<8>(right),
        _ => left == right,
    }
}
