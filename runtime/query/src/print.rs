//! Answers as a table for people, as JSON and as CSV.

use crate::value::{to_json, to_text};
use comfy_table::{Cell, CellAlignment, Table, presets};
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema};
use serde_json::Value;
use std::io::{self, Write};

/// Rows that a table for people shows at most: it is laid out in memory.
const TABLE_ROWS: usize = 10_000;

/// Characters of one cell that a table for people shows at most.
const CELL_CHARACTERS: usize = 120;

/// The form of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns.
    #[default]
    Table,
    /// An array of objects, one object per line.
    Json,
    /// RFC 4180, with a header line.
    Csv,
}

/// Writes an answer batch by batch.
pub struct Printer<'w> {
    layout: Layout<'w>,
    names: Vec<String>,
    rows: usize,
}

enum Layout<'w> {
    Table(Box<Table>, &'w mut dyn Write),
    Json(&'w mut dyn Write),
    Csv(Box<csv::Writer<&'w mut dyn Write>>),
}

impl<'w> Printer<'w> {
    /// Starts an answer with the columns of `schema`.
    pub fn new(format: Format, schema: &Schema, out: &'w mut dyn Write) -> io::Result<Self> {
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let layout = match format {
            Format::Table => {
                let mut table = Table::new();
                table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(&names);
                for (index, field) in schema.fields().iter().enumerate() {
                    if let Some(column) = table.column_mut(index) {
                        column.set_cell_alignment(alignment(field.data_type()));
                    }
                }
                Layout::Table(Box::new(table), out)
            }
            Format::Json => {
                out.write_all(b"[")?;
                Layout::Json(out)
            }
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(&names)?;
                Layout::Csv(Box::new(writer))
            }
        };
        Ok(Self { layout, names, rows: 0 })
    }

    /// Adds rows.
    pub fn print(&mut self, batch: &RecordBatch) -> io::Result<()> {
        for row in 0..batch.num_rows() {
            match &mut self.layout {
                Layout::Table(table, _) if self.rows < TABLE_ROWS => {
                    table.add_row(batch.columns().iter().map(|column| cell(column, row)));
                }
                Layout::Table(..) => {}
                Layout::Json(out) => {
                    let names = self.names.iter().zip(batch.columns());
                    let fields = names.map(|(name, column)| (name.clone(), to_json(column, row)));
                    let object = Value::Object(fields.collect());
                    write!(out, "{}{object}", if self.rows == 0 { "\n" } else { ",\n" })?;
                }
                Layout::Csv(writer) => {
                    writer.write_record(batch.columns().iter().map(|column| to_text(column, row)))?
                }
            }
            self.rows += 1;
        }
        Ok(())
    }

    /// Ends the answer.
    pub fn finish(self) -> io::Result<()> {
        match self.layout {
            Layout::Table(table, out) => {
                writeln!(out, "{}", table.trim_fmt())?;
                writeln!(out, "{} row{}", self.rows, if self.rows == 1 { "" } else { "s" })?;
                if self.rows > TABLE_ROWS {
                    writeln!(out, "the first {TABLE_ROWS} are shown; --format csv or json writes all")?;
                }
                out.flush()
            }
            Layout::Json(out) => {
                out.write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?;
                out.flush()
            }
            Layout::Csv(mut writer) => writer.flush(),
        }
    }
}

fn cell(column: &ArrayRef, row: usize) -> Cell {
    let text = to_text(column, row);
    // Control characters would break the terminal, and data is not trusted. Plans have lines.
    let text: String = text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    if text.chars().count() <= CELL_CHARACTERS {
        return Cell::new(text);
    }
    Cell::new(text.chars().take(CELL_CHARACTERS - 1).chain(['…']).collect::<String>())
}

fn alignment(kind: &DataType) -> CellAlignment {
    if kind.is_numeric() { CellAlignment::Right } else { CellAlignment::Left }
}
