//! Planning: a definition becomes a descriptor for the engine and a [`Program`] for its guest, or a list of mistakes.

use crate::aggregate::{Aggregates, Grouping, Kept, Measure};
use crate::bind::{Binder, Stand, Typed, Uses};
use crate::condition::{Split, conjuncts};
use crate::expression::{Expression, Leaf};
use crate::mistake::{Mistake, Position};
use crate::names::{Meaning, Names, is_column_name};
use crate::parse::{Parsed, folded, parse};
use crate::state::ENCODING;
use crate::value::Kind;
use crate::window;
use crate::{Definition, Surroundings};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use sqlparser::ast::{Expr, Ident, Spanned};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidemark_engine::descriptor::{
    Bound, ColumnType, Condition, DESCRIBE_VERSION, Descriptor, Filter, InputColumn, OutputColumn, Side, Take,
    Unmatched, WindowSpec,
};
use tidemark_engine::ids::Digest;
use tidemark_engine::output::common_fields;

/// The version of what statements mean. Part of every digest: the same digest means the same rows.
const MEANING: u32 = 1;

/// What a guest runs.
#[derive(Debug)]
pub(crate) struct Program {
    /// Asked of each row before anything else.
    pub(crate) condition: Option<Expression>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) measures: Vec<Measure>,
    pub(crate) having: Option<Expression>,
    /// One for each column of the output. Of a row where nothing is grouped, else of a group.
    pub(crate) columns: Vec<Expression>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) grouped: bool,
}

/// A planned statement.
pub(crate) struct Planned {
    pub(crate) program: Program,
    pub(crate) descriptor: Descriptor,
    pub(crate) canonical: String,
    pub(crate) digest: Digest,
}

/// Plans `definition`.
pub(crate) fn plan(definition: &Definition, surroundings: &Surroundings) -> Result<Planned, Vec<Mistake>> {
    let parsed = parse(&definition.sql)?;
    let mut mistakes = Vec::new();
    let (table, alias) = (&parsed.table, parsed.alias.as_ref());
    let Some(names) = Names::new(table, alias, &definition.columns, surroundings, &mut mistakes) else {
        return Err(mistakes);
    };
    let mut uses = Uses::new();
    // Each round finds at least one new use, or is the last.
    loop {
        let found = {
            let mut round = Round::new(&names, &uses, &parsed, false);
            round.bind();
            round.binder.uses
        };
        if found == uses {
            break;
        }
        uses = found;
    }
    let mut round = Round::new(&names, &uses, &parsed, true);
    round.bind();
    mistakes.append(&mut round.binder.mistakes);
    if mistakes.is_empty() {
        // Whoever mistypes a name is told of that first.
        mistakes.extend(names.unused());
    }
    if !mistakes.is_empty() {
        mistakes.sort();
        mistakes.dedup();
        return Err(mistakes);
    }
    Ok(round.finish(definition, &names))
}

/// One binding of the whole statement.
struct Round<'a> {
    binder: Binder<'a>,
    parsed: &'a Parsed,
    split: Split,
    columns: Vec<(String, Typed)>,
    having: Option<Expression>,
}

impl<'a> Round<'a> {
    fn new(names: &'a Names<'a>, known: &'a Uses, parsed: &'a Parsed, is_final: bool) -> Self {
        let binder = Binder {
            names,
            known,
            uses: known.clone(),
            is_final,
            mistakes: Vec::new(),
            inputs: Vec::new(),
            aggregates: Aggregates::default(),
            grouping: None,
            start: parsed.start,
        };
        Self { binder, parsed, split: Split::default(), columns: Vec::new(), having: None }
    }

    fn bind(&mut self) {
        let parsed = self.parsed;
        self.bind_condition();
        let grouped = !parsed.group_by.is_empty();
        let stand = if grouped { Stand::Group } else { Stand::Row };
        if grouped {
            self.bind_grouping();
        }
        for (expression, alias) in &parsed.columns {
            let bound = self.binder.bind(expression, stand, None);
            let name = self.column_name(expression, alias.as_ref());
            if let (Some(bound), Some(name)) = (bound, name) {
                if bound.kind.is_none() && self.binder.is_final && self.binder.mistakes.is_empty() {
                    let _: Option<()> = self.binder.wrong(expression, "is always null: CAST it to a type");
                }
                self.columns.push((name, bound));
            }
        }
        if let Some(having) = &parsed.having {
            if grouped {
                self.having = self.binder.condition(having, Stand::Group).map(|having| having.expression);
            } else {
                let _: Option<()> = self.binder.wrong(having, "HAVING needs GROUP BY: write the condition into WHERE");
            }
        }
    }

    fn bind_condition(&mut self) {
        let parsed = self.parsed;
        for part in parsed.condition.iter().flat_map(conjuncts) {
            if let Some(bound) = self.binder.condition(part, Stand::Row) {
                let position = Position::start_of(part.span());
                self.split.add(bound.expression, position, &self.binder.inputs);
            }
        }
    }

    /// A column, the key, and a window, in any order.
    fn bind_grouping(&mut self) {
        let parsed = self.parsed;
        let (mut keys, mut windows) = (Vec::new(), Vec::new());
        let mut others = Vec::new();
        for expression in &parsed.group_by {
            match expression {
                Expr::Identifier(name) => keys.push((expression, std::slice::from_ref(name))),
                Expr::CompoundIdentifier(parts) => keys.push((expression, parts.as_slice())),
                Expr::Function(function) => match window::kind_of(&function.name.to_string().to_uppercase()) {
                    Some(kind) => windows.push((expression, kind, function)),
                    None => others.push(expression),
                },
                _ => others.push(expression),
            }
        }
        for expression in &others {
            let message = "GROUP BY takes a column, not an expression, and TUMBLE, HOP or SESSION";
            let _: Option<()> = self.binder.wrong(expression, message);
        }
        let last = parsed.group_by.last().and_then(|expression| Position::start_of(expression.span()));
        for (expression, ..) in keys.iter().skip(1) {
            let message = "a metric has one key: group by one column; of others MIN or MAX can be selected";
            let _: Option<()> = self.binder.wrong(expression, message);
        }
        for (expression, ..) in windows.iter().skip(1) {
            let _: Option<()> = self.binder.wrong(expression, "a metric has one window: write another metric");
        }
        let key = match keys.first() {
            // Which was meant to be the key, and has been refused.
            None if !others.is_empty() => None,
            None => self.binder.wrong_at(last, "GROUP BY needs a column, too: `type` groups all events of a type"),
            Some((expression, parts)) => self.key(expression, parts),
        };
        let window = match windows.first() {
            None => {
                let message = "GROUP BY needs a window: TUMBLE(event_time, INTERVAL '1' MINUTE), HOP or SESSION";
                self.binder.wrong_at(last, message)
            }
            Some((_, kind, function)) => match window::read(*kind, function) {
                Ok(window) => self.binder.event_time(function).map(|()| window),
                Err((position, message)) => self.binder.wrong_at(position, message),
            },
        };
        if let (Some(key), Some(window)) = (key, window) {
            self.refuse_rest_of_sessions(&window);
            self.binder.grouping = Some(Grouping { key, window });
        }
    }

    fn key(&mut self, expression: &Expr, parts: &[Ident]) -> Option<String> {
        match self.binder.names.meaning(parts) {
            Err(message) => self.binder.wrong(expression, message),
            Ok(Meaning::EventTime) => {
                self.binder.wrong(expression, "group by a window over it: TUMBLE(event_time, INTERVAL '1' MINUTE)")
            }
            Ok(Meaning::Path(path, None | Some(ColumnType::Text))) => {
                self.binder.uses.entry(path.clone()).or_default().insert(Kind::Text);
                Some(path)
            }
            Ok(Meaning::Path(path, Some(_))) => {
                self.binder.wrong(expression, format!("a key is read as a text: declare {path} with type = \"text\""))
            }
        }
    }

    /// A row that a condition drops must not keep a session open, and sessions are the engine's, which knows filters
    /// only.
    fn refuse_rest_of_sessions(&mut self, window: &WindowSpec) {
        if !matches!(window, WindowSpec::Session { .. }) {
            return;
        }
        for (_, position) in std::mem::take(&mut self.split.rest) {
            let message = "with SESSION, WHERE compares texts only: column = 'text', column IN ('a', 'b') or \
                           column <> ''; write other conditions into FILTER";
            let _: Option<()> = self.binder.wrong_at(position, message);
        }
    }

    fn column_name(&mut self, expression: &Expr, alias: Option<&Ident>) -> Option<String> {
        let name = match (alias, expression) {
            (Some(alias), _) => folded(alias),
            (None, Expr::Identifier(name)) => folded(name),
            (None, Expr::CompoundIdentifier(parts)) => parts.last().map(folded).unwrap_or_default(),
            _ => return self.binder.wrong(expression, "name the column: … AS name"),
        };
        let position = Position::start_of(alias.map_or_else(|| expression.span(), |alias| alias.span));
        if common_fields().iter().any(|field| *field.name() == name) {
            return self
                .binder
                .wrong_at(position, format!("every row has a column {name} already: use AS another_name"));
        }
        if !is_column_name(&name) {
            let message = "is not a name of a column: use AS and lower-case letters, digits and underscores";
            return self.binder.wrong_at(position, format!("{name} {message}"));
        }
        if self.columns.iter().any(|(known, _)| *known == name) {
            return self.binder.wrong_at(position, format!("there are two columns {name}: use AS another_name"));
        }
        Some(name)
    }

    fn finish(self, definition: &Definition, names: &Names<'_>) -> Planned {
        let Self { binder, parsed, split, columns, having, .. } = self;
        let output = columns.iter().map(|(name, typed)| OutputColumn {
            name: name.clone(),
            kind: typed.kind.unwrap_or(Kind::Text).column_type(),
            nullable: typed.nullable,
        });
        let output: Vec<OutputColumn> = output.collect();
        let mut program = Program {
            condition: split.rest(),
            kept: binder.aggregates.kept,
            measures: binder.aggregates.measures,
            having,
            kinds: output.iter().map(|column| Kind::of(column.kind)).collect(),
            columns: columns.into_iter().map(|(_, typed)| typed.expression).collect(),
            grouped: binder.grouping.is_some(),
        };
        let inputs = program.keep_used(&binder.inputs);
        let mut filter = split.filter;
        if let Some(upstream) = names.upstream_type() {
            filter.0.insert("type".to_owned(), Condition::OneOf(vec![upstream]));
        }
        let (key, window) = match binder.grouping {
            Some(Grouping { key, window }) => (key, window),
            None => (names.default_key().to_owned(), each_row()),
        };
        let side = (!program.grouped).then_some(Side::Left);
        let columns = inputs.iter().map(|(path, kind)| InputColumn {
            name: names.name_of(path),
            path: path.to_string(),
            kind: *kind,
            side,
        });
        let descriptor = Descriptor {
            describe: DESCRIBE_VERSION,
            name: definition.name.clone(),
            version: definition.version.clone(),
            doc: definition.doc.clone(),
            inputs: columns.collect(),
            filter,
            key,
            window,
            output,
            state_version: if program.grouped { program.state_version() } else { 0 },
            config_schema: Json::Null,
            mergeable: program.grouped,
        };
        let canonical = canonical(&parsed.canonical, &descriptor);
        let digest = Digest(Sha256::digest(&canonical).into());
        Planned { program, descriptor, canonical, digest }
    }
}

/// The window of a statement without GROUP BY: each row is a row of a join that never finds a partner. Rows then keep
/// their own event time, order and identity, however ticks cut them.
fn each_row() -> WindowSpec {
    let never = Filter(BTreeMap::from([("type".to_owned(), Condition::OneOf(Vec::new()))]));
    WindowSpec::IntervalJoin {
        left: Filter::default(),
        right: never,
        lower_ms: 0,
        upper_ms: 0,
        lower: Bound::Inclusive,
        upper: Bound::Inclusive,
        take: Take::All,
        unmatched: Unmatched::Left,
    }
}

/// What a digest is of: the statement, and where and as what each of its columns is read.
fn canonical(sql: &str, descriptor: &Descriptor) -> String {
    let columns: Vec<Json> =
        descriptor.inputs.iter().map(|input| json!({ "path": input.path, "type": input.kind })).collect();
    let output: Vec<Json> =
        descriptor.output.iter().map(|column| json!({ "name": column.name, "type": column.kind })).collect();
    json!({
        "sql-metric": MEANING,
        "sql": sql,
        "key": descriptor.key,
        "filter": descriptor.filter,
        "columns": columns,
        "output": output,
    })
    .to_string()
}

impl Program {
    /// Leaves out the inputs that only the filter reads, and numbers the others anew.
    fn keep_used(&mut self, inputs: &[(Arc<str>, ColumnType)]) -> Vec<(Arc<str>, ColumnType)> {
        let mut used: Vec<usize> = Vec::new();
        let mut renumber = |leaf: &mut Leaf| {
            let Leaf::Column(index, _) = leaf else { return };
            *index = used.iter().position(|known| known == index).unwrap_or_else(|| {
                used.push(*index);
                used.len() - 1
            });
        };
        let kept = self.kept.iter_mut().flat_map(|kept| kept.argument.iter_mut().chain(&mut kept.filter));
        let all = self.condition.iter_mut().chain(kept).chain(&mut self.having).chain(&mut self.columns);
        all.for_each(|expression| expression.leaves(&mut renumber));
        used.into_iter().map(|index| inputs[index].clone()).collect()
    }

    /// A number that follows from what is kept: a changed statement whose states mean something else has another, so
    /// that they are never taken for its own.
    fn state_version(&self) -> u32 {
        let mut hash = Sha256::new();
        hash.update([ENCODING]);
        for kept in &self.kept {
            hash.update(kept.to_string());
            hash.update([0]);
        }
        let digest = hash.finalize();
        // Never 0, which is a metric without state.
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) >> 1 | 1
    }
}
